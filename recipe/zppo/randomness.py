"""Randomness that depends on what is drawn, never on when.

Rollouts finish in an order that differs from run to run. Whatever is drawn for a question is therefore seeded by a
stable hash of (run's seed, purpose, step, question, ...), not taken from one stream that all questions share: the
same draw comes out in whichever order groups complete, in whichever process, and after a resume.

Python's `hash` is salted per process and is never used.
"""

import operator
import random
import struct
from hashlib import blake2b
from typing import Any


def derive_seed(*parts: Any) -> int:
    """A seed in [0, 2**63) from a canonical encoding of `parts`.

    Parts are str, bytes, bool, int (NumPy's too), float, None, and tuples or lists of these. The encoding carries
    type and length, so `("ab", "c")`, `("a", "bc")` and `(1,)`, `("1",)` all differ.

    Raises:
        TypeError: a part of another type.
    """
    digest = blake2b(_encode(list(parts)), digest_size=8, person=b"zppo-seed").digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: Any) -> random.Random:
    """A generator seeded by `derive_seed(*parts)`."""
    return random.Random(derive_seed(*parts))


def _encode(part: Any) -> bytes:
    if part is None:
        tag, body = b"n", b""
    elif isinstance(part, bool):
        tag, body = b"b", bytes([part])
    elif isinstance(part, str):
        tag, body = b"s", part.encode("utf-8", "surrogatepass")
    elif isinstance(part, bytes):
        tag, body = b"y", part
    elif isinstance(part, float):
        tag, body = b"f", struct.pack(">d", part)
    elif isinstance(part, tuple | list):
        tag, body = b"t", b"".join(map(_encode, part))
    else:
        try:
            tag, body = b"i", str(operator.index(part)).encode()
        except TypeError:
            raise TypeError(f"a seed cannot be derived from {type(part).__name__}") from None
    return tag + struct.pack(">Q", len(body)) + body
