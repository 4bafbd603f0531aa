"""What runs are given to learn from: an embedded world, or models and files of the user's own."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.run.files import write_atomically
from recipe.zppo.study.keys import OwnData, StudyConfig, world_of
from recipe.zppo.study.overrides import override
from recipe.zppo.world.build import build_world
from recipe.zppo.world.paths import WorldPaths, default_path
from recipe.zppo.world.settings import WorldSettings


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """One world of a study. `key` tells its content, wherever its files lie."""

    name: str
    key: str
    model: str
    teacher: str | None
    train: str
    val: str
    shifted: str | None
    before: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By seed, the accuracies that the student begins with: metrics as of a validation at step 0."""

    def overrides(self, seed: int) -> list[str]:
        """Of model, teacher and training data, for a run with this seed."""
        return [
            override("actor_rollout_ref.model.path", _of_seed(self.model, seed)),
            override("zppo.teacher.path", None if self.teacher is None else _of_seed(self.teacher, seed)),
            override("data.train_files", self.train),
        ]


def plan_inputs(config: StudyConfig) -> list[Inputs]:
    """The study's worlds, which need not be there yet. Raises `ConfigError`: `own.accuracy_before` can't be read."""
    if config.worlds is None:
        return [_own(config.own, {seed for row in config.chosen for seed in row.seeds})]
    return [_embedded(world, config) for world in config.worlds]


def build_inputs(config: StudyConfig) -> None:
    """Build the worlds that are not there yet; minutes each. Raises `WorldError`."""
    for world in config.worlds or ():
        difficulty, seed = _settings(world, config)
        build_world(_path(world, config), seed=seed, difficulty=difficulty)


def _embedded(world: str, config: StudyConfig) -> Inputs:
    paths = WorldPaths(_path(world, config))
    difficulty, seed = _settings(world, config)
    return Inputs(
        name=world,
        key=WorldSettings(seed=seed, difficulty=difficulty).key(),
        model=str(paths.student),
        teacher=str(paths.teacher),
        train=str(paths.train_file),
        val=str(paths.val_file),
        shifted=str(paths.file("shifted")),
    )


def _own(own: OwnData, seeds: Iterable[int]) -> Inputs:
    places = own.model_dump(exclude={"name", "accuracy_before"})
    content = "\n".join(map(str, places.values())) if own.name == "own" else own.name
    file = own.accuracy_before
    before = {} if file is None else {seed: _before(_of_seed(file, seed)) for seed in seeds}
    return Inputs(name=own.name, key=hashlib.sha256(content.encode()).hexdigest(), before=before, **places)


def _before(file: str) -> dict[str, float]:
    try:
        shares = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"own.accuracy_before: {file} can't be read: {first_line(error)}") from error
    if not isinstance(shares, dict) or not all(type(x) in (int, float) and 0 <= x <= 1 for x in shares.values()):
        raise ConfigError(f"own.accuracy_before: {file} must be {{data source: share of right answers, 0 to 1}}")
    return {"step": 0, **{f"val-core/{source}/acc/mean@1": float(share) for source, share in shares.items()}}


def _of_seed(place: str, seed: int) -> str:
    return place.replace("@seed", str(seed))


def _path(world: str, config: StudyConfig) -> Path:
    difficulty, seed = _settings(world, config)
    if config.worlds_dir is None:
        return default_path(seed, difficulty).resolve()
    return (config.worlds_dir / f"world-{difficulty}-{seed}").resolve()


def _settings(world: str, config: StudyConfig) -> tuple[str, int]:
    difficulty, seed = world_of(world)
    return difficulty, config.world_seed if seed is None else seed


@dataclass(frozen=True)
class ValidationFiles:
    """Files to validate on, and the data sources by which their accuracies are told apart."""

    files: tuple[str, ...]
    sources: Mapping[str, tuple[str, ...]]
    """By measure: `held_out`, and `shifted` if there are such questions."""

    def overrides(self) -> list[str]:
        return [override("data.val_files", list(self.files))]


def validation_files(inputs: Inputs, folder: Path) -> ValidationFiles:
    """Held-out and shifted questions, under data sources of their own.

    Accuracies are reported by data source. Where both files name the same one, the shifted questions are
    copied into `folder` under another.

    Raises:
        ConfigError: a file can't be read, or has no data sources.
    """
    held_out = _sources(inputs.val, "own.val")
    if inputs.shifted is None:
        return ValidationFiles((inputs.val,), {"held_out": tuple(sorted(held_out))})
    shifted, file = _sources(inputs.shifted, "own.shifted"), inputs.shifted
    if held_out & shifted:
        file = str(folder / "shifted.parquet")
        shifted = {f"{source}_shifted" for source in shifted}
        folder.mkdir(parents=True, exist_ok=True)
        _copy_renamed(inputs.shifted, file)
    sources = {"held_out": tuple(sorted(held_out)), "shifted": tuple(sorted(shifted))}
    return ValidationFiles((inputs.val, file), sources)


def questions(inputs: Inputs) -> int:
    """How many there are to train on. Raises `ConfigError` if the file can't be read."""
    try:
        return pq.ParquetFile(inputs.train).metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"own.train: {inputs.train} can't be read: {first_line(error)}") from error


def _sources(file: str, key: str) -> set[str]:
    try:
        column = pq.read_table(file, columns=["data_source"]).column("data_source")
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ConfigError(f"{key}: {file} has no data_source that could be read: {first_line(error)}") from error
    sources = {str(source) for source in column.unique().to_pylist()}
    if not sources:
        raise ConfigError(f"{key}: {file} has no rows")
    return sources


def _copy_renamed(file: str, target: str) -> None:
    table = pq.read_table(file)
    place = table.column_names.index("data_source")
    # Of the same type, or the two files could not be read as one data set.
    spec = table.schema.field(place)
    renamed = pa.array([f"{source}_shifted" for source in table.column(place).to_pylist()], type=spec.type)
    table = table.set_column(place, spec, renamed)
    if os.path.exists(target) and pq.read_table(target).equals(table):
        return  # a run may be reading it
    write_atomically(target, lambda path: pq.write_table(table, path))
