"""Second pass: the picture and the length of the rows that may be taken, and the finished rows on disk.

The finished rows of a task stand in an arrow file, one record batch each, so that any of them can be fetched by number.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from recipe.zppo.data import reading
from recipe.zppo.data.budget import counter
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.parquet import readable_disk_errors, write_rows
from recipe.zppo.data.rows import SCHEMA, build_row
from recipe.zppo.data.scan import READERS, Prepared, place_of, prepare
from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.run.files import write_atomically


def examine_unit(unit: reading.Unit, wanted: list[int], settings: CorpusSettings, path: str) -> None:
    """Looks at the unit's rows with the given numbers; writes `path`.arrow with those that are fine, then `path`.json.

    The second file says for each wanted row its number in the first one, or why it can't be kept.
    """
    found: dict[int, int | str] = {}

    def fill(temporary: str) -> None:
        written = 0
        with pa.ipc.new_file(temporary, SCHEMA) as writer:
            for number, row in reading.rows(unit, wanted):
                result = _finished(row, unit, number, settings)
                if isinstance(result, str):
                    found[number] = result
                else:
                    writer.write_batch(pa.RecordBatch.from_pylist([result], SCHEMA))
                    found[number] = written
                    written += 1
        if len(found) < len(set(wanted)):
            raise BuildError(f"{unit.place}: shard {unit.shard} has changed since the build began; use another out=")

    with readable_disk_errors(path):
        write_atomically(f"{path}.arrow", fill)
        text = json.dumps(sorted(found.items()))
        write_atomically(f"{path}.json", lambda temporary: Path(temporary).write_text(text))


def read_examined(path: str) -> dict[int, int | str]:
    return dict(json.loads(Path(f"{path}.json").read_text()))


def _finished(
    row: Mapping[str, Any], unit: reading.Unit, number: int, settings: CorpusSettings
) -> dict[str, Any] | str:
    """The row as it is written, or why it can't be kept."""
    source = READERS[unit.place.key]
    raw = source.read(row, unit.place.config)
    prepared = prepare(raw, source.name, settings, place_of(unit, number))
    if not isinstance(prepared, Prepared):
        raise BuildError(f"{unit.place}: shard {unit.shard} has changed since the build began; use another out=")
    picture = picture_bytes(row[unit.image_column])
    if isinstance(picture, str):
        return picture
    try:
        image = media.read_image(picture)
    except DataError:
        return "unreadable_image"
    if min(image.size) < settings.min_image_side:
        return "small_image"
    if settings.processor is not None:
        tokens = counter(settings.processor)
        if tokens.has_special_tokens(prepared.question.replace("<image>", "")):
            return "special_tokens"
        try:
            if tokens.count(prepared.question, [image]) > settings.max_prompt_tokens:
                return "long_prompt"
        except ValueError as error:
            if isinstance(error, BuildError):
                raise
            return "unusable_image"  # a processor refuses some shapes, such as 1 to 200
    return build_row(
        data_source=prepared.subset,
        question=prepared.question,
        answer=prepared.answer,
        prompt_id=f"{prepared.subset}-{prepared.digest:016x}",
        images=[picture],
        answer_type=prepared.answer_type,
        split=settings.split,
        pass_rate=raw.pass_rate,
        metadata={"source": source.name, "subset": raw.subset, "id": raw.row_id},
    )


def picture_bytes(value: Any) -> bytes | str:
    """The encoded picture of a cell `{bytes, path}` or a list of one such, or why there is none."""
    if isinstance(value, list):
        if len(value) > 1:
            return "several_images"
        value = value[0] if value else None
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if data is None:
        return "no_image"
    return data if isinstance(data, bytes) else "unreadable_image"


def write_shard(places: list[tuple[str, int]], first: int, path: str) -> None:
    """Writes a file of the corpus: the rows at the given (arrow file, number), with `index` from `first` on."""

    def rows():
        for index, (file, number) in enumerate(places, first):
            with pa.memory_map(file) as source:
                (row,) = pa.ipc.open_file(source).get_batch(number).to_pylist()
            row["extra_info"]["index"] = index
            yield row

    write_rows(path, rows())
