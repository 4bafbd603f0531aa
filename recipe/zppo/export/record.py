"""What a run's own records say of an export: base model, method, settings, data, code, results. Nothing is guessed."""

import copy
import dataclasses
import functools
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recipe.zppo.config.compose import compose
from recipe.zppo.config.paths import CONFIG_DIR
from recipe.zppo.run.blotting import is_secret
from recipe.zppo.run.folder import RunFolder, read_json_lines
from recipe.zppo.run.start_record import STARTS
from recipe.zppo.view import outcome
from recipe.zppo.view.held_out import Validation, validations

PACKAGES = ("open-zppo", "verl", "torch", "transformers", "vllm", "sglang", "peft", "megatron-core", "ray")
_CHOICE = re.compile(r"zppo\.(replay\.enable|reformulation\..*|distillation\.mode)")
"""Keys that tell the methods apart."""
_APART = re.compile(
    r"data\.(train|val)_files|trainer\.(default_local_dir|logger|project_name|experiment_name|resume_\w+)|ray_kwargs\..*"
    r"|zppo\.(logging|export|timeouts)\..*|zppo\.dry_run|zppo\.teacher\.(base_url|api_key_env)"
    r"|actor_rollout_ref\.model\.path|.*custom_chat_template"
)
"""Settings that stand elsewhere on the card, or concern the machine only, or are nobody's business."""

_ABSENT = object()

Settings: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Record:
    """Empty or None: unknown."""

    config: Settings = field(default_factory=dict)
    """As composed and resolved."""
    data: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    code: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    held_out: list[Validation] = field(default_factory=list)
    """Up to the step that is exported."""
    hard_questions: outcome.Fate | None = None

    @property
    def model(self) -> Settings:
        """`actor_rollout_ref.model` of the run; empty if it is unknown."""
        found = _at(self.config, "actor_rollout_ref.model")
        return found if isinstance(found, dict) else {}


def read_record(run: Path, saved: Path, step: int | None) -> Record:
    """
    Args:
        saved: what was saved at `step`; of several starts the last one before that counts.
        step: results after it are left out.
    """
    rows = [row for row in RunFolder(run).metrics() if step is None or row["step"] <= step]
    results = Record(held_out=validations(rows), hard_questions=outcome.buffer_fate(rows))
    starts = list(read_json_lines(run / STARTS))
    if not starts:
        return results
    before = [start for start in starts if _time(start) <= saved.stat().st_mtime]
    start = (before or starts)[-1]
    packages = start.get("packages") or {}
    versions = {name: packages[name] for name in PACKAGES if name in packages}
    return dataclasses.replace(
        results,
        config=_config(run / str(start.get("config")), start.get("model")),
        data=start.get("data") or {},
        code=start.get("code"),
        versions=versions | ({"Python": start["python"]} if "python" in start else {}),
    )


def _time(start: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(start["time"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0


def _config(file: Path, model: Any) -> Settings:
    """
    Args:
        model: where base model and tokenizer were at the start; None in records that do not say so.
    """
    try:
        loaded = yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    if isinstance(model, dict) and isinstance(found := _at(loaded, "actor_rollout_ref.model"), dict):
        found |= model
    return loaded


# ---------------------------------------------------------------------- settings


@functools.cache
def _defaults() -> tuple[DictConfig, Settings]:
    """As composed, and as plain values in which `${...}` stands as it is written."""
    composed = compose()
    return composed, dict(_leaves(OmegaConf.to_container(composed)))


def method_of(config: Settings) -> tuple[str, str] | None:
    """Name and first sentence of the method file whose choices the run has; None for a mixture of one's own."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted((CONFIG_DIR / "method").glob("*.yaml"))}
    chosen = {name: dict(_leaves(yaml.safe_load(text) or {})) for name, text in texts.items()}
    keys = {key for choices in chosen.values() for key in choices if _CHOICE.fullmatch(key)}
    for name, choices in chosen.items():
        if all(_at(config, key) == choices.get(key, _defaults()[1][key]) for key in keys):
            about = texts[name].splitlines()[1].removeprefix("# ")
            return name, re.split(r"(?<!Alg)\. ", about)[0].rstrip(".")
    return None


def changed_settings(config: Settings) -> Settings:
    """Keys with other values than the defaults have, sorted. A value that follows from another key is left out."""
    composed, written = copy.deepcopy(_defaults()[0]), _defaults()[1]
    derived = {key for key, value in written.items() if "${" in str(value)}
    changed = {key: _at(config, key) for key in written.keys() - derived}
    changed = {key: value for key, value in changed.items() if value is not _ABSENT and value != written[key]}
    for key, value in changed.items():  # so that what follows from it follows here too
        OmegaConf.update(composed, key, value, force_add=True)
    try:
        follows = dict(_leaves(OmegaConf.to_container(composed, resolve=True)))
    except OmegaConfBaseException:  # from something that this version does not have, or that is not set
        follows = {}
    for key in derived & follows.keys():
        if (value := _at(config, key)) is not _ABSENT and value != follows[key]:
            changed[key] = value
    return {key: _shown(value) for key, value in sorted(changed.items()) if not _APART.fullmatch(key)}


def _at(config: Settings, key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict) or not tree:
        return [(path.removesuffix("."), tree)]
    return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{path}{key}.")]


def _shown(value: Any) -> Any:
    """Of a path on this machine the last part; nobody needs the rest, and it may say too much."""
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if not (isinstance(item, str) and is_secret(str(key)))}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, str):
        return public_name(value) if value.startswith(("/", "~", "./", "../")) or "://" in value else value[:200]
    return value


def public_name(path: str) -> str:
    """A hub id as it is, also of a folder in the hub's cache; of another path the last part."""
    if match := re.search(r"models--([^/]+)--([^/]+)/snapshots/[^/]+/?$", path):
        return f"{match[1]}/{match[2]}"
    if is_hub_id(path) or path.startswith("pkg://"):
        return path
    local = re.sub(r"^\w+://[^/]*", "", path)  # a host, and maybe a password
    return local.rstrip("/").rsplit("/", 1)[-1] or "(an address)"


def is_hub_id(path: str) -> bool:
    """`OWNER/NAME`, and no folder here."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", path)) and path[0] not in ".~" and not Path(path).exists()
