r"""The text that an official metric or judge is given: a response's final answer, without the thought, and for a metric
without the box around it."""

import re

from mathruler.grader import extract_boxed_content

from recipe.zppo.benchmarks.scoring.reading import first_sentence, read

_MOST = 40_000
"""Characters of a response for a judge, from its end; 12,288 tokens are about as much."""
_BOX = "\\boxed{"
_TEXT = re.compile(r"\\text(?:tt|rm|normal)?\{(.*)\}", re.DOTALL)
_FONT = re.compile(r"\\(?:text|math)[a-z]{0,6}\{([^{}]*)\}")
_SPACE = re.compile(r"\\[,;:! ]|~")
_FORMULA = re.compile(r"\$([^$]*[^$\\])\$")
_ESCAPED = re.compile(r"\\([{}_%$#&])")


def spoken(response: str) -> str:
    """What a response says behind its thought, or all of it where that is nothing."""
    return (response.rpartition("</think>")[2].strip() or response.strip())[-_MOST:]


def short_answer(response: str) -> str:
    """Of a few words: the box, or what follows "the answer is", or the last line behind the thought."""
    reading = read(response)
    stated = [first_sentence(text.strip("* ")) for text in reading.stated[-1:]]
    found = reading.boxes or stated or reading.lines[-1:] or reading.thought_boxes
    text = _SPACE.sub(" ", _FONT.sub(r"\1", _FONT.sub(r"\1", ", ".join(found)))).strip(" *")
    formula = _FORMULA.fullmatch(text)
    return _ESCAPED.sub(r"\1", formula[1] if formula else text)


def whole_answer(response: str, *, latex: bool = False) -> str:
    r"""Of any length: the last box, or all that is said behind the thought. Of a thought that never ends, its last box.

    A box that is not closed, as one of code may be, goes to the end.

    Args:
        latex: the answer is a formula. Else what LaTeX puts around other text is taken off (`\text{}`, `\{`).
    """
    thought, closed, said = response.rpartition("</think>")
    if not said.strip() or (not closed and "<think>" in response and _BOX not in said):
        said = thought if _BOX in thought else ""
    box = said.rfind(_BOX)
    if box >= 0:
        content = extract_boxed_content(said[box:])
        said = said[box + len(_BOX) :].rstrip("} $\n") if content == "None" else content
    said = said.strip()
    if latex or box < 0:
        return said
    inner = _TEXT.fullmatch(said)
    return _ESCAPED.sub(r"\1", inner[1] if inner else said).strip()
