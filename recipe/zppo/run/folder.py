"""What a run has left in its folder so far. The run may be under way, or may have been killed in the middle of a line.

Layout, with the default settings of ``zppo.logging``::

    events.jsonl                 what happened, in order (`recipe.zppo.run.events`): displays read this and the texts
    metrics.jsonl                one object a step; step 0 is the validation before training. For other programs
    status.json                  where the run is (`recipe.zppo.run.status`)
    rollouts/step_000001.jsonl   one group a line (`recipe.zppo.run.rollout_log`)
    global_step_20/              checkpoints (`recipe.zppo.on_verl.checkpoint`)
    hf_model/ lora_adapter/ tensorboard/ train.log
    config_1.yaml                of the first start (`recipe.zppo.run.start_record`)
    run.lock                     while a run works there (`recipe.zppo.run.lock`)
"""

import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from recipe.zppo.config.engine import shown
from recipe.zppo.errors import ZPPOError
from recipe.zppo.run.checkpoint_files import latest_complete
from recipe.zppo.run.events import EVENTS_FILE, read_events
from recipe.zppo.run.groups import GROUP_EVENTS, joined_groups

_CONFIG = re.compile(r"config_(\d+)\.yaml$")
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Row = dict[str, float]
"""Metrics of one step by name; ``step`` is among them. What is not a finite number is not in it."""


class RunFolderError(ZPPOError, ValueError):
    """The folder is not that of a run, or holds nothing yet that could be shown."""


