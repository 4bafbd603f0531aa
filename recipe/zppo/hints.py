"""Whether a hint gives the answer away (Hint baseline, Alg. 5: the hint is to be answer-free)."""

import re

from recipe.zppo import answer_format
from recipe.zppo.reward import is_correct

_WORDS = {"a", "i", "no"}
_ANNOUNCED = r"(?i:\b(?:answer|option|choice|letter|choose|select|pick)(?: is|:)? )"


def leaks(hint: str, gold: str) -> bool:
    r"""True if ``hint`` has a box, or states ``gold``.

    The gold answer counts as stated where it stands by itself, in any case and spacing: `14` in "so x = 14", not in
    "114" or "1.14" or "14.5". Single letters count in their own case only. "A", "I" and "no" are English words as well:
    they count where no other word follows ("it is A."), or where an answer is announced ("option A shows").
    An equal value in another form (`28/2`) is not looked for, except after the last "=". Where answers stand in another
    form than a box, one in that form counts if it is right: what announces it may stand in any text (`####`, `**`).
    """
    answers = answer_format.chosen()
    if answers.form == answer_format.BOX and "\\boxed" in hint:
        return True
    answer, text = _folded(gold), _folded(hint)
    if not answer:
        return False
    letter = len(answer) == 1 and answer.isalpha()
    if letter:
        answer, text = gold.strip(), " ".join(hint.split())
    pattern = rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)" if answer[-1:].isalnum() else re.escape(answer)
    if answer.lower() in _WORDS:
        pattern = rf"{pattern}(?! ?[^\W\d_])|{_ANNOUNCED}{pattern}"
    if re.search(pattern, text):
        return True
    _, equals, last = hint.rpartition("=")
    if equals and len(last) <= 64 and is_correct(last.strip().rstrip("."), gold):
        return True
    said = None if answers.boxed else answers.extract(hint)
    return said is not None and is_correct(said, gold)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())
