"""A model of this process as an engine."""

import re
from pathlib import Path

import pytest

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.engines.contract import LENGTH, AskError
from recipe.zppo.evaluate.engines.hugging_face import HuggingFaceEngine
from recipe.zppo.evaluate.protocol import Decoding
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


def test_what_is_no_model(tmp_path: Path):
    with pytest.raises(ConfigError, match=re.escape(f"model: {tmp_path} can't be loaded: ")):
        HuggingFaceEngine(str(tmp_path))
