"""Data files that were made for verl, made ready for ZPPO: an id for each row, and no instruction but our closer."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.data.answers import is_gradable
from recipe.zppo.data.converters import Tally
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.json_rows import ENDINGS, read_json_rows
from recipe.zppo.data.parquet import ROWS_PER_GROUP, readable_disk_errors
from recipe.zppo.data.rows import IMAGE, text_id
from recipe.zppo.data.sources import require, user_text
from recipe.zppo.directives import strip_directives
from recipe.zppo.errors import RewardError, first_line
from recipe.zppo.judge import is_free_form
from recipe.zppo.media.columns import as_list, left_encoded
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.reward import Grader, gold_answer
from recipe.zppo.run.files import write_atomically

PROMPT_ID = "prompt_id"


def convert_file(
    source: Path,
    target: Path,
    *,
    strip: bool,
    grader: Grader | None,
    limit: int | None,
    columns: Columns | None = None,
) -> tuple[int, Tally]:
    """Writes the file's rows with `prompt_id`; the number of rows read, and what became of them.

    A JSON or JSONL source becomes parquet, with its gold answers as the texts that they are.

    All other columns stay as they are, pictures and metadata of the schema included. Ids that are there are kept, and
    those that lack are computed. A row that the file has twice is written once.

    Args:
        grader: drops rows whose gold answer it would call wrong; None does not look.
        columns: names of the file's columns, where they are not verl's.

    Raises:
        BuildError: the file can't be read or lacks a column of verl's schema, an id lacks in a column of numbers, or
            the target can't be written.
    """
    tally = Tally()
    seen: set = set()
    read = 0
    with _opened(source, columns or Columns({})) as (schema, found):
        require(schema, ["prompt", "reward_model.ground_truth"], f"source={source}")
        has_id = PROMPT_ID in schema.names
        wanted = schema if has_id else schema.append(pa.field(PROMPT_ID, pa.string()))
        position = wanted.names.index(PROMPT_ID)
        if pa.types.is_null(wanted.field(position).type):
            wanted = wanted.set(position, wanted.field(position).with_type(pa.string()))
        id_field = wanted.field(position)
        writes_ids = _holds_text(id_field.type)

        def fill(temporary: str) -> None:
            nonlocal read
            with pq.ParquetWriter(temporary, wanted, compression="zstd") as writer:
                for batch in _batches(found, source, limit):
                    read += len(batch)
                    if not writes_ids and batch.column(PROMPT_ID).null_count:
                        raise BuildError(
                            f"source={source}: {PROMPT_ID} is empty in some rows, and a column of type {id_field.type} "
                            "can't hold the ids that we give; fill it, make it text, or take the column out"
                        )
                    kept = list(_kept(batch.to_pylist(), tally, seen, strip=strip, grader=grader))
                    if not kept:
                        continue
                    numbers, prompts, ids = zip(*kept, strict=True)
                    table = pa.table(batch.take(pa.array(numbers)))
                    field = schema.field("prompt")
                    table = table.set_column(schema.names.index("prompt"), field, pa.array(prompts, field.type))
                    if not has_id:
                        table = table.append_column(id_field, pa.array(ids, id_field.type))
                    elif writes_ids:
                        table = table.set_column(position, id_field, pa.array(ids, id_field.type))
                    writer.write_table(table.cast(wanted), row_group_size=ROWS_PER_GROUP)

        with readable_disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(str(target), fill)
    return read, tally


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


@contextmanager
def _opened(source: Path, columns: Columns) -> Iterator[tuple[pa.Schema, Iterable[pa.RecordBatch]]]:
    """The source's schema and its rows, under verl's names."""
    if source.suffix in ENDINGS:
        table = read_json_rows(source, columns)
        yield table.schema, table.to_batches(ROWS_PER_GROUP)
        return
    try:
        parquet = pq.ParquetFile(source)
    except (pa.ArrowException, OSError) as error:
        raise BuildError(f"source={source}: can't be read: {first_line(error)}") from error
    with parquet:
        schema, found = parquet.schema_arrow, parquet.iter_batches(ROWS_PER_GROUP)
        if columns.changes(schema):
            yield (
                _named(schema.empty_table(), columns).schema,
                (batch for each in found for batch in _named(pa.table(each), columns).combine_chunks().to_batches()),
            )
        else:
            yield schema, found


def _named(table: pa.Table, columns: Columns) -> pa.Table:
    frame = columns.frame(left_encoded(datasets.Dataset(table)))
    return frame.with_format("arrow")[:].cast(frame.features.arrow_schema)


def _batches(found: Iterable[pa.RecordBatch], source: Path, limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    try:
        for batch in found:
            if left is not None:
                batch = batch.slice(0, left)
                left -= len(batch)
            if len(batch):
                yield batch
    except pa.ArrowException as error:
        raise BuildError(f"source={source}: can't be read: {first_line(error)}") from error


def _kept(
    rows: list[dict[str, Any]], tally: Tally, seen: set, *, strip: bool, grader: Grader | None
) -> Iterator[tuple[int, Any, str]]:
    """(number, prompt, id) of each row that can be used."""
    for number, row in enumerate(rows):
        prompt = row["prompt"]
        if reason := _reason(row, grader):
            tally.dropped[reason] += 1
            continue
        row_id = row.get(PROMPT_ID)
        if row_id in (None, ""):
            row_id = _id(row)
        if row_id in seen:
            tally.dropped["duplicate"] += 1
            continue
        seen.add(row_id)
        bare = stripped(prompt) if strip else prompt
        tally.changed += user_text(bare).rstrip() != user_text(prompt).rstrip()
        yield number, bare, row_id


def _reason(row: Mapping[str, Any], grader: Grader | None) -> str | None:
    if not isinstance(row["prompt"], list) or not user_text(row["prompt"]).strip():
        return "no_question"
    gold = (row["reward_model"] or {}).get("ground_truth")
    try:
        answer = gold_answer(gold)
    except RewardError:
        empty = gold is None or isinstance(gold, str | list)
        return "no_answer" if empty else f"answer_is_{type(gold).__name__}"
    if grader and not is_free_form(row) and not is_gradable(answer, grader):
        return "ungradable_answer"
    if "images" in row and "videos" not in row:
        contents = [message.get("content") for message in row["prompt"]]
        texts = [content for content in contents if isinstance(content, str)]
        if len(texts) == len(contents) and sum(text.count(IMAGE) for text in texts) != len(as_list(row["images"])):
            return "placeholders"
    return None


def stripped(prompt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with directives taken off the last user message, of text or of parts."""
    messages = [dict(message) for message in prompt]
    for message in reversed(messages):
        if message.get("role") != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            message["content"] = strip_directives(content)
        elif (
            content
            and isinstance(content[-1], Mapping)
            and content[-1].get("type") == "text"
            and content[-1].get("text")
        ):
            message["content"] = [*content[:-1], {**content[-1], "text": strip_directives(content[-1]["text"])}]
        break
    return messages


def _id(row: Mapping[str, Any]) -> str:
    """From what the row says: prompt, answer and pictures."""
    digest = hashlib.blake2b(digest_size=16)
    for image in as_list(row.get("images")):
        found = image.get("bytes") or image.get("path") if isinstance(image, Mapping) else image
        digest.update(found if isinstance(found, bytes) else str(found).encode())
    text = json.dumps([row["prompt"], row["reward_model"]], sort_keys=True, default=str)
    return text_id(str(row.get("data_source") or "row"), text, digest.hexdigest())
