"""Which runs a study consists of. Rows and plans that ask for the same training share its run."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig

from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.study.config import hydra_message
from recipe.zppo.study.inputs import Inputs, ValidationFiles
from recipe.zppo.study.keys import Row, StudyConfig, twin
from recipe.zppo.study.overrides import effective, flatten, override
from recipe.zppo.study.run_files import write_text

ID_LENGTH = 12


@dataclass(frozen=True)
class Cell:
    """A place in the table."""

    world: str
    row: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training. What the overrides say of files and folders is not in here."""

    row: str
    """The first row that asks for it."""
    world: str
    world_key: str
    backend: str
    seed: int
    steps: int
    overrides: tuple[str, ...]

    @property
    def id(self) -> str:
        """Hash of what the study decides on: world or files by name, backend, seed, steps, overrides.

        Not in it: the code (`code_version`, which the table watches), and the content of files of one's own.
        """
        content = {
            "world": self.world_key,
            "backend": self.backend,
            "seed": self.seed,
            "steps": self.steps,
            "overrides": effective(self.overrides),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]

    @property
    def name(self) -> str:
        """For people, in messages."""
        return f"{self.row}, {self.world}, seed {self.seed}"

    def command_line(self, inputs: Inputs, validation: ValidationFiles, folder: Path) -> list[str]:
        """All overrides for the trainer."""
        return [
            *self.overrides,
            *inputs.overrides(self.seed),
            *validation.overrides(),
            override("zppo.seed", self.seed),
            override("trainer.total_training_steps", self.steps),
            override("trainer.default_local_dir", str(folder)),
            override("trainer.experiment_name", f"{self.row}-{self.world}-seed{self.seed}"),
            override("trainer.resume_mode", "auto"),
        ]


@dataclass
class Plan:
    """The cells of the table, and the run of each. Rows that wait for a measured time get their steps by `derive`."""

    config: StudyConfig
    inputs: Sequence[Inputs]
    derived: dict[tuple[str, str], int] = field(default_factory=dict)
    """Steps by world and row."""

    def cells(self) -> Iterator[Cell]:
        """World by world and seed by seed, so that a stopped study has whole seeds; rows that wait come last."""
        seeds = sorted({seed for row in self.config.chosen for seed in row.seeds})
        for waits in (False, True):
            for inputs in self.inputs:
                for seed in seeds:
                    for row in self.config.chosen:
                        if seed in row.seeds and (row.steps is None) == waits:
                            yield Cell(inputs.name, row.name, seed)

    def run(self, cell: Cell) -> Run | None:
        """None while its number of steps is not known."""
        row, inputs = self.row(cell.row), self.world(cell.world)
        steps = self.derived.get((cell.world, cell.row)) if row.steps is None else row.steps
        if steps is None:
            return None
        return Run(
            row=row.name,
            world=inputs.name,
            world_key=inputs.key,
            backend=self.config.backend,
            seed=cell.seed,
            steps=steps,
            overrides=tuple(row_overrides(self.config, row)),
        )

    def runs(self) -> list[Run]:
        """Each once, in the order of the cells; without those that wait."""
        unique: dict[str, Run] = {}
        for cell in self.cells():
            if (run := self.run(cell)) is not None:
                unique.setdefault(run.id, run)
        return list(unique.values())

    def waiting(self) -> list[tuple[Inputs, Row]]:
        """Rows whose steps are not known yet."""
        return [
            (inputs, row)
            for inputs in self.inputs
            for row in self.config.chosen
            if row.steps is None and (inputs.name, row.name) not in self.derived
        ]

    def row(self, name: str) -> Row:
        return next(row for row in self.config.chosen if row.name == name)

    def world(self, name: str) -> Inputs:
        return next(inputs for inputs in self.inputs if inputs.name == name)


def row_overrides(config: StudyConfig, row: Row) -> list[str]:
    """Platform, common settings and further overrides, then the row's own."""
    common = [override(key, value) for key, value in flatten(config.settings)]
    return [f"platform={config.platform}", *common, *config.overrides, *row.overrides]


def check_rows(config: StudyConfig, inputs: Inputs) -> dict[str, DictConfig]:
    """Compose the trainer's config of every row; by name.

    Raises:
        ConfigError: a row names an unknown method or key, or its `zppo` node cannot work.
    """
    composed = {}
    for row in config.chosen:
        try:
            composed[row.name] = compose([*row_overrides(config, row), *inputs.overrides(row.seeds[0])])
            validate_zppo(composed[row.name].zppo)
        except ConfigError as error:
            raise ConfigError(f"row {row.name}: {error}") from error
        except Exception as error:  # Hydra has no common base for what it raises
            raise ConfigError(f"row {row.name}: {hydra_message(error)}") from error
    return composed


def available_steps(num_questions: int, composed: DictConfig) -> int:
    """For which the data last, with a row's own batch size."""
    return num_questions // int(composed.data.train_batch_size) * int(composed.trainer.total_epochs)


def check_steps(plan: Plan, world: str, available: Mapping[str, int]) -> None:
    """Raises `ConfigError` if a row takes more steps than the data have. `available`: by row."""
    for row in plan.config.chosen:
        last = available[row.name]
        if row.steps is not None and row.steps > last:
            raise ConfigError(f"row {row.name}: {row.steps} steps, but the data of world {world} last for {last}")


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """How many steps of a row take as long as another row: what was measured, and what follows."""

    key: str
    world: str
    row: str
    model_steps: int
    model_step_seconds: float
    step_seconds: float
    available: int

    @property
    def steps(self) -> int:
        """At least one, and no more than the data have."""
        wanted = math.floor(self.model_steps * self.model_step_seconds / self.step_seconds + 0.5)
        return max(1, min(self.available, wanted))

    @property
    def clipped(self) -> bool:
        return self.model_steps * self.model_step_seconds / self.step_seconds > self.available + 0.5


def timing_rows(plan: Plan, row: Row) -> tuple[Row, Row]:
    """The row whose time is to be matched, and the one that tells how long a step of `row` takes."""
    other = twin(row, plan.config.chosen)
    assert row.same_time_as is not None and other is not None  # read_config has seen to it
    return plan.row(row.same_time_as), other


def derivation_key(plan: Plan, inputs: Inputs, row: Row) -> str:
    """Changes with everything but the seeds that decides on the derived number of steps."""
    content = [inputs.key, plan.config.backend]
    for timed in timing_rows(plan, row):
        content += [timed.steps, effective(row_overrides(plan.config, timed))]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]


class Derivations:
    """The derived numbers of steps, in a file: later seeds take the number that the first ones had."""

    def __init__(self, path: Path):
        self.path = path
        self.by_key: dict[str, Derivation] = {}
        names = [spec.name for spec in dataclasses.fields(Derivation)]
        with suppress(OSError, ValueError, KeyError, TypeError):
            entries = json.loads(path.read_text(encoding="utf-8"))
            self.by_key = {entry["key"]: Derivation(**{name: entry[name] for name in names}) for entry in entries}

    def add(self, derivation: Derivation) -> None:
        self.by_key[derivation.key] = derivation
        entries = [
            dataclasses.asdict(entry) | {"steps": entry.steps, "clipped": entry.clipped}
            for entry in self.by_key.values()
        ]
        write_text(self.path, json.dumps(entries, indent=2) + "\n")
