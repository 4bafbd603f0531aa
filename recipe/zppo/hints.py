"""Whether a hint gives the answer away (Hint baseline, Alg. 5: the hint is to be answer-free)."""

from __future__ import annotations

import re

from recipe.zppo.reward import is_correct


def leaks(hint: str, gold: str) -> bool:
    r"""True if ``hint`` has a box, or states ``gold``.

    The gold answer counts as stated where it stands by itself, in any case and spacing: `14` in "so x = 14", not in
    "114" or "1.14" or "14.5". An equal value in another form (`28/2`) is not looked for, except after the last "=".
    """
    if "\\boxed" in hint:
        return True
    answer, text = _folded(gold), _folded(hint)
    if not answer:
        return False
    pattern = rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)" if answer[-1:].isalnum() else re.escape(answer)
    if re.search(pattern, text):
        return True
    _, equals, last = hint.rpartition("=")
    return bool(equals) and len(last) <= 64 and is_correct(last.strip().rstrip("."), gold)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())
