"""Which checkpoints of a folder count. Light to import: displays and checks use it without torch."""

import os
import re

COMPLETE_FILE = "zppo_complete.json"
"""Lands last in a checkpoint, by atomic rename."""

TRACKER = "latest_checkpointed_iteration.txt"
"""verl's; written in place."""

LOCAL_STATE = "local_state.pt"
"""The local back end's one checkpoint: the newest."""


def latest_complete(folder: str) -> str | None:
    """Newest complete checkpoint in ``folder`` of the run that saved there last, or None.

    The run's own are those up to the step in verl's tracker file, which is written just before a checkpoint is
    complete; later ones were left by a run that had gone further and was then started afresh.
    """
    if not os.path.isdir(folder):
        return None
    last = tracked_step(folder)
    for step in reversed(saved_steps(folder)):
        path = os.path.join(folder, f"global_step_{step}")
        if (last is None or step <= last) and is_complete(path):
            return path
    return None


def saved_steps(folder: str) -> list[int]:
    """Steps with a checkpoint folder, complete or not, ascending."""
    return sorted(int(match[1]) for name in os.listdir(folder) if (match := re.fullmatch(r"global_step_(\d+)", name)))


def tracked_step(folder: str) -> int | None:
    """The step in verl's tracker file; None if there is none, or if a killed run left it half-written."""
    try:
        with open(os.path.join(folder, TRACKER), encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def is_complete(path: str) -> bool:
    return os.path.exists(os.path.join(path, COMPLETE_FILE)) and os.path.isdir(os.path.join(path, "actor"))
