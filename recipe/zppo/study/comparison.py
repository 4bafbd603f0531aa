"""The table's content: every row's measures by seed, and their differences to the baseline."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recipe.zppo.run.folder import Row as Metrics
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.study.intervals import Interval, mean_interval, paired_difference
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.plan import Cell, Plan


@dataclass(frozen=True)
class RowResult:
    """A row in one world."""

    world: str
    row: str
    label: str
    values: Mapping[int, Mapping[str, float | None]]
    """Measures of the finished seeds."""
    missing: Mapping[int, str] = field(default_factory=dict)
    """Seeds without a result, and why."""
    steps: int | None = None

    def by_seed(self, measure: str) -> dict[int, float]:
        return {seed: value for seed, m in sorted(self.values.items()) if (value := m.get(measure)) is not None}

    def mean(self, measure: str) -> Interval | None:
        return mean_interval(list(self.by_seed(measure).values()))

    def difference(self, measure: str, baseline: "RowResult") -> Interval | None:
        """To the baseline, seed by seed, over the seeds that both have."""
        return paired_difference(self.by_seed(measure), baseline.by_seed(measure))

    def ratio(self, measure: str, baseline: "RowResult") -> float | None:
        """Of the two means over the seeds that both have."""
        mine, other = self.by_seed(measure), baseline.by_seed(measure)
        seeds = mine.keys() & other.keys()
        below = sum(other[seed] for seed in seeds)
        return sum(mine[seed] for seed in seeds) / below if below else None


def results(plan: Plan, ledger: Ledger) -> dict[str, list[RowResult]]:
    """By world, in the order of the rows."""
    found: dict[str, list[RowResult]] = {}
    for inputs in plan.inputs:
        for row in plan.config.chosen:
            values: dict[int, Mapping[str, float | None]] = {}
            missing: dict[int, str] = {}
            steps = None
            for seed in sorted(row.seeds):
                standing = ledger.of(plan.run(Cell(inputs.name, row.name, seed)))
                if standing is None:
                    missing[seed] = "waits for measured times"
                    continue
                steps = standing.run.steps
                if standing.measures is not None:
                    values[seed] = standing.measures
                elif standing.error is not None:
                    missing[seed] = f"failed: {standing.error}"
                else:
                    missing[seed] = f"step {standing.step} of {steps}" if standing.step else "not begun"
            result = RowResult(inputs.name, row.name, row.label, values, missing, steps)
            found.setdefault(inputs.name, []).append(result)
    return found


def metrics_by_row(plan: Plan, ledger: Ledger, world: str) -> dict[str, dict[int, list[Metrics]]]:
    """Rows of metrics of the finished runs, by row and seed. A run whose file is empty is left out.

    Where a run did not validate before training, what is known of its student stands before its first step.
    """
    [inputs] = [inputs for inputs in plan.inputs if inputs.name == world]
    found: dict[str, dict[int, list[Metrics]]] = {row.name: {} for row in plan.config.chosen}
    read = functools.cache(lambda folder: RunFolder(folder).metrics())
    for cell in plan.cells():
        standing = ledger.of(plan.run(cell))
        if cell.world != world or standing is None or standing.state != "finished":
            continue
        if rows := read(standing.folder):
            known = cell.seed in inputs.before and rows[0]["step"] > 0
            found[cell.row][cell.seed] = [dict(inputs.before[cell.seed]), *rows] if known else rows
    return found


def baseline_of(rows: Sequence[RowResult], name: str) -> RowResult | None:
    return next((row for row in rows if row.row == name), None)
