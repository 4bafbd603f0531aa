"""Models beside the paper, as Markdown and CSV.

`markdown` has a table a family: a row a model, below it the paper's row for the same student and method and the
differences; then how answers were decided, and why a number is missing. `table_csv` has a line a model and
benchmark with every count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from recipe.zppo.benchmarks.contract import Family
from recipe.zppo.evaluate.paper import PaperRow, families
from recipe.zppo.evaluate.protocol import deviations
from recipe.zppo.evaluate.results import BenchmarkResult, ModelResults
from recipe.zppo.view.text_tables import csv_text, grid
from recipe.zppo.view.title import all_shown

FAMILY_TITLES = {"vlm": "VLM", "llm": "LLM", "video": "Video"}

_NOTHING = "–"
_COUNTS = ("questions", "lines", "answered", "unanswered", "cut", "by_rule", "by_metric", "by_judge", "malformed",
           "undecided", "tokens", "judge_tokens", "seconds")  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """A model, and the paper's row that it is shown with."""

    label: str
    results: ModelResults
    paper: PaperRow | None


def beside(models: Sequence[ModelResults], paper: Sequence[PaperRow | None]) -> list[Beside]:
    """Each model under a name that no other has."""
    labels = all_shown(model.model for model in models)
    return [Beside(*each) for each in zip(labels, models, paper, strict=True)]


def columns(models: Sequence[ModelResults]) -> dict[str, list[str]]:
    """Benchmarks of any model by family, in the order of the paper's tables; others after them."""
    order = list(families())
    found: dict[str, list[str]] = {family: [] for family in FAMILY_TITLES}
    for model in models:
        for name, result in model.benchmarks.items():
            column = found.setdefault(result.family, [])
            if name not in column:
                column.append(name)
    for names in found.values():
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
    return {family: names for family, names in found.items() if names}


def markdown(rows: Sequence[Beside]) -> str:
    parts = ["# Evaluation", "\n".join(f"- {row.label}: {_about(row.results)}" for row in rows)]
    by_family = columns([row.results for row in rows])
    for family, names in by_family.items():
        parts += [f"## {FAMILY_TITLES.get(family, family)}", grid(_family_table(rows, family, names))]
        if partial := [line for row in rows if (line := _partial(row, names))]:
            parts.append("\n".join(partial))
    names = [name for column in by_family.values() for name in column]
    parts += ["## How answers were decided", grid(_decisions(rows, names))]
    if remarks := [f"- {row.label}, {name}: {why}" for row in rows for name, why in _remarks(row, names)]:
        parts += ["## Remarks", "\n".join(remarks)]
    parts.append(
        "Scores are 0 to 100. average: over the benchmarks of a family, each alike. ±: standard error over samples. "
        "Shares are of answered questions and samples. undecided: left open by the rule, no judge, scored 0. "
        "cut: at the limit of tokens, scored as they are. unanswered: in no score."
    )
    return "\n\n".join(parts) + "\n"


def _about(results: ModelResults) -> str:
    limit = "all questions" if results.limit is None else f"at most {results.limit} questions a benchmark"
    judge = results.judge or "none"
    other = deviations(results.protocol)
    return (
        f"{results.path} on {results.engine}, judge {judge}, {limit}, samples {results.samples}, seed {results.seed}"
        f"{'; not the protocol: ' if other else ''}{', '.join(other)}"
    )


def _family_table(rows: Sequence[Beside], family: str, names: Sequence[str]) -> list[list[str]]:
    lines = [["model", *names, "average"]]
    for _, found in groupby(rows, key=lambda row: row.paper and row.paper.name):
        group = list(found)
        for row in group:
            cells = [_score(row.results.benchmarks.get(name)) for name in names]
            lines.append([row.label, *cells, _average(row.results.scores(), names)])
        if (paper := group[0].paper) is None:
            continue
        printed = [f"{paper.scores[name]:.1f}" if name in paper.scores else _NOTHING for name in names]
        average = _average(paper.scores, names)
        if not paper.scores and family in paper.averages:  # Hint and Prefix
            average = f"{paper.averages[Family(family)]:.1f} (printed)"
        lines.append([f"paper, {paper.label}", *printed, average])
        for row in group if paper.scores else ():
            apart = differences(row.results.scores(), paper.scores, names)
            cells = [f"{apart[name]:+.1f}" if name in apart else _NOTHING for name in names]
            lines.append([f"{row.label} − paper", *cells, _average(apart, names, "+")])
    return lines


def differences(
    scores: Mapping[str, float], paper: Mapping[str, float], names: Sequence[str] | None = None
) -> dict[str, float]:
    """Points over the paper, where both have a number."""
    return {
        name: scores[name] - paper[name]
        for name in (scores if names is None else names)
        if name in scores and name in paper
    }


def _score(result: BenchmarkResult | None) -> str:
    if result is None or result.score is None:
        return _NOTHING
    spread = f" ± {result.standard_error:.1f}" if result.standard_error is not None else ""
    return f"{result.score:.1f}{spread}"


def _average(scores: Mapping[str, float], names: Sequence[str], sign: str = "") -> str:
    """Over all columns, or over how many of them."""
    found = [scores[name] for name in names if name in scores]
    if not found:
        return _NOTHING
    over = "" if len(found) == len(names) else f" (of {len(found)})"
    return f"{fmean(found):{sign}.1f}{over}"


def _partial(row: Beside, names: Sequence[str]) -> str:
    """What an average that is not over all columns lacks, as a sentence."""
    scores = row.results.scores()
    lacking = [name for name in names if name not in scores]
    if not lacking or len(lacking) == len(names):
        return ""
    return f"The average of {row.label} is over {len(names) - len(lacking)} of {len(names)}, without {_and(lacking)}."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _decisions(rows: Sequence[Beside], names: Sequence[str]) -> list[list[str]]:
    head = ["rule", "metric", "judge", "judge malformed", "undecided", "cut", "unanswered"]
    lines = [["model", "benchmark", "scoring", "questions", *head]]
    for row in rows:
        for name in names:
            found = row.results.benchmarks.get(name)
            if found is None or not found.lines:
                continue
            counts = (found.by_rule, found.by_metric, found.by_judge, found.malformed, found.undecided, found.cut)
            shares = [_share(count, found.answered) for count in counts]
            missing = f"{found.unanswered} of {found.lines}" if found.unanswered else "0"
            lines.append([row.label, name, found.scoring, str(found.questions), *shares, missing])
    return lines


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if whole and count else "0"


def _remarks(row: Beside, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if (found := row.results.benchmarks.get(name)) is None:
            yield name, "not finished, or not asked for"
        elif found.error:
            yield name, " ".join(found.error.split())


def table_csv(rows: Sequence[Beside]) -> str:
    """One line a model and benchmark that it has an entry of."""
    header = ["model", "family", "benchmark", "scoring", "score", "standard_error", *_COUNTS]
    lines = []
    for row in rows:
        scores = row.paper.scores if row.paper else {}
        apart = differences(row.results.scores(), scores)
        for names in columns([row.results]).values():
            for name in names:
                found = row.results.benchmarks[name]
                counts = [getattr(found, count) for count in _COUNTS]
                about = [row.results.model, found.family, name, found.scoring, found.score, found.standard_error]
                beside_it = [row.paper.name if row.paper else None, scores.get(name), apart.get(name)]
                lines.append([*about, *counts, *beside_it, found.error])
    return csv_text([*header, "paper", "paper_score", "difference", "error"], lines)
