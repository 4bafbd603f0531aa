"""The fixed sentences of the method's templates, each of which the world's tokenizer reads as one token.

They are taken from :mod:`recipe.zppo.prompts`, so that the real strings stay in use and a changed template changes
the world (its cache key holds these sentences).
"""

import re

from recipe.zppo import prompts

TAGS = ("candidate", "hint", "response", "summary", "think")

_USED = (
    prompts.CLOSER,
    prompts.BCQ,
    prompts.NCQ_ANSWERS,
    prompts.NCQ_HEADER,
    prompts.NCQ_CANDIDATE,
    prompts.COMPRESSION,
    prompts.HINT_REQUEST,
)

# A field, or a tag on a line of its own. Tags inside a sentence belong to the sentence.
_BREAK = re.compile(rf"\{{[a-z][a-z0-9_]*\}}|^</?(?:{'|'.join(TAGS)})>$", re.MULTILINE)


def tags() -> list[str]:
    """Tags as they stand in text, and with the line break on their inner side."""
    return [form for name in TAGS for form in (f"<{name}>", f"</{name}>", f"<{name}>\n", f"\n</{name}>")]


def sentences() -> list[str]:
    """What stands in the templates between fields and tags, without surrounding white space and punctuation."""
    pieces = (piece.strip() for template in _USED for piece in _BREAK.split(template.text))
    return list(dict.fromkeys(piece for piece in pieces if any(c.isalpha() for c in piece)))
