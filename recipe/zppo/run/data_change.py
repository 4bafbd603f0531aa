"""Training data that are not those of the checkpoint: what changed, and what is taken up all the same.

Without a column of ids a prompt is known by what it says. A row that was mended is then another prompt.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipe.zppo.errors import CheckpointError
from recipe.zppo.replay_buffer import BufferEntry, PromptReplayBuffer
from recipe.zppo.rollout.step_state import without
from recipe.zppo.run.identity import TRAIN_FILES, data_identity
from recipe.zppo.types import PromptId

_SHOWN = 5
"""Rows that are named."""


@dataclass(frozen=True)
class DataChange:
    """From a checkpoint's prompts to those of now, by their ids."""

    gone: list[int]
    """Rows of then."""
    new: list[int]
    """Rows of now."""
    in_place: bool
    """What is in both has the places that it had, so the pass over the data can go on where it was."""

    @classmethod
    def between(cls, then: Sequence[str], now: Sequence[str]) -> "DataChange":
        had, has = set(then), set(now)
        gone = [row for row, prompt_id in enumerate(then) if prompt_id not in has]
        new = [row for row, prompt_id in enumerate(now) if prompt_id not in had]
        same = [then[row] == now[row] for row in range(min(len(then), len(now)))]
        return cls(gone, new, len(then) == len(now) and gone == new and same.count(False) == len(new))

    def told(self, place: Callable[[int], str]) -> str:
        """In words. `place` names the file and row of a row of now."""
        if not self.gone and not self.new:
            return "the prompts have another order"
        named = ", ".join(place(row) for row in self.new[:_SHOWN]) + ", ..." * (len(self.new) > _SHOWN)
        if self.in_place:
            return f"{len(self.new)} of them changed ({named})"
        return f"{len(self.gone)} of them are gone and {len(self.new)} are new" + (f" ({named})" if named else "")


def check_data(
    saved: Mapping[str, Any] | None,
    then: Sequence[str] | None,
    now: Sequence[str],
    path: str,
    *,
    accept: bool,
    place: Callable[[int], str],
) -> DataChange | None:
    """What changed since the checkpoint; None if nothing did, or if it is from before data had an identity.

    Args:
        saved: the checkpoint's identity.
        then: the checkpoint's prompt ids; None in one from before they were kept.
        accept: ``zppo.data.accept_changes``.

    Raises:
        CheckpointError: something changed, and that is not accepted; one line.
    """
    identity = (saved or {}).get(TRAIN_FILES)
    if identity is None or identity == data_identity(now):
        return None
    change = DataChange([], [], in_place=False) if then is None else DataChange.between(then, now)
    told = f"now there are {len(now)}, and which changed it does not tell" if then is None else change.told(place)
    line = f"{TRAIN_FILES}: {path} was written with {identity[0]} prompts; {told}"
    if not accept:
        raise CheckpointError(
            f"{line}. Set them back, go on with zppo.data.accept_changes=true, or start afresh in another "
            "trainer.default_local_dir or with trainer.resume_mode=disable"
        )
    print(f"zppo: {line}; going on" + ("" if change.in_place else " with a new pass over the data"), file=sys.stderr)
    return change


def take_up(
    buffer: PromptReplayBuffer, pending: dict[str, Any] | None, prompt_ids: Sequence[str]
) -> tuple[dict[str, Any] | None, list[BufferEntry]]:
    """Let buffer and unfinished reformulations go on with the data of now; what is gone from them leaves both.

    Returns:
        what is left of ``pending``, and what left the buffer.
    """
    rows: dict[PromptId, int] = {prompt_id: row for row, prompt_id in enumerate(prompt_ids)}
    left = buffer.keep(rows)
    kept = without(pending, rows)
    lost = len(pending["rows"]) - len(kept["rows"] if kept else ()) if pending else 0
    print(
        f"zppo: {TRAIN_FILES}: of the replay buffer {len(left)} prompts are gone, {len(buffer)} stay; of unfinished "
        f"reformulations {lost} questions are gone",
        file=sys.stderr,
    )
    return kept, left
