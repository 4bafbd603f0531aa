"""How every run of a study stands, in memory and in its folder."""

import functools
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recipe.zppo.config.paths import ROOT
from recipe.zppo.run.events import EVENTS_FILE, read_events
from recipe.zppo.run.folder import RunFolder, read_json
from recipe.zppo.study.inputs import ValidationFiles
from recipe.zppo.study.measures import accuracy_by_step, measure
from recipe.zppo.study.plan import Run
from recipe.zppo.study.run_files import remove_checkpoints, run_folder, write_json

State = Literal["waiting", "running", "finished", "failed"]
_DECIDES = ("recipe/zppo", "recipe/cpu", "verl/trainer")
_DOES_NOT = ("recipe/zppo/study",)


@dataclass
class Standing:
    """One run."""

    run: Run
    folder: Path
    state: State = "waiting"
    step: int = 0
    """Steps whose metrics are there."""
    error: str | None = None
    """Cause of a failure, in this or in an earlier start."""
    measures: dict[str, float | None] | None = None
    """Of a finished run."""
    seconds_a_step: float | None = None
    """Of a finished run: all that it took, start-up and validation too, over its steps; before, what steps take."""
    began: float = 0.0
    """When this attempt did (monotonic), and from which step."""
    first_step: int = 0
    pace: tuple[float, int] | None = None
    """Time and step when steps of this attempt were first seen: from then on, start-up does not count."""


class Ledger:
    """The standings by run id, in the order in which they were added."""

    def __init__(self, out: Path, validation: dict[str, ValidationFiles], keep_checkpoints: bool = False):
        self.out, self._validation, self._keep_checkpoints = out, validation, keep_checkpoints
        self.by_id: dict[str, Standing] = {}

    def add(self, runs: Iterable[Run]) -> None:
        """Take up runs, with what earlier starts have left of them."""
        for run in runs:
            if run.id in self.by_id:
                continue
            folder = run_folder(self.out, run.id, f"{run.row}-{run.world}-seed{run.seed}")
            standing = Standing(run, folder)
            result = read_json(folder / "result.json")
            if result is not None and folder.joinpath(EVENTS_FILE).exists():
                standing.state = "finished"
                # Anew, since the code that measures may have changed.
                standing.measures = measure(RunFolder(folder).metrics(), self.sources(run.world))
                standing.seconds_a_step = result.get("seconds_a_step")
                standing.step = run.steps
            else:
                standing.step = steps_written(folder)
                standing.error = (read_json(folder / "error.json") or {}).get("error")
            self.by_id[run.id] = standing

    def of(self, run: Run | None) -> Standing | None:
        return None if run is None else self.by_id.get(run.id)

    def with_state(self, *states: State) -> list[Standing]:
        return [standing for standing in self.by_id.values() if standing.state in states]

    def start(self, standing: Standing, command_line: list[str]) -> None:
        run = standing.run
        standing.state, standing.error = "running", None
        standing.began, standing.first_step, standing.pace = time.monotonic(), standing.step, None
        content: dict[str, Any] = {
            "id": run.id,
            "row": run.row,
            "world": run.world,
            "world_key": run.world_key,
            "backend": run.backend,
            "seed": run.seed,
            "steps": run.steps,
            "sources": self.sources(run.world),
            "overrides": command_line,
            "code": code_version(),
        }
        write_json(standing.folder / "run.json", content)
        (standing.folder / "error.json").unlink(missing_ok=True)

    def code_versions(self) -> set[str]:
        """Of the finished runs; `unknown` where a run does not say."""
        found = [read_json(standing.folder / "run.json") or {} for standing in self.with_state("finished")]
        return {str(content.get("code", "unknown")) for content in found}

    def look(self) -> None:
        """See how far the running ones are."""
        for standing in self.with_state("running"):
            standing.step = steps_written(standing.folder)
            if standing.step > standing.first_step:
                standing.pace = standing.pace or (time.monotonic(), standing.step)
                began, first = standing.pace
                if standing.step >= first + 2:
                    standing.seconds_a_step = (time.monotonic() - began) / (standing.step - first)

    def end(self, run_id: str, error: str | None) -> Standing:
        """A run has ended; what it has left decides whether it is finished."""
        standing = self.by_id[run_id]
        rows = RunFolder(standing.folder).metrics() if standing.folder.is_dir() else []
        sources = self.sources(standing.run.world)
        standing.step = int(rows[-1]["step"]) if rows else 0
        validated = max(accuracy_by_step(rows, sources.get("held_out", ())), default=0)
        error = error or _lacking(standing.run, standing.step, validated)
        if error is not None:
            standing.state, standing.error = "failed", error
            write_json(standing.folder / "error.json", {"error": error})
            return standing
        elapsed = time.monotonic() - standing.began
        standing.measures = measure(rows, sources)
        standing.seconds_a_step = elapsed / max(1, standing.run.steps - standing.first_step)
        if not self._keep_checkpoints:
            remove_checkpoints(standing.folder)
        write_json(
            standing.folder / "result.json",
            {"seconds_a_step": standing.seconds_a_step, "measures": standing.measures},
        )
        standing.state = "finished"
        return standing

    def sources(self, world: str) -> dict[str, list[str]]:
        return {name: list(sources) for name, sources in self._validation[world].sources.items()}


def _lacking(run: Run, step: int, validated: int) -> str | None:
    """Why a run that says it has ended well is not complete."""
    if step < run.steps:
        return f"ended after step {step} of {run.steps}"
    if validated < run.steps:
        return f"the held-out questions were not measured after step {run.steps}"
    return None


def steps_written(folder: Path) -> int:
    """The last step with metrics."""
    return max((event["step"] for event in read_events(folder / EVENTS_FILE, "measured")), default=0)


@functools.cache
def code_version() -> str:
    """Hash of the files that decide on what a run does: a table says when its runs are not of one version."""
    digest = hashlib.sha256()
    for folder in _DECIDES:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".py", ".yaml") and not name.startswith(_DOES_NOT):
                digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
