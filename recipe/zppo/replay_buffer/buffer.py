"""The prompt replay buffer: hard questions that wait for another visit (Algorithm 1, steps 1 and 6).

It stores questions, never responses: a prompt id, a reference to the data row, and a history of accuracies. After a
step, `update` gets the accuracy of the *plain* group of every question of the step and

- admits each with accuracy below the threshold; one that is in already keeps its place and its entry accuracy;
- graduates (removes) each that is in and has reached the threshold;
- then evicts the oldest admissions while more than `capacity` are left.

A visit is a later step in which a question of the buffer was drawn again: its step and accuracy are kept.

Every operation is O(1) for each question that it touches, whatever the size: entries lie dense in columns, so that a
uniform draw is a random index; a removal moves the last entry into the hole; the order of admission is a doubly
linked list of indices. Only visited entries own Python objects beyond their id. `state_dict` is O(size), and so is a
draw by other weights than the paper's uniform ones.
"""

import random
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import index
from typing import Any

import numpy as np

from recipe.zppo.errors import ReplayBufferError
from recipe.zppo.replay_buffer.admission_order import AdmissionOrder
from recipe.zppo.replay_buffer.entries import BufferEntry, UpdateReport
from recipe.zppo.replay_buffer.fates import Fates
from recipe.zppo.replay_buffer.packing import numbers, pack, unpack
from recipe.zppo.replay_buffer.weights import REPLAY_WEIGHTS, UNIFORM, entry_weights, weighted_draw
from recipe.zppo.types import PromptId

_SETTINGS = {"capacity": "zppo.replay.capacity", "threshold": "zppo.threshold", "weights": "zppo.replay.weights"}


