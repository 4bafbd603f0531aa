"""Converts a data set, or verl's files, to files that can be trained on: see `convert` for the command."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from recipe.zppo.config.engine import Group, key
from recipe.zppo.config.run_keys import ColumnsConfig
from recipe.zppo.data import reading
from recipe.zppo.data.answers import is_gradable
from recipe.zppo.data.converters import CONVERTERS, Converter, Draft, Tally
from recipe.zppo.data.errors import BuildError, RowError
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.rows import build_row, text_id
from recipe.zppo.data.settings import Names
from recipe.zppo.data.verl_files import convert_file
from recipe.zppo.directives import strip_directives
from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_schema
from recipe.zppo.preflight.data_folders import files_of


class ConvertSettings(Group):
    """Keys of `python -m recipe.zppo.data.convert`."""

    name: Literal[*CONVERTERS, "verl"] = key(..., "what the source is")  # type: ignore[valid-type]
    out: str = key(..., "folder for the files")
    source: str | None = key(None, "hub id, folder or parquet file; null: the usual one on the hub (needed for verl)")
    prompt: str | None = key(None, "verl: the source's column with the question; null: prompt")
    answer: str | None = key(None, "verl: the source's column with the gold answer; null: reward_model")
    images: str | None = key(None, "verl: the source's column with a picture or a list of them; null: images")
    data_source: str | None = key(None, "verl: the source's column with the name of a row's set; null: data_source")
    splits: Names | None = key(None, "such as [train,test]; null: those that there are (not for verl)")
    grader: Literal["paper", "careful"] = key("paper", "the reward function's grader: zppo.reward.grader of the runs")
    strip_directives: bool = key(True, "take 'think step by step' and 'put it in a box' off the questions")
    check_answers: bool = key(True, "drop rows whose own gold answer the reward function would call wrong")
    limit: int | None = key(None, "rows to read of each split or file; null: all", ge=1)


class Result(NamedTuple):
    path: Path
    kept: int
    tally: Tally


def convert(settings: ConvertSettings) -> list[Result]:
    """Writes the files. Raises `BuildError`, one line that says what to do."""
    out = Path(settings.out).expanduser()
    results = _verl_files(settings, out) if settings.name == "verl" else _data_set(settings, out)
    for result in results:
        if not result.kept:
            result.path.unlink()
            raise BuildError(f"{result.path}: no row is left: {reasons(result) or 'the source is empty'}")
    return results


def reasons(result: Result) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(result.tally.dropped.items()))


def _verl_files(settings: ConvertSettings, out: Path) -> list[Result]:
    if settings.source is None:
        raise BuildError("source: needed with name=verl; a parquet, .json or .jsonl file, or a folder of parquet files")
    files = _files(settings.source, out)
    results = []
    names = {name: getattr(settings, name) for name in ColumnsConfig.model_fields}
    columns = Columns({"columns": names})
    _check_names({name: column for name, column in names.items() if column}, files, columns)
    for file in files:
        grader, target = settings.grader if settings.check_answers else None, out / f"{file.stem}.parquet"
        strip, limit = settings.strip_directives, settings.limit
        read, tally = convert_file(file, target, strip=strip, grader=grader, limit=limit, columns=columns)
        results.append(Result(target, read - sum(tally.dropped.values()), tally))
    return results


def _files(source: str, out: Path) -> list[Path]:
    """The source's files, of which no two would be written to the same place, nor one to its own."""
    place = Path(source).expanduser()
    if place.is_dir():
        files = sorted(place.glob("*.parquet"))
    else:
        files = [Path(file).expanduser() for file in files_of(source, "source")]
    if not files or not all(file.exists() for file in files):
        raise BuildError(f"source={source}: " + ("has no parquet file" if place.exists() else "does not exist"))
    if out.resolve() in {file.parent.resolve() for file in files}:
        raise BuildError(f"out={out}: that is where the source is; give another folder")
    by_stem: dict[str, Path] = {}
    for file in files:
        if (first := by_stem.setdefault(file.stem, file)) != file:
            raise BuildError(
                f"source={source}: {first} and {file} would both become {out / file.stem}.parquet; convert them one by "
                "one, into folders of their own"
            )
    return files


def _check_names(given: dict[str, str], files: list[Path], columns: Columns) -> None:
    """Raises `BuildError` for a column that no file has: its name would do nothing."""
    try:
        there = {name for file in files if given for name in read_schema(str(file), columns.answers).names}
    except (pa.ArrowException, OSError):
        return  # said by whoever converts the file
    for name, column in given.items():
        if column not in there:
            raise BuildError(f"{name}={column}: no file has such a column; they have {', '.join(sorted(there))}")


def _data_set(settings: ConvertSettings, out: Path) -> list[Result]:
    converter = CONVERTERS[settings.name]
    path = settings.source or converter.hub_id
    place = reading.Place("source", path, "train", reading.config_of(path, converter.config))
    results = []
    for split in settings.splits or reading.splits(place):
        file, tally = out / f"{split}.parquet", Tally()
        kept = write_rows(file, _rows(place._replace(split=split), converter, settings, tally))
        results.append(Result(file, kept, tally))
    return results


def _rows(
    place: reading.Place, converter: Converter, settings: ConvertSettings, tally: Tally
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    pictures = bool(converter.image_column)
    units = reading.units(place, converter.columns, converter.image_column)
    cells = (row for unit in units for row in reading.all_rows(unit, pictures=pictures))
    for number, draft in enumerate(map(converter.draft, islice(cells, settings.limit))):
        row = _row(draft, converter, settings, place.split, number)
        if isinstance(row, dict) and row["prompt_id"] in seen:
            row = "duplicate"
        if isinstance(row, str):
            tally.dropped[row] += 1
            continue
        seen.add(row["prompt_id"])
        tally.changed += settings.strip_directives and strip_directives(draft.question) != draft.question.rstrip()
        yield row


def _row(draft: Draft, converter: Converter, settings: ConvertSettings, split: str, index: int) -> dict[str, Any] | str:
    """The finished row, or why it can't be used."""
    question = strip_directives(draft.question) if settings.strip_directives else draft.question
    if not question.replace("<image>", "").strip():
        return "no_question"
    if not draft.answer:
        return "no_answer"
    if settings.check_answers and not is_gradable(draft.answer, settings.grader):
        return "ungradable_answer"
    pictures = []
    for image in draft.images:
        if isinstance(image, str):
            return image
        try:
            media.read_image(image)
        except DataError:
            return "unreadable_image"
        pictures.append(image)
    digests = [hashlib.blake2b(picture, digest_size=16).hexdigest() for picture in pictures]
    try:
        return build_row(
            data_source=converter.name,
            question=question,
            answer=draft.answer,
            prompt_id=text_id(converter.name, draft.question, draft.answer, *digests),
            images=pictures,
            ability=converter.ability,
            split=split,
            index=index,
            metadata=draft.metadata,
        )
    except RowError:
        return "placeholders"
