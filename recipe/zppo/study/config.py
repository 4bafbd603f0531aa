"""The study's own configuration: composed by Hydra, checked here, each mistake one line."""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recipe.zppo.errors import ConfigError
from recipe.zppo.study.overrides import effective
from recipe.zppo.world.settings import WRONG_PRICE_PROBABILITIES

CONFIG_DIR = Path(__file__).parent / "config"
_OPEN_GROUPS = ("rows.", "settings.")
"""Below these, keys may be added."""


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


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """Model and data in place of an embedded world; absolute paths, or hub ids of models."""

    model: str
    teacher: str | None
    train: str
    val: str
    shifted: str | None


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Everything that a study is asked to do. Field names are the keys of config/study.yaml."""

    rows: tuple[Row, ...]
    baseline: str
    worlds: tuple[str, ...]
    """Empty: `own` is used."""
    own: OwnData | None
    world_seed: int
    worlds_dir: Path | None
    backend: str
    platform: str
    steps: int
    jobs: int
    out: Path
    settings: Mapping[str, Any]
    overrides: tuple[str, ...]
    keep_checkpoints: bool
    dry_run: bool
    notices: tuple[str, ...] = field(default=())
    """What was left out of the plan, and why."""


def plans() -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / "plan").glob("*.yaml"))


def read_config(arguments: Sequence[str]) -> StudyConfig:
    """The study that the command line asks for.

    Raises:
        ConfigError: one line that names the key.
    """
    node = _compose(arguments)
    steps = _whole(node["steps"], "steps", least=1)
    seeds = _seeds(node["seeds"], "seeds", least=1)
    rows, notices = _rows(node, seeds, steps)
    worlds, own = _worlds(node)
    for key in ("backend", "platform", "out"):
        _text(node[key], key)
    for key in ("keep_checkpoints", "dry_run"):
        if not isinstance(node[key], bool):
            raise ConfigError(f"{key}: expected true or false, got {node[key]!r}")
    if node["backend"] not in ("local", "verl") and ":" not in node["backend"]:
        raise ConfigError(f"backend: {node['backend']!r} is not one of local, verl, or package.module:Class")
    jobs = _whole(node["jobs"], "jobs", least=1) if node["jobs"] is not None else len(os.sched_getaffinity(0))
    return StudyConfig(
        rows=rows,
        notices=notices,
        baseline=_baseline(node["baseline"], node["rows"]),
        worlds=worlds,
        own=own,
        world_seed=_whole(node["world_seed"], "world_seed", least=0),
        worlds_dir=Path(_text(node["worlds_dir"], "worlds_dir")).expanduser() if node["worlds_dir"] else None,
        backend=node["backend"],
        platform=node["platform"],
        steps=steps,
        jobs=1 if node["backend"] == "verl" else jobs,
        out=Path(node["out"]).expanduser().resolve(),
        settings=node["settings"],
        overrides=_texts(node["overrides"], "overrides"),
        keep_checkpoints=node["keep_checkpoints"],
        dry_run=node["dry_run"],
    )


def _compose(arguments: Sequence[str]) -> dict[str, Any]:
    known = list(OmegaConf.load(CONFIG_DIR / "study.yaml"))
    known = [str(key) for key in known if key != "defaults"] + ["plan"]
    opened = []
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value")
        _check_known(key.lstrip("+~").partition(".")[0], known, "key")
        opened.append("++" + argument.lstrip("+") if key.startswith(_OPEN_GROUPS) else argument)
    try:
        with hydra.initialize_config_dir(config_dir=str(CONFIG_DIR), version_base=None):
            config = hydra.compose("study", overrides=opened)
        assert isinstance(config, DictConfig)
        node = OmegaConf.to_container(config, resolve=True)
    except HydraException as error:
        raise ConfigError(hydra_message(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(node, dict)
    for key in ("rows", "settings", "own"):
        if not isinstance(node[key], dict):
            raise ConfigError(f"{key}: expected a group of keys, got {node[key]!r}")
    return typing.cast(dict[str, Any], node)


def hydra_message(error: Exception) -> str:
    """Hydra's complaint in one line: what it could not do, and the choices or the reason if it names them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0]
    if (start := next((i for i, line in enumerate(lines) if line.startswith("Available options")), None)) is not None:
        options = [line for line in lines[start + 1 :] if "=" not in line and not line.endswith(":")]
        text += f"; known: {', '.join(options)}"
    elif error.__cause__ is not None and str(error.__cause__):
        text += f" ({str(error.__cause__).splitlines()[0].strip()})"
    return text


