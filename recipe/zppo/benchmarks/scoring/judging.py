"""What official judges have in common: a prompt in which a response can do no harm, and a reply that is one JSON
object.

Their prompts are ours: what the authors' prompts ask for, in other words. A judge gets what a response says behind its
thought; all of it where that is nothing.
"""

import json
import re
from functools import lru_cache
from typing import Any

from recipe.zppo.prompts import Messages, Template
from recipe.zppo.sanitize import sanitize

_MOST = 40_000
"""Characters of a response, from its end; 12,288 tokens are about as much."""
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def said(response: str) -> str:
    """What a response says behind its thought, or all of it where that is nothing."""
    return (response.rpartition("</think>")[2].strip() or response.strip())[-_MOST:]


def asked(template: Template, **texts: str) -> Messages:
    """The filled template. No text can close its place in it: tags of the template are taken apart."""
    tags = _tags(template.text)
    safe = {name: tags.sub("\ufffd", sanitize(text)).strip() for name, text in texts.items()}
    return [{"role": "user", "content": template.fill(**safe)}]


def reply_object(reply: str) -> dict[str, Any] | None:
    """The JSON object that a reply is, maybe in a code fence; None for anything else. Reasoning before it is none of
    it."""
    text = reply.rpartition("</think>")[2].strip()
    fence = _FENCE.fullmatch(text)
    try:
        found = json.loads(fence[1] if fence else text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@lru_cache(maxsize=32)
def _tags(template: str) -> re.Pattern[str]:
    names = "|".join(sorted(set(re.findall(r"</([a-z]+)>", template)))) or "(?!)"
    return re.compile(rf"[<\uff1c](?=\s{{0,4}}[/\uff0f]?\s{{0,4}}(?:{names})(?![a-z]))", re.IGNORECASE)
