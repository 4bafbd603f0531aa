"""Takes instructions on how to reason and where to put the answer off a question: our closer (Fig. 8) is the only one.

Data sets end their questions with "Let's think step by step and output the final answer within \\boxed{}." and the
like. A sentence goes only if it stands at the end (or is the first line), and says nothing about the answer itself:
"Round your answer to two decimals" stays, and so does "Answer with the option's letter", without which the option's
text would be as good an answer, and be graded wrong.
"""

import re

_MARKS = re.compile(r"\\boxed\b|####|</?(?:think|answer|reasoning|solution)>", re.IGNORECASE)
"""A sentence with one of these is about the form, unless it asks something."""

_FORM = re.compile(
    r"step[- ]by[- ]step(?=\s*(?:[,.;:!)]|$|(?:and|before|then|reasoning|explanation|thinking)\b))|"
    r"internal monologue|final answer|careful reasoning",
    re.IGNORECASE,
)
_IMPERATIVE = re.compile(
    r"(?:hint: *)?(?:please,? |now,? )?(?:first,? |directly |carefully )?"
    r"(?:answer|respond|reply|select|choose|give|provide|output|write|put|enclose|state|let'?s|think|reason|solve|"
    r"explain|show|you (?:first|should|must|need)|(?:the|your) (?:final )?(?:answer|reasoning))\b",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"round|decimal|nearest|in terms of|unit|simplest|simplif|fraction|integer|significant|degree|percent|radical|"
    r"ratio\b|pi\b|π|notation|format [a-z]|expressed? as|letters?\b|words?\b|phrase|option|number|value",
    re.IGNORECASE,
)
"""What is said about the value stays."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n")


def strip_directives(question: str) -> str:
    """The question without such instructions; unchanged if nothing would be left."""
    text = question.rstrip()
    while text:
        borders = [match.end() for match in _SENTENCE_END.finditer(text)]
        start = borders[-1] if borders else 0
        if not is_directive(text[start:]):
            break
        text = text[:start].rstrip()
    first, newline, rest = text.partition("\n")
    if newline and is_directive(first):
        text = rest.lstrip()
    return text if _says_something(text) else question


def is_directive(sentence: str) -> bool:
    """Whether a sentence only says how to reason or where to put the answer."""
    sentence = sentence.strip()
    if not sentence or sentence.endswith("?") or len(sentence) > 400 or "<image>" in sentence:
        return False
    if _MARKS.search(sentence):
        return True
    return bool(_IMPERATIVE.match(sentence) and _FORM.search(sentence) and not _VALUE.search(sentence))


def _says_something(text: str) -> bool:
    return any(char.isalnum() for char in text.replace("<image>", ""))
