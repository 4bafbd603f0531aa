"""A benchmark's questions as a parquet file of a run's validation (`recipe.zppo.benchmarks.validation_rows`)."""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recipe.zppo.benchmarks.contract import Benchmark
from recipe.zppo.benchmarks.loading import BadRow, Questions
from recipe.zppo.benchmarks.validation_rows import COLUMN, row_of
from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.prompts import Messages
from recipe.zppo.run.files import write_atomically

PIXELS = {"min_pixels": 256 * 32 * 32, "max_pixels": 1280 * 32 * 32}
"""Of an image (App. B.2)."""

MAX_BAD = 0.01
"""Share of a benchmark's questions that may be left out because they can't be read."""

_FORMAT = 1
_MADE_FROM = b"zppo"
_ROWS_AT_A_TIME = 32


@dataclass(frozen=True)
class Form:
    """What a file is made for."""

    prompt: str = "prompt"
    """Column of the messages (`data.prompt_key`)."""
    images: str = "images"
    """Column of the images (`data.image_key`)."""
    sees: bool = True
    """The student is shown images."""


def write_questions(path: Path, benchmark: Benchmark, data: str | None, limit: int | None, form: Form) -> None:
    """Write the file, unless it is there already and was made from the same.

    Args:
        data: folder of local copies; None: the hub.
        limit: questions at most, the same ones in every run.

    Raises:
        DataError: the data set can't be had or read, or the model would not see its images.
    """
    import pyarrow.parquet as pq

    made_from = json.dumps([_FORMAT, data, limit, form.prompt, form.images, form.sees]).encode()
    if path.is_file() and (pq.read_schema(path).metadata or {}).get(_MADE_FROM) == made_from:
        return
    rows = _rows(benchmark, Questions(benchmark, data, limit=limit), form)
    schema = _schema(form)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(str(path), lambda place: _write(place, rows, schema, made_from))


def _write(place: str, rows: Iterator[dict[str, Any]], schema: Any, made_from: bytes) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema.with_metadata({**schema.metadata, _MADE_FROM: made_from})
    with pq.ParquetWriter(place, schema) as writer:
        while batch := list(islice(rows, _ROWS_AT_A_TIME)):  # with their images
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _schema(form: Form) -> Any:
    """As arrow has it, with what `datasets` reads of it."""
    import datasets

    text = datasets.Value("string")
    columns = {
        form.prompt: datasets.List({"role": text, "content": text}),
        form.images: datasets.List(datasets.Image(decode=False)),
        "data_source": text,
        COLUMN: text,
        "reward_model": {"style": text, "ground_truth": datasets.Value("null")},
    }
    return datasets.Features(columns).arrow_schema


def _rows(benchmark: Benchmark, questions: Questions, form: Form) -> Iterator[dict[str, Any]]:
    """
    Raises:
        DataError: too many questions can't be read, or the model would not see an image.
    """
    good, bad = 0, []
    for question in questions:
        if isinstance(question, BadRow):
            bad.append(question.error)
            continue
        images = _images(question.messages)
        if images and not form.sees:
            raise DataError(f"{benchmark.name} has images, which this run's student would not see; leave it out")
        try:
            encoded = [{"bytes": _within_limits(image), "path": None} for image in images]
        except DataError as error:
            bad.append(f"{benchmark.source.dataset}, {question.id}: {error}")
            continue
        good += 1
        yield {
            form.prompt: [_as_text(message, bool(images)) for message in question.messages],
            form.images: encoded or None,
            **row_of(benchmark, question),
        }
    if len(bad) > MAX_BAD * (good + len(bad)):
        raise DataError(f"{bad[0]} ({len(bad)} of {good + len(bad)} questions of {benchmark.name} can't be read)")
    if bad:
        print(f"zppo: {benchmark.name}: {len(bad)} question(s) left out; {bad[0]}", file=sys.stderr)


def _images(messages: Messages) -> list[Any]:
    """
    Raises:
        DataError: there is a video.
    """
    parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
    if any(part["type"] not in ("text", "image") for part in parts):
        raise DataError("validation asks no questions with videos")
    return [part["image"] for part in parts if part["type"] == "image"]


def _as_text(message: dict[str, Any], has_images: bool) -> dict[str, str]:
    """With a placeholder for each image; a text that spells one is told apart from it by a space."""
    content = message["content"]
    pieces: list[media.Part] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(
        "<image>" if piece["type"] == "image" else _told_apart(piece["text"]) if has_images else piece["text"]
        for piece in pieces
    )
    return {"role": message["role"], "content": text}


def _told_apart(text: str) -> str:
    return text.replace("<image>", "< image>").replace("<video>", "< video>")


def _within_limits(source: Any) -> bytes:
    """The image's file as it is, or as PNG where it has to be made larger or smaller.

    Raises:
        DataError: it can't be read.
    """
    image = media.read_image(source)
    sized = media.resized(image, PIXELS)
    content = source.get("bytes") if isinstance(source, dict) else source
    if sized is image and isinstance(content, bytes):
        return content
    file = io.BytesIO()
    sized.save(file, format="PNG")
    return file.getvalue()
