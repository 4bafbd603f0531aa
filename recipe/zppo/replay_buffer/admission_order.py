"""The order in which slots were filled, where slots are dense: a doubly linked list of indices."""

from array import array
from collections.abc import Iterator

NONE = -1  # no neighbour


class AdmissionOrder:
    """Slots 0 to n - 1 from the oldest to the newest. A removal moves the last slot into the hole, as its user does
    with the columns beside it. Every operation but `from_links` and iteration is O(1).
    """

    def __init__(self) -> None:
        self.oldest = self._newest = NONE
        self._older, self._newer = array("i"), array("i")

    def __len__(self) -> int:
        return len(self._newer)

    def __iter__(self) -> Iterator[int]:
        """Oldest first."""
        slot = self.oldest
        while slot != NONE:
            yield slot
            slot = self._newer[slot]

    def append(self) -> int:
        """A new slot, the newest; its index is the number of slots before."""
        slot = len(self)
        self._older.append(NONE)
        self._newer.append(NONE)
        self._tie(self._newest, slot)
        self._tie(slot, NONE)
        return slot

    def remove(self, slot: int) -> None:
        """Take out `slot`; the slot with the largest index is then known by that one."""
        self._tie(self._older[slot], self._newer[slot])
        older, newer = self._older.pop(), self._newer.pop()
        if slot != len(self):
            self._tie(older, slot)
            self._tie(slot, newer)

    def to_bytes(self) -> bytes:
        """The forward links, of which all else follows; 4 bytes a slot."""
        return self._newer.tobytes()

    @classmethod
    def from_links(cls, newer: array) -> "AdmissionOrder":
        """The order with these forward links.

        Raises:
            ValueError: they are not one chain over all slots.
        """
        order, size = cls(), len(newer)
        order._newer, order._older = newer, array("i", [NONE]) * size
        for slot, after in enumerate(newer):
            if after == NONE:
                order._newest = slot
            elif 0 <= after < size and order._older[after] == NONE:
                order._older[after] = slot
            else:
                raise ValueError("the order of admission is broken")
        slot, length = order._newest, 0
        while slot != NONE and length <= size:
            order.oldest, slot, length = slot, order._older[slot], length + 1
        if length != size:
            raise ValueError("the order of admission is broken")
        return order

    def _tie(self, older: int, newer: int) -> None:
        """Makes two slots neighbours; none on a side makes the other an end."""
        if older == NONE:
            self.oldest = newer
        else:
            self._newer[older] = newer
        if newer == NONE:
            self._newest = older
        else:
            self._older[newer] = older
