"""Whole evaluations against a server of the test's own, and what they left."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.zppo.benchmarks.contract import Benchmark
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.results import Line, ModelResults, read_lines, read_results
from recipe.zppo.evaluate.settings import EvaluateSettings
from tests.teacher.fake_endpoint import FakeEndpoint


def text_of(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def evaluate(
    tmp_path: Path, benchmarks: Sequence[Benchmark], endpoint: FakeEndpoint, **changes: Any
) -> list[ModelResults]:
    """To its end; the models' results, as they were written."""
    keys = {"model": ("student",), "server": endpoint.url, "judge": None, "retries": 1, "in_flight": 4}
    keys |= {"data": str(tmp_path / "data"), "out": str(tmp_path / "out"), **changes}
    evaluation = Evaluation(EvaluateSettings(**keys), benchmarks)
    asyncio.run(evaluation.run())
    return [read_results(model.folder) for model in evaluation.models]


def lines(tmp_path: Path, benchmark: Benchmark, model: str = "student") -> dict[str, Line]:
    return {line.id: line for line in read_lines(tmp_path / f"out/{model}/questions/{benchmark.name}.jsonl")}