def _rows(node: Mapping[str, Any], seeds: Sequence[int], steps: int) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    if not node["rows"]:
        raise ConfigError("rows: none; choose a plan, or give some as rows.<name>=[method=zppo,...]")
    chosen, notices = [], []
    only = None if node["only"] is None else _texts(node["only"], "only")
    for name in only or ():
        _check_known(name, node["rows"], "row", "only: ")
    for name, content in node["rows"].items():
        row = _row(str(name), content, seeds, steps)
        required = content.get("requires") if isinstance(content, Mapping) else None
        if only is not None and name not in only:
            continue
        if required is not None:
            _check_known(required, node, "key", f"rows.{name}.requires: ")
            if node[required] is None:
                notices.append(f"row {name} is left out: it needs {required}")
                continue
        if row.same_time_as is not None:
            _check_known(row.same_time_as, node["rows"], "row", f"rows.{name}.same_time_as: ")
        chosen.append(row)
    if not chosen:
        raise ConfigError("; ".join(["nothing to run", *notices]))
    _check_same_time(chosen)
    return tuple(chosen), tuple(notices)


_ROW_KEYS = ("method", "label", "overrides", "steps", "more_seeds", "same_time_as", "requires")


def _row(name: str, content: Any, seeds: Sequence[int], steps: int) -> Row:
    where = f"rows.{name}"
    if isinstance(content, list):
        content = {"overrides": content}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected a list of overrides or a group of keys, got {content!r}")
    for key in content:
        _check_known(key, _ROW_KEYS, "key", f"{where}: ")
    overrides = _texts(content.get("overrides") or [], f"{where}.overrides")
    if content.get("method") is not None:
        overrides = (f"method={_text(content['method'], f'{where}.method')}", *overrides)
    same_time_as = content.get("same_time_as")
    if same_time_as is not None and content.get("steps") is not None:
        raise ConfigError(f"{where}: steps and same_time_as contradict each other; set one of them")
    more_seeds = _seeds(content.get("more_seeds") or [], f"{where}.more_seeds")
    own_steps = content.get("steps")
    return Row(
        name=name,
        label=_text(content.get("label") or name, f"{where}.label"),
        overrides=overrides,
        seeds=tuple(dict.fromkeys([*seeds, *more_seeds])),
        steps=None if same_time_as else steps if own_steps is None else _whole(own_steps, f"{where}.steps", least=1),
        same_time_as=same_time_as,
    )


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


def _baseline(value: Any, rows: Mapping[str, Any]) -> str:
    _check_known(_text(value, "baseline"), [*rows, "grpo_replay"], "row", "baseline: ")
    return value


def _worlds(node: Mapping[str, Any]) -> tuple[tuple[str, ...], OwnData | None]:
    own = node["own"]
    given = [key for key, value in own.items() if value is not None]
    if node["worlds"] is not None:
        worlds = _texts(node["worlds"], "worlds")
        if not worlds:
            raise ConfigError("worlds: none; give some, or worlds=null with a model and data of your own")
        for world in worlds:
            _check_known(world, WRONG_PRICE_PROBABILITIES, "world", "worlds: ")
        if given:
            raise ConfigError(f"own.{given[0]}: set together with worlds; say worlds=null to use what is your own")
        return tuple(dict.fromkeys(worlds)), None
    if lacking := [f"own.{key}" for key in ("model", "train", "val") if own[key] is None]:
        raise ConfigError(f"{', '.join(lacking)}: needed with worlds=null")
    paths = {key: _absolute(_text(own[key], f"own.{key}")) for key in given}
    for key in ("train", "val", "shifted"):
        if key in paths and not Path(paths[key]).is_file():
            raise ConfigError(f"own.{key}: {paths[key]} is not a file")
    return (), OwnData(**{spec.name: paths.get(spec.name) for spec in dataclasses.fields(OwnData)})


def _absolute(path: str) -> str:
    """What exists becomes absolute; the rest is a hub id."""
    local = Path(path).expanduser()
    return str(local.resolve()) if local.exists() else path


def _check_known(value: Any, known: Iterable[str], what: str, where: str = "") -> None:
    names = [str(name) for name in known]
    if value in names:
        return
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
    raise ConfigError(f"{where}unknown {what} {value}; {hint}")


def _whole(value: Any, key: str, *, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}: expected a whole number of at least {least}, got {value!r}")
    return value


def _seeds(value: Any, key: str, least: int = 0) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) < least:
        raise ConfigError(f"{key}: expected a list of seeds, such as [0,1,2], got {value!r}")
    seeds = tuple(_whole(seed, key, least=0) for seed in value)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{key}: a seed is given twice in {value!r}")
    return seeds


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key}: expected a text, got {value!r}")
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{key}: expected a list, got {value!r}")
    return tuple(_text(item, key) for item in value)
