"""Questions of benchmarks as rows of a validation file, and what scores responses to them."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from recipe.zppo.benchmarks import registry
from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, OfficialJudge, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.validation_files import Form, write_questions
from recipe.zppo.benchmarks.validation_rows import COLUMN, asked, grade, row_of
from recipe.zppo.errors import DataError, JudgeError
from recipe.zppo.judge import QUESTION_TEXT, Judgement, Verdict


def questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    parts = [{"type": "image", "image": row["image"]}, {"type": "text", "text": row["text"]}]
    yield Question(str(place), [{"role": "user", "content": parts}], row["gold"], {"A": "1", "B": "2"})


PICTURES = Benchmark(
    "AI2D", "pictures", Family.VLM, Scoring.EXACT_JUDGE, Source("own/pictures", "test"), questions, decide_choice
)


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 10, 10)).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A local copy of 102 rows, of which the second has a damaged image."""
    folder = tmp_path / "data" / "own" / "pictures"
    folder.mkdir(parents=True)
    images = [png(600, 500), b"damaged", *[png(20, 10)] * 100]
    rows = [{"image": {"bytes": b, "path": None}, "text": f"{i} <image>?", "gold": "B"} for i, b in enumerate(images)]
    features = datasets.Features(
        {"image": datasets.Image(), "text": datasets.Value("string"), "gold": datasets.Value("string")}
    )
    datasets.Dataset.from_list(rows, features=features).to_parquet(folder / "test-0.parquet")
    return tmp_path / "data"