class RunFolder:
    """Read access to the folder of a run. Every call looks at the files anew; nothing is ever written.

    Raises:
        RunFolderError: there is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).expanduser().resolve()
        if not str(path) or not self.path.is_dir():
            raise RunFolderError(f"{shown(str(path))} is not a folder; give the trainer.default_local_dir of a run")

    @property
    def events_file(self) -> Path:
        return self.path / EVENTS_FILE

    def events(self, *types: str) -> Iterator[Any]:
        """`read_events` of the run."""
        return read_events(self.events_file, *types)

    def metrics(self) -> list[Row]:
        """One row a step, ascending. Several events of one step (a validation after a resume) become one row."""
        rows: dict[int, Row] = {}
        for event in self.events("measured", "validated"):
            row = rows.setdefault(event["step"], {"step": float(event["step"])})
            row |= {key: float(value) for key, value in event["metrics"].items() if _is_number(value)}
        return [rows[step] for step in sorted(rows)]

    def require_events(self) -> None:
        """Raises `RunFolderError`: there is no log, so that this is not the folder of a run, or not yet."""
        if (nothing := self._nothing()) is not None:
            raise nothing

    def require_metrics(self) -> list[Row]:
        """As `metrics`.

        Raises:
            RunFolderError: there are none.
        """
        rows = self.metrics()
        if rows:
            return rows
        raise self._nothing() or RunFolderError(
            f"{self.events_file} has no metrics yet; the run writes the first after validation or its first step"
        )

    def _nothing(self) -> RunFolderError | None:
        """Why there are no events at all."""
        if self.events_file.exists():
            return None
        if (self.path / "metrics.jsonl").exists() or self.rollout_files():
            return RunFolderError(
                f"{self.path} has no {EVENTS_FILE}: its run is of an earlier version, which wrote metrics.jsonl only"
            )
        return RunFolderError(
            f"{self.path} has no {EVENTS_FILE}: not the folder of a run, or the run has not begun yet"
        )

    def status(self) -> dict[str, Any] | None:
        """The content of status.json, or None."""
        return read_json(self.path / "status.json")

    def setting(self, key: str, otherwise: Any) -> Any:
        """A key of the last start's configuration, dotted; ``otherwise`` for runs from before it was kept."""
        node = self.configuration()
        try:
            for part in key.split("."):
                node = node[part]
        except (KeyError, TypeError):
            return otherwise
        return node

    def configuration(self) -> dict[str, Any]:
        """Of the last start, whole; empty for runs from before it was kept."""
        found = [
            (int(match[1]), path) for path in self.path.glob("config_*.yaml") if (match := _CONFIG.match(path.name))
        ]
        try:
            content = yaml.load(max(found)[1].read_bytes(), _YAML) if found else {}
        except (OSError, yaml.YAMLError):
            return {}
        return content if isinstance(content, dict) else {}

    def starts(self) -> list[dict[str, Any]]:
        """What each start was made with (`recipe.zppo.run.start_record`)."""
        return list(read_json_lines(self.path / "starts.jsonl"))

    def rollout_files(self) -> list[Path]:
        """In the order of their steps."""
        found = [(re.fullmatch(r"step_(\d+)\.jsonl", path.name), path) for path in self.path.glob("rollouts/*")]
        return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]

    def groups(self) -> Iterator[dict[str, Any]]:
        """All groups in the order of their steps, as `joined_groups` makes them, without texts.

        Raises:
            RunFolderError: there is no log; or, at the end, no group in it.
        """
        self.require_events()
        group = None
        for group in joined_groups(self.events(*GROUP_EVENTS)):
            yield group
        if group is None:
            raise RunFolderError(f"{self.events_file} has no group that can be read: damaged, or none is there yet")

    def texts(self, step: int, lines: Collection[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """What was shown and said in groups of a step: these lines of its rollout file (`RolledOut`), with their
        numbers. What is not there is passed over."""
        try:
            file = open(self.path / "rollouts" / f"step_{step:06d}.jsonl", "rb")  # noqa: SIM115 (closed below)
        except OSError:
            return
        with file:
            for number, text in enumerate(file):
                if number in lines and (line := _parsed(text)) is not None and is_group(line):
                    yield number, line

    def groups_with_texts(self) -> Iterator[dict[str, Any]]:
        """The lines of all rollout files, in the order of their steps; what is not one of ours is passed over.

        Raises:
            RunFolderError: there is no such file; or, at the end, no group in any.
        """
        files = self.rollout_files()
        if not files:
            raise RunFolderError(f"{self.path} has no rollout files (zppo.logging.rollouts_dir)")
        group = None
        for path in files:
            for group in filter(is_group, read_json_lines(path)):
                yield group
        if group is None:
            raise RunFolderError(f"{files[0].parent} has no group that can be read: damaged, or of another version")

    def places(self) -> dict[str, Path]:
        """What exists of the things that a person may look for, by name."""
        checkpoint = latest_complete(str(self.path))
        places = {
            "checkpoint": Path(checkpoint) if checkpoint else None,
            "hf_model": self.path / "hf_model",
            "lora_adapter": self.path / "lora_adapter",
            "events": self.events_file,
            "metrics": self.path / "metrics.jsonl",
            "rollouts": self.path / "rollouts" if self.rollout_files() else None,
            "tensorboard": self.path / "tensorboard",
            "log": self.path / "train.log",
        }
        return {name: path for name, path in places.items() if path is not None and path.exists()}


def is_group(line: Mapping[str, Any]) -> bool:
    """Whether the line of a rollout file has what its readers need."""
    teacher = line.get("teacher", {"responses": []})
    return (
        isinstance(line.get("kind"), str)
        and isinstance(line.get("prompt_id"), str)
        and _all_have(line.get("candidates"), "correct", "compression")
        and _all_have(line.get("responses"), "reward")
        and all(_is_number(response["reward"]) for response in line["responses"])
        and isinstance(teacher, dict)
        and _all_have(teacher.get("responses"))
    )


def _all_have(items: Any, *names: str) -> bool:
    return isinstance(items, list) and all(
        isinstance(item, dict) and all(name in item for name in names) for item in items
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """None if it is not there, or is not an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; what is not one (half a line, garbage) is passed over. No file: nothing."""
    try:
        file = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below; a missing file is no error)
    except OSError:
        return
    with file:
        for line in file:
            if (content := _parsed(line)) is not None:
                yield content


def _parsed(line: str | bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
