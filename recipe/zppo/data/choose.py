"""Which rows of a sub-set are taken under its cap.

The rule: candidates stand in the order of (priority of their source, a seeded hash of their digest). From the front,
those that pass the checks of picture and length are kept until there are `cap` of them. The rule knows nothing of
files, shards or workers, so neither does the result.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

OVER_CAP = "over_cap"
DUPLICATE = "duplicate"
OTHER_SOURCE = "other_source"


@dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """A row that passed all checks of its text. Sorts by the rule above."""

    priority: int
    """Of its source; 0 is the highest."""
    rank: int
    digest: int = field(compare=False)
    """64 bits that depend on what the row says; equal digests in a sub-set are one row, given twice."""
    unit: int
    row: int


def rank(seed: int, digest: int, purpose: str = "cap") -> int:
    """64 bits, evenly distributed and reproducible."""
    text = f"{purpose} {seed} {digest}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def order(candidates: Iterable[Candidate], *, fill: bool) -> tuple[list[Candidate], Counter]:
    """The candidates of a sub-set in the order of the rule, and how many fell out for which reason.

    Args:
        fill: sources of lower priority may fill the places that are left; otherwise only the first that has any
            candidate is used (Vero wins).
    """
    dropped: Counter = Counter()
    ordered, seen = [], set()
    for candidate in sorted(candidates):
        if not fill and ordered and candidate.priority != ordered[0].priority:
            dropped[OTHER_SOURCE] += 1
        elif candidate.digest in seen:
            dropped[DUPLICATE] += 1
        else:
            seen.add(candidate.digest)
            ordered.append(candidate)
    return ordered, dropped


class Chooser:
    """Applies the rule in portions, so that no more pictures are looked at than needed.

    While `portion` is not empty: find out for each of its candidates why it can't be kept, and `tell` it.
    """

    def __init__(self, candidates: Sequence[Candidate], cap: int):
        self._candidates, self._cap = candidates, cap
        self._next = 0
        self.kept: list[Candidate] = []
        self.dropped: Counter = Counter()

    def portion(self) -> Sequence[Candidate]:
        """The candidates to look at next: a quarter more than are lacking if they pass as often as those before.

        At least 16, and at most four times as many as were looked at so far, should hardly any have passed. Every
        portion is another walk over the files, so two or three must do.
        """
        lacking, looked_at = self._cap - len(self.kept), self._next
        if lacking <= 0:
            return ()
        size = max(lacking + lacking // 4, 16)
        if looked_at:
            size = min(size * looked_at // max(len(self.kept), 1) + 1, 4 * looked_at)
        return self._candidates[looked_at : looked_at + size]

    def tell(self, reasons: Sequence[str | None]) -> None:
        """For each candidate of the portion, in its order, the reason why it is dropped; None if it is fine."""
        for candidate, reason in zip(self.portion(), reasons, strict=True):
            if len(self.kept) == self._cap:
                break
            self._next += 1
            if reason is None:
                self.kept.append(candidate)
            else:
                self.dropped[reason] += 1

    def counts(self) -> Counter:
        """Why candidates were dropped, the cap included; complete when `portion` is empty."""
        left = len(self._candidates) - self._next
        return self.dropped + Counter({OVER_CAP: left}) if left else Counter(self.dropped)
