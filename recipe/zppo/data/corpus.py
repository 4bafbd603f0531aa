"""Builds ZPPO-77K (App. B.1): two passes over the sources, then the shards.

1. `scan`: the text of every row of every listed sub-set; what could be taken.
2. `examine`: picture and length of those rows that the rule of `choose` asks for, in rounds until the caps are full.
3. Shards in a seeded order over all sub-sets, so that each is a fair sample.

Each task of a pass writes files of its own by rename, named after what it does; a task whose files are there is not
done again. So a killed build goes on where it was, and its result depends on neither the kill nor the workers.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from recipe.zppo.data import reading
from recipe.zppo.data.choose import Candidate, Chooser, order, rank
from recipe.zppo.data.corpus_settings import CorpusSettings
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.examine import examine_unit, read_examined, write_shard
from recipe.zppo.data.gold_answers import compare_golds
from recipe.zppo.data.pool import Pool
from recipe.zppo.data.progress import Progress
from recipe.zppo.data.scan import READERS, read_scan, scan_unit
from recipe.zppo.data.subsets import BY_NAME, SOURCES, canonical
from recipe.zppo.data.work_folder import WorkFolder

FORMAT = 2
"""Goes up when the same settings give other rows, or other tasks on the way to them."""


def build(settings: CorpusSettings, progress: Progress) -> dict[str, Any]:
    """Builds the corpus, or the rest of it; its report, which is `report-<split>.json` as well. Raises `BuildError`."""
    _check(settings)
    folder = WorkFolder(settings.out, settings.split)
    with folder.locked(progress.say):
        paths = {source: getattr(settings, source) for source in SOURCES}
        places = [reading.Place(source, path, settings.split) for source, path in paths.items() if path is not None]
        asked = _asked(settings, places)
        folder.compare(asked, overwrite=settings.overwrite)
        if (report := folder.finished()) is not None:
            progress.say(f"{folder.out}: complete already")
            return report
        units, unread = _units(settings, places, progress)
        folder.begin(asked)
        with closing(Pool(settings.workers or len(os.sched_getaffinity(0)))) as processes:
            report = _Build(settings, folder, processes, progress, units).run()
        report |= {"asked": asked, "configs_not_read": unread}
        folder.finish(report)
    return report


@dataclass
class _Build:
    _settings: CorpusSettings
    _folder: WorkFolder
    _processes: Pool
    _progress: Progress
    _units: Sequence[reading.Unit]
    _read: Counter = field(default_factory=Counter)
    _changed: int = 0
    _dropped: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    _unlisted: dict[str, Counter] = field(default_factory=lambda: {source: Counter() for source in SOURCES})
    _places: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    """Of each examined row that is fine: (unit, row) to (arrow file, number)."""

    def run(self) -> dict[str, Any]:
        candidates = self._scan()
        choosers = {name: Chooser(rows, self._cap(name)) for name, rows in sorted(candidates.items())}
        self._examine(choosers)
        for name, chooser in choosers.items():
            self._dropped[name] += chooser.counts()
        if not any(chooser.kept for chooser in choosers.values()):
            total = sum(self._dropped.values(), Counter())
            why = ", ".join(f"{reason} {count}" for reason, count in total.most_common()) or "no sub-set is listed"
            names = sorted(name for counts in self._unlisted.values() for name in counts)
            hint = f"; sub-sets that are not listed: {', '.join(names)[:200]}" if names else ""
            raise BuildError(f"no row is left of {sum(self._read.values())}: {why}{hint}")
        files = self._write(choosers)
        paths = [self._folder.out / name for name in files]
        golds = compare_golds(paths, self._settings.grader, self._progress)
        return self._report(choosers, files) | {"gold_answers": golds}

    def _cap(self, name: str) -> int:
        return {1: self._settings.tier1_cap, 2: self._settings.tier2_cap}[BY_NAME[name].tier]

    def _scan(self) -> dict[str, list[Candidate]]:
        paths = [str(self._folder.path / "scan" / f"{number:05d}.parquet") for number in range(len(self._units))]
        tasks = [(unit, self._settings, path) for unit, path in zip(self._units, paths, strict=True)]
        self._run("reading", scan_unit, tasks, [[path] for path in paths])
        found: dict[str, list[Candidate]] = {}
        for number, (unit, path) in enumerate(zip(self._units, paths, strict=True)):
            scanned = read_scan(path)
            source = unit.place.key
            self._unlisted[source] += scanned.unlisted
            for (name, reason), count in scanned.dropped.items():
                self._dropped[name][reason] += count
            for row, name, digest in scanned.rows:
                candidate = Candidate(SOURCES.index(source), rank(self._settings.seed, digest), digest, number, row)
                found.setdefault(name, []).append(candidate)
            self._read[source] += scanned.read
            self._changed += scanned.changed
        fill = self._settings.duplicates == "fill"
        for name, rows in found.items():
            found[name], dropped = order(rows, fill=fill)
            self._dropped[name] += dropped
        for name in self._dropped:
            found.setdefault(name, [])
        return found

    def _examine(self, choosers: Mapping[str, Chooser]) -> None:
        round_number = 0
        while portions := {name: portion for name, chooser in choosers.items() if (portion := chooser.portion())}:
            wanted: dict[int, list[int]] = {}
            for portion in portions.values():
                for candidate in portion:
                    wanted.setdefault(candidate.unit, []).append(candidate.row)
            paths = {
                unit: str(self._folder.path / "rows" / f"{round_number:03d}-{unit:05d}") for unit in sorted(wanted)
            }
            tasks = [(self._units[unit], sorted(wanted[unit]), self._settings, path) for unit, path in paths.items()]
            files = [[f"{path}.arrow", f"{path}.json"] for path in paths.values()]
            self._run(f"pictures, round {round_number + 1}", examine_unit, tasks, files)
            results = {
                (unit, row): result for unit, path in paths.items() for row, result in read_examined(path).items()
            }
            for key, result in results.items():
                if isinstance(result, int):
                    self._places[key] = (f"{paths[key[0]]}.arrow", result)
            for name, portion in portions.items():
                reasons = [results[candidate.unit, candidate.row] for candidate in portion]
                choosers[name].tell([reason if isinstance(reason, str) else None for reason in reasons])
            round_number += 1

    def _write(self, choosers: Mapping[str, Chooser]) -> list[str]:
        kept = [(name, candidate) for name, chooser in choosers.items() for candidate in chooser.kept]
        kept.sort(key=lambda pair: (rank(self._settings.seed, pair[1].digest, "order"), pair[0]))
        places = [self._places[candidate.unit, candidate.row] for _, candidate in kept]
        size = self._settings.rows_per_shard
        number = -(-len(places) // size)
        names = [f"{self._settings.split}-{shard:05d}-of-{number:05d}.parquet" for shard in range(number)]
        paths = [str(self._folder.out / name) for name in names]
        tasks = [(places[shard * size : (shard + 1) * size], shard * size, path) for shard, path in enumerate(paths)]
        self._run("writing", write_shard, tasks, [[path] for path in paths])
        return names

    def _run(self, what: str, function: Any, tasks: list[tuple], files: list[list[str]]) -> None:
        """Runs the tasks whose files are not all there yet."""
        left = [task for task, needed in zip(tasks, files, strict=True) if not all(map(os.path.exists, needed))]
        with self._progress.phase(what, len(tasks), done=len(tasks) - len(left)) as step:
            self._processes.run(function, left, step)

    def _report(self, choosers: Mapping[str, Chooser], files: list[str]) -> dict[str, Any]:
        subsets = {}
        for name, chooser in choosers.items():
            dropped = self._dropped[name]
            sources = Counter(self._units[candidate.unit].place.key for candidate in chooser.kept)
            subsets[name] = {
                "tier": BY_NAME[name].tier,
                "cap": self._cap(name),
                "read": len(chooser.kept) + sum(dropped.values()),
                "kept": len(chooser.kept),
                "kept_by_source": dict(sources),
                "dropped": dict(sorted(dropped.items())),
            }
        total = sum((Counter(entry["dropped"]) for entry in subsets.values()), Counter())
        used = {unit.place.key for unit in self._units}
        names = self._settings.subsets or tuple(BY_NAME)
        asked = [name for name in names if any(BY_NAME[name].names(source) for source in used)]
        return {
            "rows": sum(entry["kept"] for entry in subsets.values()),
            "read": dict(self._read),
            "questions_changed": self._changed,
            "dropped": dict(sorted(total.items())),
            "subsets": subsets,
            "subsets_not_found": [name for name in asked if name not in subsets],
            "unlisted": {source: dict(sorted(counts.items())) for source, counts in self._unlisted.items() if counts},
            "files": files,
        }


def _check(settings: CorpusSettings) -> None:
    if settings.vero is None and settings.mmfinereason is None:
        raise BuildError("vero, mmfinereason: both are null; there is nothing to build from")
    for name in settings.subsets or ():
        if name not in BY_NAME:
            raise BuildError(f"subsets: {name} is not one of {', '.join(BY_NAME)}")


def _asked(settings: CorpusSettings, places: Sequence[reading.Place]) -> dict[str, Any]:
    """All that the result depends on."""
    asked = settings.model_dump(exclude={"workers", "overwrite", "out"})
    files = {f"files of {place.key}": reading.fingerprint(place) for place in places}
    return {**asked, **files, "format": FORMAT}


def _units(
    settings: CorpusSettings, places: Sequence[reading.Place], progress: Progress
) -> tuple[list[reading.Unit], dict[str, list[str]]]:
    """All shards to read, in an order of their own, and by source the configs that are not read."""
    units, unread = [], {}
    for place in places:
        source = READERS[place.key]
        names = reading.configs(place)
        chosen = names
        if source.by_config and names != [""]:
            asked = settings.subsets or BY_NAME
            chosen = [name for name in names if (subset := canonical(place.key, name)) and subset.name in asked]
            unread[place.key] = [name for name in names if name not in chosen]
            if not chosen:
                raise BuildError(f"{place}: no config is one of the listed sub-sets; it has {', '.join(names)[:300]}")
        with progress.phase(f"opening {place.key}", len(chosen)) as step:
            for name in chosen:
                units += reading.units(place._replace(config=name), source.text_columns, source.image_column)
                step()
    return units, unread
