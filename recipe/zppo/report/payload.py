"""Everything that the page shows of some runs, as one JSON object."""

import dataclasses
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

from recipe.zppo.report.charts import all_charts, compared
from recipe.zppo.report.cost import RULE, costs
from recipe.zppo.report.head import ten_numbers
from recipe.zppo.report.questions import MOST_LISTED, in_turn, listed
from recipe.zppo.report.setup import configuration, differences, packages, versions
from recipe.zppo.report.story import what_it_is
from recipe.zppo.report.texts import LONGEST, packed_lives
from recipe.zppo.run.folder import Row, RunFolder, RunFolderError
from recipe.zppo.view import outcome
from recipe.zppo.view.candidate_match import candidate_match
from recipe.zppo.view.health import warnings
from recipe.zppo.view.question_life import Life, lives
from recipe.zppo.view.run_summary import state_of
from recipe.zppo.view.title import method_name, run_title, told_apart

TEXT_BYTES = 16 * 2**20
"""Of packed texts on a page: with the list it stays below 50 MB, and opens in two seconds."""


_ORDER = (
    "those with a BCQ, an NCQ or the like come first; then every fate and every accuracy at entry takes its turn, and "
    f"a hash of the question's id decides, until {TEXT_BYTES // 2**20} MB are full."
)

_CUT = f"Of a text of more than {LONGEST:,} characters, beginning and end are here; all of it is in rollouts/."


def report(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """With the texts of a sample of questions (`in_turn`).

    Raises:
        RunFolderError: a folder is not that of a run.
    """
    for folder in folders:
        folder.require_events()
    content = live_report(folders, found := [lives(folder) for folder in folders])
    for folder, run, each in zip(folders, content["runs"], found, strict=True):
        run["texts"] = packed_lives(folder, each, TEXT_BYTES // len(folders))
        run["sample"] = _sample(len(run["texts"]), len(run["questions"]), len(each))
    return content


def live_report(folders: Sequence[RunFolder], found: Sequence[Sequence[Life]]) -> dict[str, Any]:
    """Without texts, which a server gives one by one.

    Args:
        found: the `lives` of each.
    """
    rows = [folder.metrics() for folder in folders]
    titles = told_apart([run_title(folder) for folder in folders], [folder.path for folder in folders])
    runs = [
        _run(folder, title, measured, each, MOST_LISTED // len(folders))
        for folder, title, measured, each in zip(folders, titles, rows, found, strict=True)
    ]
    return {
        "made": time.time(),
        "runs": runs,
        "compared": _compared(folders, runs, dict(zip(titles, rows, strict=True))) if len(folders) > 1 else None,
    }


def _run(folder: RunFolder, title: str, rows: Sequence[Row], found: Sequence[Life], most: int) -> dict[str, Any]:
    status = folder.status() or {}
    state, total = state_of(status), status.get("total_steps")
    steps = int(rows[-1]["step"]) if rows else 0
    distilled = outcome.distillation(rows) is not None or "Distill" in (method_name(folder) or "")
    shown = found if len(found) <= most else list(islice(in_turn(found), most))
    step = outcome.step_time(rows)
    return {
        "title": title,
        "path": str(folder.path),
        "state": state,
        "story": list(what_it_is(folder, rows, state, distilled)),
        "head": [
            dataclasses.asdict(n) for n in ten_numbers(rows, steps, total if isinstance(total, int) else None, state)
        ],
        "warnings": [dataclasses.asdict(concern) for concern in warnings(rows)],
        "charts": all_charts(rows),
        "audit": _audit(folder),
        "costs": [dataclasses.asdict(cost) for cost in costs(folder, rows)],
        "cost_rule": RULE,
        "step_time": dataclasses.asdict(step) if step else None,
        "configuration": configuration(folder),
        "versions": versions(folder),
        "questions": listed(shown),
        "texts": {},
        "sample": _sample(0, len(shown), len(found)),
    }


def _audit(folder: RunFolder) -> list[dict[str, Any]]:
    """Rows of the candidate-match audit (App. F.7); none without BCQ and NCQ."""
    try:
        match = candidate_match(folder.groups())
    except RunFolderError:  # no group yet
        return []
    rows = match.rows()
    return (
        [
            {"text": text, "part": share.part, "whole": share.whole, "shown": str(share), "paper": paper}
            for text, share, paper in rows
        ]
        if any(share.whole for _, share, _ in rows)
        else []
    )


def _compared(
    folders: Sequence[RunFolder], runs: Sequence[dict[str, Any]], rows: dict[str, Sequence[Row]]
) -> dict[str, Any]:
    heads = zip(*(run["head"] for run in runs), strict=True)
    return {
        "titles": [run["title"] for run in runs],
        "charts": compared(rows),
        "head": [[numbers[0]["name"], [number["value"] for number in numbers]] for numbers in heads],
        "configuration": differences([run["configuration"] for run in runs]),
        "versions": differences([run["versions"] for run in runs]),
        "packages": differences([packages(folder) for folder in folders]),
    }


def _sample(full: int, shown: int, hard: int) -> str:
    """The rule, for a reader of the page."""
    rule = f"{hard:,} questions were hard at least once; {'all' if shown == hard else f'{shown:,}'} are listed."
    if full:
        rule += f" {'All can be read here.' if full == hard else f'{full:,} can be read here: {_ORDER}'} {_CUT}"
    return rule
