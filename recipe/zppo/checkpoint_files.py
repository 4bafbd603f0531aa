"""Which checkpoints of a folder count. Light to import: displays and checks use it without torch."""

from __future__ import annotations

import os
import re

COMPLETE_FILE = "zppo_complete.json"
"""Lands last in a checkpoint, by atomic rename."""


def latest_complete(folder: str) -> str | None:
    """Newest complete checkpoint in ``folder``, or None."""
    if not os.path.isdir(folder):
        return None
    steps = [int(match[1]) for name in os.listdir(folder) if (match := re.fullmatch(r"global_step_(\d+)", name))]
    for step in sorted(steps, reverse=True):
        path = os.path.join(folder, f"global_step_{step}")
        if is_complete(path):
            return path
    return None


def is_complete(path: str) -> bool:
    return os.path.exists(os.path.join(path, COMPLETE_FILE)) and os.path.isdir(os.path.join(path, "actor"))
