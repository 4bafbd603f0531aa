"""The loop of a study: hand out runs, collect what they came to, write tables after each."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from recipe.zppo.study.backends import Job
from recipe.zppo.study.comparison import results
from recipe.zppo.study.display import Display
from recipe.zppo.study.equal_time import section
from recipe.zppo.study.inputs import Inputs, ValidationFiles
from recipe.zppo.study.keys import Row
from recipe.zppo.study.ledger import Ledger, Standing
from recipe.zppo.study.plan import Cell, Derivation, Derivations, Plan, derivation_key, timing_rows
from recipe.zppo.study.pool import Pool
from recipe.zppo.study.tables import write_tables

_TICK_S = 0.5


@dataclass
class Study:
    """A planned study. Its folder must be locked, and its worlds be there."""

    plan: Plan
    ledger: Ledger
    validation: Mapping[str, ValidationFiles]
    available: Mapping[str, Mapping[str, int]]
    """Steps for which the data last, by world and row."""
    about: Callable[[], list[str]]
    """The head of table.md."""

    @property
    def out(self) -> Path:
        return self.plan.config.out

    def run(self, pool: Pool, display: Display) -> None:
        """To the end of all runs; a run that fails is passed over.

        Raises:
            StudyError: workers can't start.
        """
        derivations = Derivations(self.out / "derived.json")
        for _ in range(2):  # what is finished already may be what the length of another row is measured by
            self._derive(derivations, display)
            self.ledger.add(self.plan.runs())
        self.write_tables()
        waiting = deque(self.ledger.with_state("waiting"))
        while waiting or self.ledger.with_state("running"):
            while waiting and pool.free:
                self._start(waiting.popleft(), pool)
            ended = pool.next_event(_TICK_S)
            if ended is not None:
                display.ended(self.ledger.end(ended.job_id, ended.error))
                self.write_tables()
            if not self.ledger.with_state("running") and not waiting:
                self._derive(derivations, display)
                self.ledger.add(self.plan.runs())
                waiting.extend(self.ledger.with_state("waiting"))
            self.ledger.look()
            display.show(self.plan, self.ledger)
        self.write_tables()

    def write_tables(self) -> None:
        found = results(self.plan, self.ledger)
        more = {world: section(self.plan, self.ledger, world) for world in found}
        write_tables(self.out, found, self.plan.config.baseline, self.about(), more)

    def _start(self, standing: Standing, pool: Pool) -> None:
        run = standing.run
        command_line = run.command_line(self.plan.world(run.world), self.validation[run.world], standing.folder)
        self.ledger.start(standing, command_line)
        pool.start(run.id, Job(standing.folder, command_line, run.steps))

    def _derive(self, derivations: Derivations, display: Display) -> None:
        """Fix the steps of rows that wait for a time, where an earlier start has, or the time is measured by now."""
        for inputs, row in self.plan.waiting():
            key = derivation_key(self.plan, inputs, row)
            derivation = derivations.by_key.get(key)
            if derivation is None and (derivation := self._derivation(key, inputs, row)) is not None:
                derivations.add(derivation)
                cut = f", all that the data last for (of {derivation.available})" if derivation.clipped else ""
                display.say(
                    f"{row.name}, {inputs.name}: {derivation.steps} steps{cut}, to take as long as {row.same_time_as} "
                    f"({derivation.model_step_seconds:.2f} s a step against {derivation.step_seconds:.2f} s)"
                )
            if derivation is not None:
                self.plan.derived[inputs.name, row.name] = derivation.steps

    def _derivation(self, key: str, inputs: Inputs, row: Row) -> Derivation | None:
        """None while either time is not measured."""
        model, other = timing_rows(self.plan, row)
        seconds = [self._step_seconds(inputs, timed) for timed in (model, other)]
        if seconds[0] is None or not seconds[1]:
            return None
        assert model.steps is not None
        return Derivation(
            key=key,
            world=inputs.name,
            row=row.name,
            model_steps=model.steps,
            model_step_seconds=seconds[0],
            step_seconds=seconds[1],
            available=self.available[inputs.name][row.name],
        )

    def _step_seconds(self, inputs: Inputs, row: Row) -> float | None:
        """Median over the finished runs of a row: a run that shared the machine does not count for more."""
        standings = [self.ledger.of(self.plan.run(Cell(inputs.name, row.name, seed))) for seed in row.seeds]
        measured = [standing.measures for standing in standings if standing is not None and standing.measures]
        values = [seconds for measures in measured if (seconds := measures.get("step_seconds"))]
        return median(values) if values else None
