"""First pass over a source: text only. Which rows could be taken, and why the others can't."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.data import reading
from recipe.zppo.data.answers import is_gradable
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.data.errors import RowError
from recipe.zppo.data.parquet import readable_disk_errors
from recipe.zppo.data.rows import FREE_FORM, RULE, with_placeholders
from recipe.zppo.data.sources import UNGRADED, MMFineReason, RawRow, Source, Vero
from recipe.zppo.data.subsets import canonical
from recipe.zppo.directives import strip_directives
from recipe.zppo.run.files import write_atomically

READERS: dict[str, Source] = {source.name: source for source in (Vero(), MMFineReason())}

CANDIDATES = pa.schema([("row", pa.int64()), ("subset", pa.string()), ("digest", pa.uint64())])


class Prepared(NamedTuple):
    """What stays of a row that passed the checks of its text."""

    subset: str
    question: str
    answer: str
    answer_type: str
    digest: int
    changed: bool
    """Whether directives were taken off the question."""


class Dropped(NamedTuple):
    subset: str | None
    """None: not one of the corpus."""
    reason: str


def place_of(unit: reading.Unit, number: int) -> str:
    """What tells a row from all others of its sub-set, in every copy of the source and every build."""
    return f"{unit.name} {number}"


def prepare(raw: RawRow, source: str, settings: CorpusSettings, place: str) -> Prepared | Dropped:
    """The checks that need no picture, cheapest first; the reason is the first one that fails.

    Args:
        place: see `place_of`.
    """
    subset = canonical(source, raw.subset)
    if subset is None:
        return Dropped(None, "unlisted")
    if settings.subsets is not None and subset.name not in settings.subsets:
        return Dropped(subset.name, "not_asked_for")
    question = strip_directives(raw.question) if settings.strip_directives else raw.question.rstrip()
    changed = question != raw.question.rstrip()
    if reason := _reason(raw, source, question, settings):
        return Dropped(subset.name, reason)
    try:
        question = with_placeholders(question, num_images=1)
    except RowError:
        return Dropped(subset.name, "placeholders")
    identity = [source, raw.subset, raw.row_id, raw.question, raw.answer]
    if not raw.row_id:  # many pictures have the same question and answer, and the picture is not read here
        identity.append(place)
    digest = int.from_bytes(hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).digest(), "big")
    return Prepared(subset.name, question, raw.answer, raw.answer_type, digest, changed)


def _reason(raw: RawRow, source: str, question: str, settings: CorpusSettings) -> str | None:
    if source == MMFineReason.name:
        if raw.pass_rate is None or raw.pass_rate != raw.pass_rate:
            return "no_pass_rate"
        if raw.pass_rate > settings.max_pass_rate:
            return "pass_rate"
    if not question.replace("<image>", "").strip():
        return "no_question"
    if not raw.answer:
        return "no_answer"
    if len(raw.answer) > settings.max_answer_chars:
        return "long_answer"
    if raw.answer_type == UNGRADED:
        return "ungraded_kind"
    if raw.answer_type == FREE_FORM and settings.free_form == "drop":
        return "free_form"
    if settings.check_answers and raw.answer_type == RULE and not is_gradable(raw.answer, settings.grader):
        return "ungradable_answer"
    return None


def scan_unit(unit: reading.Unit, settings: CorpusSettings, path: str) -> None:
    """Writes the unit's candidates, and its counts as the file's metadata."""
    source = READERS[unit.place.key]
    candidates: list[dict] = []
    dropped: Counter = Counter()
    unlisted: Counter = Counter()
    number, changed = -1, 0
    for number, row in enumerate(reading.all_rows(unit, pictures=False)):
        raw = source.read(row, unit.place.config)
        result = prepare(raw, source.name, settings, place_of(unit, number))
        if isinstance(result, Prepared):
            changed += result.changed
            candidates.append({"row": number, "subset": result.subset, "digest": result.digest})
        elif result.subset is None:
            unlisted[raw.subset] += 1
        else:
            dropped[f"{result.subset} {result.reason}"] += 1
    counts = {"read": number + 1, "changed": changed, "dropped": dropped, "unlisted": unlisted}
    table = pa.Table.from_pylist(candidates, CANDIDATES)
    table = table.replace_schema_metadata({"counts": json.dumps(counts, sort_keys=True)})
    with readable_disk_errors(path):
        write_atomically(path, lambda temporary: pq.write_table(table, temporary))


class Scanned(NamedTuple):
    rows: list[tuple[int, str, int]]
    """(row, sub-set, digest) of each candidate."""
    read: int
    changed: int
    """Candidates whose question lost directives."""
    dropped: Counter
    """By (sub-set, reason)."""
    unlisted: Counter


def read_scan(path: str | Path) -> Scanned:
    table = pq.read_table(path)
    counts = json.loads(table.schema.metadata[b"counts"])
    rows = list(zip(*(table.column(name).to_pylist() for name in CANDIDATES.names), strict=True))
    dropped = Counter({tuple(name.split(" ")): count for name, count in counts["dropped"].items()})
    return Scanned(rows, counts["read"], counts["changed"], dropped, Counter(counts["unlisted"]))
