"""Replies of official judges: one JSON object, or malformed."""

import json
import re
from typing import Any

_MAX_REPLY = 16384
"""Characters; at most 512 tokens are asked for."""

_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


def json_reply(reply: str) -> dict[str, Any] | None:
    """The object; None for anything else. A thought before it and a code fence around it are no part of the reply.

    A key that stands there twice makes it malformed: no reader could tell which one is meant.
    """
    text = reply[-4 * _MAX_REPLY :].rpartition("</think>")[2].strip()
    if len(text) > _MAX_REPLY:
        return None
    fenced = _FENCE.fullmatch(text)
    try:
        content = json.loads(fenced[1] if fenced else text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands there twice")
    return content
