"""What the replay buffer gives out: its entries, and what an update did to them."""

from dataclasses import dataclass, field

from recipe.zppo.types import PromptId


@dataclass(frozen=True, slots=True)
class BufferEntry:
    """One question of the buffer, as it was when asked for.

    Attributes:
        reference: where the question is found, as given at admission.
        entry_accuracy, entry_step: plain accuracy and step at admission.
        visits: (step, accuracy) of each later visit, oldest first.
    """

    prompt_id: PromptId
    reference: str | int
    entry_accuracy: float
    entry_step: int
    visits: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did, in order. Entries that left carry their last visit."""

    visited: list[BufferEntry] = field(default_factory=list)
    admitted: list[BufferEntry] = field(default_factory=list)
    graduated: list[BufferEntry] = field(default_factory=list)
    evicted: list[BufferEntry] = field(default_factory=list)
