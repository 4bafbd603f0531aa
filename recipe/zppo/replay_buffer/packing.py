"""Columns of ids as a few bytes objects: a saved buffer of ten million entries must stay small and quick to load."""

from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any


def pack(values: Sequence[Any]) -> dict[str, Any]:
    """A dict of plain types that `unpack` turns back into an equal list of strings and integers.

    Integers of 64 bits become 8 bytes each, strings their UTF-8 bytes and 8 bytes for the length in characters; a
    column that mixes them, or holds larger integers, stays a list. Strings are joined before they are encoded: one
    bytes object for each would take three times the memory of the result.
    """
    types = set(map(type, values))
    if types <= {int}:
        try:
            return {"kind": "int", "data": array("q", values).tobytes()}
        except OverflowError:
            pass
    elif types == {str}:
        data = "".join(values).encode("utf-8", "surrogatepass")
        return {"kind": "str", "data": data, "lengths": array("q", map(len, values)).tobytes()}
    return {"kind": "list", "data": list(values)}


def unpack(packed: dict[str, Any]) -> list[str | int]:
    """The list that was given to `pack`.

    Raises:
        ValueError: not a result of `pack`.
    """
    kind, data = packed.get("kind"), packed.get("data")
    if kind == "int":
        return numbers("q", data).tolist()
    if kind == "str" and isinstance(data, bytes):
        text, lengths = data.decode("utf-8", "surrogatepass"), numbers("q", packed.get("lengths"))
        ends = list(accumulate(lengths, initial=0))
        if min(lengths, default=0) < 0 or ends[-1] != len(text):
            raise ValueError(f"packed strings of {ends[-1]} characters in {len(text)} characters")
        return [text[start:end] for start, end in pairwise(ends)]
    if kind == "list" and isinstance(data, list):
        return list(data)
    raise ValueError(f"packed column of unknown kind {kind!r}")


def numbers(typecode: str, data: Any) -> array:
    """The array whose bytes `data` holds.

    Raises:
        ValueError: not bytes, or not a whole number of items.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"a packed column holds bytes, not {type(data).__name__}")
    column = array(typecode)
    column.frombytes(data)
    return column
