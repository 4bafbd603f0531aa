"""A model of this process as an engine."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.engines.contract import LENGTH, AskError
from recipe.zppo.evaluate.engines.hugging_face import HuggingFaceEngine
from recipe.zppo.evaluate.protocol import PAPER, Decoding, judge_decoding
from tests.evaluate.small import png


async def test_answers_repeat_and_end_at_the_limit(qwen3_path: Path):
    engine = HuggingFaceEngine(str(qwen3_path), max_model_len=40)
    sums = [{"role": "user", "content": "1 + 1 = ?"}]
    first = await engine.ask(sums, Decoding(max_tokens=8), 2**40 + 1)
    assert first == await engine.ask(sums, Decoding(max_tokens=8), 2**40 + 1)
    assert first.tokens == 8 and first.finish == LENGTH
    whole = await engine.ask(sums, Decoding(), 1)
    assert whole.tokens <= 32  # what the context leaves
    with pytest.raises(AskError, match=r"a prompt of \d+ tokens leaves no room") as error:
        await engine.ask([{"role": "user", "content": "1 + " * 30}], Decoding(), 1)
    assert error.value.about_request
    with pytest.raises(ConfigError, match="the model takes no images"):
        await engine.ask([{"role": "user", "content": [{"type": "image", "image": png()}]}], Decoding(), 1)
    await engine.close()


async def test_the_generator_gets_the_protocol_s_decoding(qwen3_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the student and of the judge. Of min-p and the repetition penalty the protocol has the neutral values."""
    engine = HuggingFaceEngine(str(qwen3_path), max_model_len=64)
    requested, asked = engine._generator.request, []

    def noted(ids: Sequence[int], params: SamplingParams, images: object) -> object:
        asked.append(params)
        return requested(ids, replace(params, max_tokens=2), images)

    monkeypatch.setattr(engine._generator, "request", noted)
    question = [{"role": "user", "content": "1 + 1 = ?"}]
    await engine.ask(question, PAPER.decoding, 2**31 + 5)
    await engine.ask(question, judge_decoding(), 0, thinking=False)
    assert asked == [
        SamplingParams(temperature=0.6, top_p=0.95, top_k=20, max_tokens=12288, seed=5, presence_penalty=1.5),
        SamplingParams(temperature=0.0, top_p=1.0, top_k=0, max_tokens=512, seed=0, presence_penalty=0.0),
    ]
    await engine.close()


def test_what_is_no_model(tmp_path: Path):
    with pytest.raises(ConfigError, match=re.escape(f"model: {tmp_path} can't be loaded: ")):
        HuggingFaceEngine(str(tmp_path))