class PromptReplayBuffer:
    """See the module. Life cycle, once a step:

        replayed = buffer.sample(k, exclude=new_prompt_ids)
        ...                                                     # roll out, score
        report = buffer.update(step, [(prompt_id, plain_accuracy, reference), ...])

    The order of the outcomes is the order of admission: give them in the order of the batch, not of completion.
    """

    def __init__(self, capacity: int, threshold: float, seed: int, weights: str = UNIFORM) -> None:
        """
        Args:
            capacity: most entries after an update.
            threshold: tau in (0, 1]; an accuracy below is hard.
            seed: of the draws.
            weights: of the draws, one of `recipe.zppo.replay_buffer.weights`.

        Raises:
            ReplayBufferError: one of them out of range.
        """
        if capacity < 1:
            raise ReplayBufferError(f"capacity must be at least 1, got {capacity}")
        if not 0 < threshold <= 1:
            raise ReplayBufferError(f"threshold must lie in (0, 1], got {threshold}")
        if weights not in REPLAY_WEIGHTS:
            raise ReplayBufferError(f"weights must be one of {', '.join(REPLAY_WEIGHTS)}, got {weights!r}")
        self.capacity = capacity
        self.threshold = threshold
        self.weights = weights
        self._random = random.Random(seed)
        self._slots: dict[PromptId, int] = {}
        self._ids: list[PromptId] = []
        self._references: list[str | int] = []
        self._entry_accuracy = array("d")
        self._entry_step = array("q")
        self._visit_count = array("i")
        self._order = AdmissionOrder()
        self._visits: dict[PromptId, list[tuple[int, float]]] = {}
        self._num_visits = 0
        self._last_step = 0
        self._fates = Fates()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, prompt_id: PromptId) -> bool:
        return prompt_id in self._slots

    def __iter__(self) -> Iterator[BufferEntry]:
        """All entries, oldest admission first."""
        return map(self._entry, self._order)

    def update(self, step: int, outcomes: Iterable[tuple[PromptId, float, str | int]]) -> UpdateReport:
        """Takes in the (prompt id, plain accuracy, reference) of the step's questions, new and replayed.

        Raises:
            ReplayBufferError: an accuracy outside [0, 1], an id twice, or an id or reference that is neither string
                nor integer. The buffer is then as it was.
        """
        checked = self._checked(outcomes)
        report = UpdateReport()
        self._last_step = index(step)
        for prompt_id, accuracy, reference in checked:
            slot = self._slots.get(prompt_id)
            if slot is not None:
                self._visits.setdefault(prompt_id, []).append((self._last_step, accuracy))
                self._visit_count[slot] += 1
                self._num_visits += 1
                report.visited.append(self._entry(slot))
            if slot is None and accuracy < self.threshold:
                report.admitted.append(self._admit(prompt_id, accuracy, reference))
            elif slot is not None and accuracy >= self.threshold:
                report.graduated.append(self._remove(slot, "graduations"))
        while len(self) > self.capacity:
            report.evicted.append(self._remove(self._order.oldest, "evictions"))
        return report

    def sample(self, k: int, exclude: Collection[PromptId] = ()) -> list[BufferEntry]:
        """`k` entries drawn by `weights` without replacement, fewer if there are fewer; none of `exclude`.

        The entries stay in the buffer. O(k + |exclude|) where the weights are uniform, else O(size).
        """
        if k < 0:
            raise ReplayBufferError(f"the number of entries to draw must be at least 0, got {k}")
        excluded = {self._slots[prompt_id] for prompt_id in exclude if prompt_id in self._slots}
        if self.weights == UNIFORM:
            return self._sample_uniformly(k, excluded)
        columns = np.frombuffer(self._entry_accuracy), np.frombuffer(self._visit_count, np.intc)
        slots = weighted_draw(entry_weights(self.weights, *columns), k, excluded, self._random.getrandbits(64))
        return [self._entry(slot) for slot in slots]

    def _sample_uniformly(self, k: int, excluded: set[int]) -> list[BufferEntry]:
        """A shuffle of the indices of which only the part that is needed is carried out, passing over the excluded."""
        drawn: list[BufferEntry] = []
        moved: dict[int, int] = {}  # the shuffled indices, where they are not what they were
        for position in range(len(self)):
            if len(drawn) == min(k, len(self) - len(excluded)):
                break
            other = self._random.randrange(position, len(self))
            slot = moved.get(other, other)
            moved[other] = moved.get(position, position)
            if slot not in excluded:
                drawn.append(self._entry(slot))
        return drawn

    def keep(self, references: Mapping[PromptId, str | int]) -> list[BufferEntry]:
        """Leave the questions of `references` only, and let them be found there from now on.

        The others leave as evictions. O(size).
        """
        gone = [prompt_id for prompt_id in self._ids if prompt_id not in references]
        left = [self._remove(self._slots[prompt_id], "evictions") for prompt_id in gone]
        self._references = [_plain(references[prompt_id], "reference") for prompt_id in self._ids]
        return left

    def metrics(self) -> dict[str, float]:
        """Size, totals since the start, and the same by entry accuracy (`.../from_0.125`).

        `graduations/after_<n>` and `evictions/after_<n>`: entries that left after n visits, the one that made them
        graduate included; n = 16 is 16 or more. `evictions_improved/after_<n>`: of the evictions, those whose accuracy
        was above their entry accuracy in at least one visit (Fig. 24).
        """
        return {
            "size": len(self),
            "mean_visits": self._num_visits / max(len(self), 1),
            "oldest_age": self._last_step - self._entry_step[self._order.oldest] if self._ids else 0,
            **self._fates.metrics(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later draw or metric depends on, in plain types; about 40 bytes and the id an entry."""
        return {
            "version": 1,
            "capacity": self.capacity,
            "threshold": self.threshold,
            "weights": self.weights,
            "random": self._random.getstate(),
            "ids": pack(self._ids),
            "references": pack(self._references),
            "entry_accuracy": self._entry_accuracy.tobytes(),
            "entry_step": self._entry_step.tobytes(),
            "newer": self._order.to_bytes(),
            "visits": {prompt_id: list(visits) for prompt_id, visits in self._visits.items()},
            "last_step": self._last_step,
            **self._fates.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Becomes the buffer that was saved; it must have been of this capacity and threshold, and of these weights.

        A state from before there were weights is of uniform ones; who left after how many visits it does not tell, or
        who had improved, and is counted from then on.

        Raises:
            ReplayBufferError: missing or unknown keys, other limits or weights, or columns that do not fit together.
                The buffer is then as it was.
        """
        fresh = PromptReplayBuffer(self.capacity, self.threshold, 0, self.weights)
        expected = fresh.state_dict()
        state = {"weights": UNIFORM, "by_visits": expected["by_visits"]} | state
        if isinstance(state["by_visits"], dict):
            state["by_visits"] = {"evictions_improved": {}} | state["by_visits"]
        if state.keys() != expected.keys():
            raise ReplayBufferError(
                f"state of a replay buffer lacks {sorted(expected.keys() - state.keys())} "
                f"and has unknown {sorted(state.keys() - expected.keys())}"
            )
        for key in ("version", *_SETTINGS):
            if state[key] != expected[key]:
                remedy = f"; to go on with it, set {_SETTINGS[key]}={state[key]}" if key in _SETTINGS else ""
                raise ReplayBufferError(f"saved with {key} {state[key]}, but this buffer has {expected[key]}{remedy}")
        try:
            fresh._fill(state)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise ReplayBufferError(f"state of a replay buffer is damaged: {error}") from error
        self.__dict__ = fresh.__dict__

    def _fill(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["random"]
        self._random.setstate((version, tuple(internal), gauss))
        self._ids, self._references = unpack(state["ids"]), unpack(state["references"])
        self._slots = {prompt_id: slot for slot, prompt_id in enumerate(self._ids)}
        self._entry_accuracy = numbers("d", state["entry_accuracy"])
        self._entry_step = numbers("q", state["entry_step"])
        newer = numbers("i", state["newer"])
        size = len(self._ids)
        columns = (self._slots, self._references, self._entry_accuracy, self._entry_step, newer)
        if size > self.capacity or any(len(column) != size for column in columns):
            raise ValueError(f"columns of {[len(column) for column in columns]} entries for {size} ids")
        self._order = AdmissionOrder.from_links(newer)
        self._visits = {prompt_id: [(s, a) for s, a in visits] for prompt_id, visits in state["visits"].items()}
        if not self._visits.keys() <= self._slots.keys():
            raise ValueError("visits of questions that are not in the buffer")
        self._visit_count = array("i", [0]) * size
        for prompt_id, visits in self._visits.items():
            self._visit_count[self._slots[prompt_id]] = len(visits)
        self._num_visits = sum(self._visit_count)
        self._last_step = index(state["last_step"])
        self._fates.load_state_dict(state)

    def _checked(self, outcomes: Iterable[tuple[PromptId, float, str | int]]) -> list[tuple]:
        checked, seen = [], set()
        for prompt_id, accuracy, reference in outcomes:
            prompt_id, reference = _plain(prompt_id, "prompt id"), _plain(reference, "reference")
            if prompt_id in seen:
                raise ReplayBufferError(f"prompt id {prompt_id!r} occurs twice in one update")
            if not 0 <= accuracy <= 1:
                raise ReplayBufferError(f"prompt id {prompt_id!r}: accuracy {accuracy} is not in [0, 1]")
            seen.add(prompt_id)
            checked.append((prompt_id, float(accuracy), reference))
        return checked

    def _entry(self, slot: int) -> BufferEntry:
        prompt_id = self._ids[slot]
        visits = tuple(self._visits.get(prompt_id, ()))
        return BufferEntry(
            prompt_id, self._references[slot], self._entry_accuracy[slot], self._entry_step[slot], visits
        )

    def _admit(self, prompt_id: PromptId, accuracy: float, reference: str | int) -> BufferEntry:
        slot = self._order.append()
        self._slots[prompt_id] = slot
        self._ids.append(prompt_id)
        self._references.append(reference)
        self._entry_accuracy.append(accuracy)
        self._entry_step.append(self._last_step)
        self._visit_count.append(0)
        self._fates.admitted(accuracy)
        return self._entry(slot)

    def _remove(self, slot: int, fate: str) -> BufferEntry:
        entry = self._entry(slot)
        self._fates.left(fate, entry.entry_accuracy, entry.visits)
        self._num_visits -= len(self._visits.pop(entry.prompt_id, ()))
        del self._slots[entry.prompt_id]
        self._order.remove(slot)
        last = len(self._order)
        columns: list[Any] = [self._ids, self._references, self._entry_accuracy, self._entry_step, self._visit_count]
        for column in columns:
            moved = column.pop()
            if slot != last:
                column[slot] = moved
        if slot != last:
            self._slots[self._ids[slot]] = slot
        return entry


def _plain(value: Any, name: str) -> str | int:
    """`value` as Python's own str or int: NumPy's would not compare or pickle alike."""
    if isinstance(value, str):
        return str(value)
    try:
        return index(value)
    except TypeError:
        raise ReplayBufferError(f"a {name} is a string or an integer, not {type(value).__name__}") from None
