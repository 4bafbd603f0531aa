"""Results as Markdown and CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recipe.zppo.study.comparison import RowResult, baseline_of
from recipe.zppo.study.intervals import Interval
from recipe.zppo.study.measures import MEASURES, OF_SOURCE, Measure
from recipe.zppo.study.over_worlds import difficulties, over_worlds
from recipe.zppo.study.run_files import write_text
from recipe.zppo.view.text_tables import csv_text, grid

Results = Mapping[str, Sequence[RowResult]]
_NOTHING = "–"


def write_tables(
    out: Path, results: Results, baseline: str, about: Sequence[str], more: Mapping[str, str] | None = None
) -> None:
    """table.md, table.csv and runs.csv. `about`: lines on how the numbers were made, for the head of table.md.
    `more`: further parts of table.md, by world.
    """
    write_text(out / "table.md", markdown(results, baseline, about, more))
    write_text(out / "table.csv", table_csv(results, baseline))
    write_text(out / "runs.csv", runs_csv(results))


def markdown(results: Results, baseline: str, about: Sequence[str], more: Mapping[str, str] | None = None) -> str:
    parts = ["\n".join(about)] if about else []
    for world, rows in results.items():
        parts.append(f"## World: {world}")
        parts.append(_mean_table(rows))
        base = baseline_of(rows, baseline)
        if base is not None and any(row.values for row in rows if row is not base) and base.values:
            parts.append(f"Differences to {base.label}, seed by seed:")
            parts.append(_difference_table(rows, base))
        sources = sorted({key for row in rows for m in row.values.values() for key in m if key.startswith(OF_SOURCE)})
        if len(sources) > 2:  # else they are the columns of accuracy
            parts += ["Accuracy after the last step, by data source:", _source_table(rows, sources)]
        if more and more.get(world):
            parts.append(more[world])
        missing = [f"- {row.label}, seed {s}: {why}" for row in rows for s, why in sorted(row.missing.items())]
        if missing:
            parts.append("\n".join(["Missing:", *missing]))
    for difficulty, worlds in difficulties(results).items():
        parts += [f"## Over {len(worlds)} worlds: {difficulty}", _worlds_table(worlds, baseline)]
    parts.append(
        "Mean ± half-width of the 95% interval over seeds (Student's t); n: finished seeds. (n=1) has no interval. "
        "Graduation rates are of the entries that left the buffer; pp: percentage points."
    )
    return "\n\n".join(parts) + "\n"


def _mean_table(rows: Sequence[RowResult]) -> str:
    lines = [["method", "n", "steps", *(measure.title for measure in MEASURES)]]
    for row in rows:
        wanted = len(row.values) + len(row.missing)
        n = str(len(row.values)) if not row.missing else f"{len(row.values)} of {wanted}"
        cells = [shown(row.mean(measure.key), measure, len(row.values)) for measure in MEASURES]
        lines.append([row.label, n, str(row.steps or _NOTHING), *cells])
    return grid(lines)


def _difference_table(rows: Sequence[RowResult], base: RowResult) -> str:
    compared = [measure for measure in MEASURES if measure.compared]
    lines = [["method", "pairs", *(measure.title for measure in compared), "graduation rate, times"]]
    for row in rows:
        if row is base:
            continue
        pairs = len(row.values.keys() & base.values.keys())
        cells = [shown(row.difference(m.key, base), m, pairs, difference=True) for m in compared]
        ratio = row.ratio("graduation_rate", base)
        lines.append([row.label, str(pairs), *cells, f"{ratio:.2f}" if ratio is not None else _NOTHING])
    return grid(lines)


def _source_table(rows: Sequence[RowResult], sources: Sequence[str]) -> str:
    lines = [["method", "n", *(source.removeprefix(OF_SOURCE) for source in sources)]]
    for row in rows:
        if n := len(row.values):
            cells = [shown(row.mean(key), Measure(key, "", "share"), n) for key in sources]
            lines.append([row.label, str(n), *cells])
    return grid(lines)


def _worlds_table(worlds: Sequence[Sequence[RowResult]], baseline: str) -> str:
    """Each world counts once; intervals are over worlds."""
    compared = [measure for measure in MEASURES if measure.compared]
    lines = [["method", "worlds", *(t for m in compared for t in (m.title, "to the baseline"))]]
    for row in worlds[0]:
        found, cells = over_worlds(worlds, row.row, baseline), []
        n = sum(bool(other.values) for rows in worlds for other in rows if other.row == row.row)
        for measure in compared:
            mean, difference = found[measure.key]
            cells += [shown(mean, measure, n), shown(difference, measure, n, difference=True)]
        lines.append([row.label, str(n), *cells])
    return grid(lines)


def shown(interval: Interval | None, measure: Measure, n: int, *, difference: bool = False) -> str:
    """``54.2% ± 8.1``, or ``+29.3 ± 5.0 pp`` of a difference; says on how many seeds it rests if not on ``n``."""
    if interval is None:
        return _NOTHING
    sign = "+" if difference else ""
    scale, digits = {"share": (100.0, 1), "seconds": (1.0, 2), "count": (1.0, 0)}[measure.kind]
    if measure.key == "train_seconds":
        digits = 0
    text = f"{interval.mean * scale:{sign},.{digits}f}"
    spread = "" if interval.half_width is None else f" ± {interval.half_width * scale:,.{digits}f}"
    if measure.kind == "share":
        text = f"{text}{spread} pp" if difference else f"{text}%{spread}"
    else:
        text += spread
    return text if interval.n == n and interval.n > 1 else f"{text} (n={interval.n})"


def table_csv(results: Results, baseline: str) -> str:
    """One line a world, row and measure; shares as fractions."""
    names = ["n", "mean", "low", "high"]
    header = ["world", "row", "label", "steps", "measure", *names, *(f"difference_{name}" for name in names), "missing"]
    lines = []
    for world, rows in results.items():
        base = baseline_of(rows, baseline)
        for row in rows:
            for measure in MEASURES:
                difference = row.difference(measure.key, base) if base is not None and base is not row else None
                missing = " ".join(str(seed) for seed in sorted(row.missing))
                numbers = [*_numbers(row.mean(measure.key)), *_numbers(difference)]
                lines.append([world, row.row, row.label, row.steps, measure.key, *numbers, missing])
    return csv_text(header, lines)


def _numbers(interval: Interval | None) -> list[float | None]:
    return [0, None, None, None] if interval is None else [interval.n, interval.mean, interval.low, interval.high]


def runs_csv(results: Results) -> str:
    """One line a world, row and seed, the unfinished ones with what they lack."""
    rows = [row for world in results.values() for row in world]
    measures = list(dict.fromkeys(key for row in rows for values in row.values.values() for key in values))
    lines = []
    for row in rows:
        for seed in sorted(row.values.keys() | row.missing.keys()):
            values = row.values.get(seed, {})
            state = "finished" if seed in row.values else row.missing[seed]
            lines.append([row.world, row.row, row.label, seed, row.steps, state, *(values.get(m) for m in measures)])
    return csv_text(["world", "row", "label", "seed", "steps", "state", *measures], lines)
