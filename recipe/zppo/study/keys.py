"""The keys of a study, which config/study.yaml is written from, and the rows that they come to."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from recipe.zppo.config.engine import DescribedAs, Group, did_you_mean, key
from recipe.zppo.errors import ConfigError
from recipe.zppo.study.overrides import effective
from recipe.zppo.world.settings import WRONG_PRICE_PROBABILITIES


def _once(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed is given twice in {seeds}")
    return seeds


def _absolute(path: str) -> str:
    """What exists becomes absolute; the rest is a hub id, or has a place for the seed."""
    local = Path(path).expanduser()
    return str(local.resolve()) if local.exists() else path


def _folder(path: Any) -> Any:
    return Path(path).expanduser() if isinstance(path, str) and path else path


Whole = Annotated[int, Field(ge=1), DescribedAs("a whole number of at least 1")]
Seed = Annotated[int, Field(ge=0), DescribedAs("a whole number of at least 0")]
_SEEDS = DescribedAs("a list of seeds, such as [0,1,2]")
Seeds = Annotated[list[Seed], Field(min_length=1), _SEEDS, AfterValidator(_once)]
MoreSeeds = Annotated[list[Seed], _SEEDS, AfterValidator(_once)]
Worlds = Annotated[list[str], AfterValidator(lambda names: list(dict.fromkeys(names)))]
Place = Annotated[str, AfterValidator(_absolute)]
Name = Annotated[str, Field(pattern=r"^[\w.-]+$"), DescribedAs("a name of letters, digits, '.', '_' and '-'")]
Folder = Annotated[Path, BeforeValidator(_folder), DescribedAs("a text")]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    label: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int | None
    """None: as many as take the same time as the row `same_time_as`, known once that has run."""
    same_time_as: str | None = None


class RowKeys(Group):
    """One line of the table. A list is short for `overrides`."""

    method: str | None = key(None, "the method, as `method=` of the trainer")
    label: str | None = key(None, "its name in the tables; null takes the row's name")
    overrides: list[str] | None = key(None, "further overrides of this row, as the trainer takes them")
    steps: Whole | None = key(None, "steps of this row; null takes those of the study")
    more_seeds: MoreSeeds | None = key(None, "seeds beside those of the study")
    same_time_as: str | None = key(None, "the row whose time this one gets, in place of a number of steps")
    requires: str | None = key(None, "a key of the study without which the row is left out")

    @model_validator(mode="before")
    @classmethod
    def _list(cls, node: Any) -> Any:
        if isinstance(node, list):
            return {"overrides": node}
        if not isinstance(node, Mapping | RowKeys):
            raise DescribedAs("a list of overrides or a group of keys").error()
        return node

    @model_validator(mode="after")
    def _steps_or_time(self) -> "RowKeys":
        if self.same_time_as and self.steps is not None:
            raise ValueError("steps and same_time_as contradict each other; set one of them")
        return self


class OwnData(Group):
    """Any model and data in place of a world. Files are parquet, as the trainer takes them."""

    name: Name = key(
        "own",
        "what tables call it. Runs under another name than own count as the same wherever their files lie, so that a "
        "study can go on on another machine",
    )
    model: Place | None = key(None, "folder or hub id of the student; @seed in it becomes the run's seed")
    teacher: Place | None = key(None, "folder or hub id of the teacher, where a row needs one; @seed likewise")
    train: Place | None = key(None, "questions to train on")
    val: Place | None = key(None, "held-out questions")
    shifted: Place | None = key(None, "questions of a family that training never sees, if there are any")
    accuracy_before: Place | None = key(
        None,
        "JSON file {data source: share of right answers} of the student, for tables and plots of runs that do not "
        "validate before training; @seed likewise",
    )


class StudyConfig(Group):
    """Keys of `python -m recipe.zppo.study`, beside `plan`, which names one or several files of rows."""

    rows: dict[str, RowKeys] = key(
        {},
        "names of rows, each with a list of overrides or with {method, label, overrides, steps, more_seeds, "
        "same_time_as, requires}. Plans fill it",
    )
    only: list[str] | None = key(None, "names of the rows to run; null runs all of the plan")
    baseline: str = key("grpo_replay", "the row that the others are compared with, seed by seed")
    seeds: Seeds = key(
        [0, 1, 2], "`zppo.seed` of the runs, which the order of the data follows. The world stays the same"
    )
    steps: Whole = key(40, "steps of a run")
    worlds: Worlds | None = key(
        ["firm"],
        "embedded worlds: firm, mild, spread; built once; firm-1 is one of seed 1. null takes what is given as own.*",
    )
    world_seed: Seed = key(0, "seed of the worlds whose name has none")
    worlds_dir: Folder | None = key(None, "folder for built worlds; null takes the user's cache folder")
    own: OwnData = OwnData()
    second_teacher: str | None = key(
        None, "folder or hub id of another teacher, for rows that ask for several; they are left out without it"
    )
    backend: str = key(
        "local", "local (one process a run, without Ray), verl (the full stack), or package.module:Class"
    )
    platform: str = key("cpu", "the trainer's `platform=`")
    jobs: Whole | None = key(None, "runs at a time; null starts one a core. With backend=verl there is one at a time")
    out: Annotated[Folder, AfterValidator(Path.resolve)] = key("outputs/study", "folder of the study")
    keep_checkpoints: bool = key(False, "keep the checkpoints of finished runs")
    dry_run: bool = key(False, "show the runs, and stop there")
    overrides: list[str] = key([], "further overrides of all runs, as the trainer takes them")
    settings: dict[Any, Any] = key(
        ...,
        "what all runs have in common, as keys of the trainer. A key that a method sets must not be here: it would win",
    )

    @property
    def workers(self) -> int:
        """Runs at a time."""
        return 1 if self.backend == "verl" else self.jobs or len(os.sched_getaffinity(0))

    @cached_property
    def notices(self) -> tuple[str, ...]:
        """What is left out of the plan, and why."""
        lacking = {name: row.requires for name, row in self._asked.items() if row.requires and not self._has(row)}
        return tuple(f"row {name} is left out: it needs {needed}" for name, needed in lacking.items())

    @cached_property
    def chosen(self) -> tuple[Row, ...]:
        """The rows to run."""
        return tuple(self._row(name, row) for name, row in self._asked.items() if self._has(row))

    @property
    def _asked(self) -> dict[str, RowKeys]:
        return {name: row for name, row in self.rows.items() if self.only is None or name in self.only}

    def _has(self, row: RowKeys) -> bool:
        return row.requires is None or getattr(self, row.requires) is not None

    def _row(self, name: str, content: RowKeys) -> Row:
        method = [] if content.method is None else [f"method={content.method}"]
        return Row(
            name=name,
            label=content.label or name,
            overrides=(*method, *(content.overrides or ())),
            seeds=tuple(dict.fromkeys([*self.seeds, *(content.more_seeds or ())])),
            steps=None if content.same_time_as else content.steps or self.steps,
            same_time_as=content.same_time_as,
        )

    @model_validator(mode="after")
    def _check(self) -> "StudyConfig":
        if not self.rows:
            raise ConfigError("rows: none; choose a plan, or give some as rows.<name>=[method=zppo,...]")
        for name in self.only or ():
            check_known(name, self.rows, "row", "only: ")
        for name, row in self._asked.items():
            if row.requires is not None:
                check_known(row.requires, StudyConfig.model_fields, "key", f"rows.{name}.requires: ")
            if row.same_time_as is not None and self._has(row):
                check_known(row.same_time_as, self.rows, "row", f"rows.{name}.same_time_as: ")
        if not self.chosen:
            raise ConfigError("; ".join(["nothing to run", *self.notices]))
        _check_same_time(self.chosen)
        self._check_data()
        if self.backend not in ("local", "verl") and ":" not in self.backend:
            raise ConfigError(f"backend: {self.backend!r} is not one of local, verl, or package.module:Class")
        check_known(self.baseline, [*self.rows, "grpo_replay"], "row", "baseline: ")
        return self

    def _check_data(self) -> None:
        own = {name: path for name, path in self.own if path is not None and (name, path) != ("name", "own")}
        if self.worlds is None:
            if lacking := [f"own.{name}" for name in ("model", "train", "val") if name not in own]:
                raise ConfigError(f"{', '.join(lacking)}: needed with worlds=null")
            for name in ("train", "val", "shifted"):
                if name in own and not Path(own[name]).is_file():
                    raise ConfigError(f"own.{name}: {own[name]} is not a file")
            return
        if not self.worlds:
            raise ConfigError("worlds: none; give some, or worlds=null with a model and data of your own")
        named: dict[tuple[str, int], str] = {}
        for world in self.worlds:
            difficulty, seed = world_of(world)
            check_known(difficulty, WRONG_PRICE_PROBABILITIES, "world", "worlds: ")
            same = named.setdefault((difficulty, self.world_seed if seed is None else seed), world)
            if same != world:
                raise ConfigError(f"worlds: {same} and {world} are one world, which would count as two; leave one out")
        for name in own:
            raise ConfigError(f"own.{name}: set together with worlds; say worlds=null to use what is your own")


def _check_same_time(rows: Sequence[Row]) -> None:
    """Both times that the steps are derived from must be measured in this study."""
    for row in rows:
        if row.same_time_as is None:
            continue
        model = next((other for other in rows if other.name == row.same_time_as), None)
        if model is None or model.steps is None:
            raise ConfigError(
                f"rows.{row.name}.same_time_as: {row.same_time_as} is not run, or has no steps of its own"
            )
        if twin(row, rows) is None:
            raise ConfigError(
                f"rows.{row.name}.same_time_as: needs a row with the same overrides and steps of its own, to time it"
            )


def twin(row: Row, rows: Iterable[Row]) -> Row | None:
    """The row that differs from `row` in its steps only."""
    mine = effective(row.overrides)
    return next((other for other in rows if other.steps is not None and effective(other.overrides) == mine), None)


def world_of(name: str) -> tuple[str, int | None]:
    """Difficulty and seed of an embedded world: ``mild-2``, or ``mild`` for the study's own `world_seed`."""
    difficulty, _, seed = name.rpartition("-")
    return (difficulty, int(seed)) if difficulty and seed.isdecimal() else (name, None)


def check_known(value: str, known: Iterable[str], what: str, where: str = "") -> None:
    if value not in (known := list(known)):
        raise ConfigError(f"{where}unknown {what} {value}; {did_you_mean(value, known)}")