def test_rows_have_the_form_of_data_files(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path, form = tmp_path / "run" / "AI2D.parquet", Form("question", "pictures")
    write_questions(path, PICTURES, str(data), None, form)
    assert "AI2D: 1 question(s) left out; own/pictures, 1: image (7 bytes) can't be read" in capsys.readouterr().err
    frame = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(frame) == 101 and isinstance(frame.features["pictures"].feature, datasets.Image)
    rows = pq.read_table(path).to_pylist()
    assert rows[0]["question"] == [{"role": "user", "content": "<image>0 < image>?"}]
    assert (rows[0]["data_source"], rows[0]["reward_model"]["ground_truth"]) == ("eval/AI2D", None)
    assert rows[0]["pictures"][0]["bytes"] == png(600, 500)  # within the limits: the file itself
    sized = Image.open(io.BytesIO(rows[1]["pictures"][0]["bytes"]))
    assert 262_144 <= sized.width * sized.height <= 1_310_720 and sized.width / sized.height == pytest.approx(2, 0.01)
    written = path.stat().st_mtime_ns
    write_questions(path, PICTURES, str(data), None, form)
    assert path.stat().st_mtime_ns == written
    (file,) = data.glob("own/pictures/*")
    pq.write_table(pq.read_table(file).slice(2), file)
    write_questions(path, PICTURES, str(data), 5, form)
    few = {row[COLUMN] for row in pq.read_table(path).to_pylist()}
    write_questions(path, PICTURES, str(data), 9, form)
    assert len(few) == 5 and few < {row[COLUMN] for row in pq.read_table(path).to_pylist()}


def test_what_can_not_be_asked(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "AI2D.parquet"
    with pytest.raises(DataError, match="AI2D has images, which this run's student would not see"):
        write_questions(path, PICTURES, str(data), 3, Form(sees=False))
    with pytest.raises(DataError, match=r"there is no folder .*; hf download"):
        write_questions(path, PICTURES, str(tmp_path), 3, Form())
    (file,) = data.glob("own/pictures/*")
    rows = pq.read_table(file).slice(0, 20)
    pq.write_table(rows, file)
    with pytest.raises(DataError, match=r"own/pictures, 1: image .* \(1 of 20 questions of AI2D can't be read\)"):
        write_questions(path, PICTURES, str(data), None, Form())
    assert list(tmp_path.glob("AI2D*")) == []


class Judge:
    """Gives one reply, and keeps what it was asked."""

    def __init__(self, verdict: Verdict = Verdict.CORRECT, reply: str = ""):
        self.verdict, self.said = verdict, reply
        self.asked: list[Any] = []

    async def judge(self, data: dict[str, Any], response: str) -> Judgement:
        self.asked.append((data, response))
        return Judgement(self.verdict, 3)

    async def reply(self, messages: list[dict], max_tokens: int) -> tuple[str, int]:
        self.asked.append((messages, max_tokens))
        return self.said, 3


QUESTION = Question("7", [{"role": "user", "content": "1 + 1?"}], "B", {"A": "1", "B": "2"}, extra={"kind": ["x", 1]})


def graded(benchmark: Benchmark, response: str, judge: Judge | None) -> tuple[float, str, bool, bool]:
    found = asyncio.run(grade(benchmark, QUESTION, response, judge))
    return found.score, found.answer, found.judged, found.malformed


def test_the_rule_decides_then_the_judge() -> None:
    judge = Judge()
    assert graded(PICTURES, "\\boxed{B}", judge) == (1.0, "B", False, False) and not judge.asked
    assert graded(PICTURES, "I give up", None) == (0.0, "", False, False)
    assert graded(PICTURES, "I give up", judge) == (1.0, "", True, False)
    ((row, response),) = judge.asked
    assert (row[QUESTION_TEXT], row["extra_info"]["options"], response) == ("1 + 1?", {"A": "1", "B": "2"}, "I give up")
    assert row["reward_model"]["ground_truth"] == "B"
    assert graded(PICTURES, "I give up", Judge(Verdict.MALFORMED)) == (0.0, "", True, True)


def test_a_judge_of_the_benchmarks_own() -> None:
    def messages(question: Question, response: str) -> list[dict]:
        return [{"role": "user", "content": f"{question.extra['kind']} {response}"}]

    def score(question: Question, reply: str) -> float | None:
        return {"half": 0.5}.get(reply)

    official = OfficialJudge(messages, score, max_tokens=9)
    own = Benchmark("HLE", "own", Family.LLM, Scoring.BENCHMARK_JUDGE, Source("o/o", "test"), questions, judge=official)
    judge = Judge(reply="half")
    assert graded(own, "two", judge) == (0.5, "", True, False)
    assert judge.asked == [([{"role": "user", "content": "['x', 1] two"}], 9)]
    assert graded(own, "two", Judge(reply="?")) == (0.0, "", True, True)
    lacking = Benchmark(
        "HLE", "own", Family.LLM, Scoring.BENCHMARK_JUDGE, Source("o/o", "test"), questions,
        judge=OfficialJudge(lambda question, response: question.extra["rubric"], score),
    )  # fmt: skip
    with pytest.raises(JudgeError, match="o/o, 7: 'rubric'"):
        graded(lacking, "two", judge)


def test_a_rule_that_fails_costs_its_response_alone() -> None:
    broken = Benchmark(
        "AIME25", "own", Family.LLM, Scoring.EXACT_JUDGE, Source("o/o", "test"), questions,
        decide=lambda question, response: Decision(1 / len(response)),
    )  # fmt: skip
    with pytest.raises(JudgeError, match="AIME25: the rule failed on 7: ZeroDivisionError"):
        graded(broken, "", None)


def test_a_metric_leaves_nothing_open() -> None:
    metric = Benchmark(
        "InfoVQA", "own", Family.VLM, Scoring.DETERMINISTIC, Source("o/o", "test"), questions,
        decide=lambda question, response: Decision(0.7 if response else None, response),
    )  # fmt: skip
    assert graded(metric, "two", Judge()) == (0.7, "two", False, False)
    assert graded(metric, "", Judge()) == (0.0, "", False, False)


def test_a_row_gives_its_question_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_imported", lambda place: PICTURES)
    row = row_of(PICTURES, QUESTION)
    assert asked(row) == (PICTURES, QUESTION)
    assert asked({"data_source": "own", COLUMN: None}) is None is asked({})
    shown = Question("8", next(questions({"image": b"x", "text": "?", "gold": "B"}, None, 0)).messages, "B")
    (message,) = asked(row_of(PICTURES, shown))[1].messages
    assert json.loads(json.dumps(message))["content"] == [{"type": "image"}, {"type": "text", "text": "?"}]
