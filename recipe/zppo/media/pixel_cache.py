"""What the processor made of images, for the other rollouts of the same prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any


class PixelCache:
    """The latest results, by the very image objects; an equal image that was opened another time is another one.

    An entry keeps its images, so that no other object can come to stand at their addresses.
    """

    def __init__(self, capacity: int = 32):
        self._capacity = capacity
        self._entries: OrderedDict[tuple[int, ...], tuple[list[Any], Any]] = OrderedDict()

    def get(self, images: Sequence[Any] | None) -> Any:
        """The result for these images in this order; None where there is none."""
        entry = self._entries.get(_key(images)) if images else None
        if entry is None:
            return None
        self._entries.move_to_end(_key(images))
        return entry[1]

    def put(self, images: Sequence[Any] | None, result: Any) -> None:
        """Without images nothing is kept."""
        if not images:
            return
        self._entries[_key(images)] = (list(images), result)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def _key(images: Sequence[Any]) -> tuple[int, ...]:
    return tuple(id(image) for image in images)
