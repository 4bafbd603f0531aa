"""Intervals that speak of worlds: each world counts once, as the mean over its seeds."""

from collections.abc import Mapping, Sequence

from recipe.zppo.study.comparison import RowResult, baseline_of
from recipe.zppo.study.intervals import Interval, mean_interval
from recipe.zppo.study.keys import world_of
from recipe.zppo.study.measures import MEASURES

Results = Mapping[str, Sequence[RowResult]]


def difficulties(results: Results) -> dict[str, list[Sequence[RowResult]]]:
    """The results of worlds that differ in their seed only, where there are several."""
    found: dict[str, list[Sequence[RowResult]]] = {}
    for world, rows in results.items():
        found.setdefault(world_of(world)[0], []).append(rows)
    return {name: worlds for name, worlds in found.items() if len(worlds) > 1}


def over_worlds(worlds: Sequence[Sequence[RowResult]], row: str, baseline: str) -> dict[str, list[Interval | None]]:
    """By measure that is compared: the row's mean over worlds, and of its differences to the baseline, seed by seed."""
    found: dict[str, list[Interval | None]] = {}
    for measure in MEASURES:
        if measure.compared:
            means, differences = [], []
            for rows in worlds:
                mine, base = baseline_of(rows, row), baseline_of(rows, baseline)
                if mine is not None and (mean := mine.mean(measure.key)):
                    means.append(mean.mean)
                    if base is not None and base is not mine and (pair := mine.difference(measure.key, base)):
                        differences.append(pair.mean)
            found[measure.key] = [mean_interval(means), mean_interval(differences)]
    return found
