"""Benchmarks of a few questions: text, pictures, several turns with a judge of their own."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from recipe.zppo.benchmarks.contract import (
    Benchmark,
    Decision,
    Family,
    OfficialJudge,
    Question,
    Row,
    Scoring,
    Source,
)
from recipe.zppo.reward import extract_answer


def boxed(question: Question, response: str) -> Decision:
    """Right or wrong where there is a box, open where there is none."""
    answer = extract_answer(response)
    return Decision(None if answer is None else float(answer == question.gold), answer or "")


def text_questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    content = f"{row['question']} ({', '.join(row['options'])})" if row.get("options") else row["question"]
    options = dict(zip("ABCD", row.get("options") or (), strict=False))
    yield Question(row["id"], [{"role": "user", "content": content}], row["answer"], options, config or "")


def picture_questions(row: Row, config: str | None, place: int) -> Iterator[Question]:
    content = [{"type": "image", "image": row["image"]}, {"type": "text", "text": row["question"]}]
    yield Question(row["id"], [{"role": "user", "content": content}], row["answer"])


def turns(row: Row, config: str | None, place: int) -> Iterator[Question]:
    yield Question(row["id"], row["turns"], "YES", category=row["axis"], extra={"criterion": row["criterion"]})


def _asked(question: Question, response: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{question.extra['criterion']} {len(response)}"}]


TEXT = Benchmark(
    "Text", "Sums", Family.LLM, Scoring.EXACT_JUDGE,
    Source("own/sums", "test", columns=("id", "question", "answer")), text_questions, boxed,
)  # fmt: skip
PICTURES = Benchmark(
    "Pictures", "Pictures", Family.VLM, Scoring.DETERMINISTIC,
    Source("own/pictures", "test", columns=("id", "image", "question", "answer")), picture_questions, boxed,
)  # fmt: skip
TURNS = Benchmark(
    "Turns", "Turns", Family.LLM, Scoring.BENCHMARK_JUDGE,
    Source("own/turns", "test"), turns,
    judge=OfficialJudge(_asked, lambda question, reply: {"YES": 1.0, "NO": 0.0}.get(reply)),
)  # fmt: skip


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"id": f"s{i}", "question": f"{i} + 1 = ?", "answer": str(i + 1), **changes} for i in range(count)]


def png(color: str = "red", size: tuple[int, int] = (512, 512)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def write_pictures(path: Path, images: list[bytes | None]) -> Path:
    rows = [
        {"id": f"p{i}", "image": {"bytes": image, "path": None} if image else None, "question": "?", "answer": "red"}
        for i, image in enumerate(images)
    ]
    texts = {name: datasets.Value("string") for name in ("id", "question", "answer")}
    path.parent.mkdir(parents=True, exist_ok=True)
    made = datasets.Dataset.from_list(rows, features=datasets.Features({"image": datasets.Image(), **texts}))
    made.to_parquet(path)
    return path


def write_all(data: Path, count: int = 4) -> Path:
    """All three sets, in a folder of local copies."""
    write_jsonl(data / "own/sums/test.jsonl", sums(count))
    write_pictures(data / "own/pictures/data/test-00000-of-00001.parquet", [png()] * count)
    said = [("user", "1 + 1 = ?"), ("assistant", "2"), ("user", "and 1 more?")]
    conversation = [{"role": role, "content": text} for role, text in said]
    rows = [{"id": f"t{i}", "turns": conversation, "axis": "memory", "criterion": "3?"} for i in range(count)]
    write_jsonl(data / "own/turns/test.jsonl", rows)
    return data
