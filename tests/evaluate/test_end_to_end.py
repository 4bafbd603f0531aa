"""Hugging Face models on the CPU, three benchmarks, a kill in the middle: nothing is lost, and nothing changes."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recipe.zppo.data.settings import read_settings
from recipe.zppo.evaluate.engines.contract import Answer
from recipe.zppo.evaluate.engines.hugging_face import HuggingFaceEngine
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.protocol import Decoding
from recipe.zppo.evaluate.results import ModelResults, read_lines, read_results
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.prompts import Messages
from recipe.zppo.world.paths import WorldPaths
from tests.evaluate.small import PICTURES, TEXT, TURNS, write_all, write_jsonl
from tests.media.conftest import save_qwen3_5

QUESTIONS = 24

PROGRAM = """
import sys
from tests.evaluate.test_end_to_end import evaluated
evaluated(sys.argv[1:], noted=lambda asked: print(asked, flush=True))
"""


def evaluated(arguments: Sequence[str], noted: Callable[[str], object]) -> None:
    """In this process. ``noted`` is told each answered question, by its model and seed; the judge's seed is 0."""
    ask = HuggingFaceEngine.ask

    async def told(
        self: HuggingFaceEngine, messages: Messages, decoding: Decoding, seed: int, **options: bool
    ) -> Answer:
        answer = await ask(self, messages, decoding, seed, **options)
        noted(f"{self._generator.model.config.model_type}-{seed}")
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HuggingFaceEngine, "ask", told)
        settings = read_settings(EvaluateSettings, arguments, "")
        asyncio.run(Evaluation(settings, [TEXT, PICTURES, TURNS]).run())


def killed(arguments: Sequence[str], path: Path, count: int) -> list[str]:
    """What a command had asked that was killed when so many lines were in the file."""
    program = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        while command.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < count):
            time.sleep(0.005)
        command.send_signal(signal.SIGKILL)
        asked, said = command.communicate(timeout=60)
    assert command.returncode == -signal.SIGKILL, said[-2000:]
    return asked.split()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, world: WorldPaths) -> Path:
    """Bills of the world, red squares, conversations."""
    folder = write_all(tmp_path_factory.mktemp("data"), count=2)
    rows = pq.read_table(world.val_file).slice(0, QUESTIONS).to_pylist()
    bills = [
        {
            "id": row["prompt_id"],
            "question": row["prompt"][0]["content"],
            "answer": row["reward_model"]["ground_truth"],
        }
        for row in rows
    ]
    write_jsonl(folder / "own/sums/test.jsonl", bills)
    return folder


def numbers(results: ModelResults) -> dict[str, dict]:
    return {name: {**vars(found), "seconds": 0} for name, found in results.benchmarks.items()}


@pytest.mark.e2e
def test_a_killed_evaluation_goes_on(tmp_path: Path, data: Path, world: WorldPaths):
    """The world's student, whose teacher judges, and a random model that sees; a text model has no score there."""
    seeing = save_qwen3_5(tmp_path / "model", max_position_embeddings=16384)
    settings = [f"model=[student={world.student},seeing={seeing}]", f"data={data}", "engine=hf"]
    settings += [f"judge={world.teacher}", "max_tokens=24", "in_flight=8"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    asked: list[str] = []
    evaluated([*settings, f"out={whole}"], asked.append)
    in_parts = [*settings, f"out={broken}"]
    before = killed(in_parts, broken / "student/questions/Text.jsonl", 10)
    logged = list(read_lines(broken / "student/questions/Text.jsonl"))
    assert 10 <= len(logged) < QUESTIONS and not (broken / "student/questions/Turns.jsonl").exists()
    after: list[str] = []
    evaluated(in_parts, after.append)
    students = {each for each in asked if not each.endswith("-0")}
    assert {*before, *after} - {"qwen3-0"} == students
    assert len(set(before) & set(after) - {"qwen3-0"}) <= len(before) - len(logged)  # answered, and not yet in the log
    for name in ("student", "seeing"):
        first, second = read_results(whole / name), read_results(broken / name)
        assert numbers(first) == numbers(second)
        for benchmark in first.scores():
            path = f"{name}/questions/{benchmark}.jsonl"
            assert (whole / path).read_bytes() == (broken / path).read_bytes()
    student, sees = read_results(broken / "student").benchmarks, read_results(broken / "seeing").benchmarks
    text = student["Text"]
    assert text.score is not None and text.score > 0 and text.questions == text.by_rule + text.by_judge == QUESTIONS
    assert student["Pictures"].score is None and "the model takes no images" in student["Pictures"].error
    assert student["Turns"].by_judge == 2 and sees["Pictures"].by_metric == 2 and sees["Pictures"].tokens > 0
