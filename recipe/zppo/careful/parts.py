"""Where an answer comes apart: at brackets, commas, and between numbers."""

import re

_OPEN, _CLOSE = "([{", ")]}"
_THOUSANDS = re.compile(r"([^\d]*?)(\d{1,3}(?:,\d{3})+)((?:\.\d+)?(?:[^\d,].*)?)", re.DOTALL)
_SPACED = re.compile(r"-?(?:\d+(?:\.\d+)?|\d+/\d+)(?: +-?(?:\d+(?:\.\d+)?|\d+/\d+))+")
_PARTS = re.compile(r"\d[\d.]* +[a-zA-Z]{2,}(?: +\d[\d.]* +[a-zA-Z]{2,})+")


def bare(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and text[0] == "{" and _matching(text, 0) == len(text) - 1 and "," not in text:
        text = text[1:-1].strip()
    while len(text) > 1 and text[0] == "(" and _matching(text, 0) == len(text) - 1 and not set(",;") & set(text):
        text = text[1:-1].strip()
    return text


def _matching(text: str, at: int) -> int:
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in _OPEN) - (text[i] in _CLOSE)
        if depth == 0:
            return i
    return -1


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """At separators outside all brackets; half-open intervals are brackets too."""
    parts, depth, start, i = [], 0, 0, 0
    while i < len(text):
        depth += (text[i] in _OPEN) - (text[i] in _CLOSE)
        match = separator.match(text, i) if depth == 0 else None
        if match:
            parts.append(text[start:i])
            start = i = match.end()
        else:
            i += 1
    return [*parts, text[start:]]


def without_separators(text: str) -> str:
    """``1,000`` as ``1000``, unless it may be a list: ``100,200``."""
    match = _THOUSANDS.fullmatch(text)
    if not match or brackets_of(text):
        return text
    first, *rest = match[2].split(",")
    sure = len(first) < 3 or any(group[0] == "0" for group in rest)
    if not sure and (len(rest) > 1 or all(group[-1] == "0" for group in (first, *rest))):
        return text
    return match[1] + match[2].replace(",", "") + match[3]


def list_items(text: str) -> list[str]:
    if _SPACED.fullmatch(text):
        numbers = text.split()
        if re.fullmatch(r"-?\d{1,3}(?: \d{3})+", text) and (
            len(numbers[0].lstrip("-")) < 3 or any(number[0] == "0" for number in numbers[1:])
        ):
            return [text.replace(" ", "")]
        if len(numbers) == 2 and "/" in numbers[1] and "/" not in numbers[0]:
            return [text]  # a mixed number
        return numbers
    if _PARTS.fullmatch(text):  # 2 hours 30 minutes
        return re.findall(r"\d[\d.]* +[a-zA-Z]+", text)
    if ", " in text and re.search(r",\d{3}(?!\d)", text):
        parts = split(text, re.compile(r"[,;] +"))
    else:
        parts = split(text, re.compile(r"[,;]"))
    return [part.strip() for part in parts] if all(part.strip() for part in parts) else [text]


def brackets_of(text: str) -> str:
    """The outer brackets of the whole text."""
    if text.startswith("\\{") and text.endswith("\\}") and _matching(text, 1) == len(text) - 1:
        return "{}"
    if text.startswith("\\langle") and text.endswith("\\rangle"):
        return "<>"
    if text[:1] in ("(", "[", "{") and _matching(text, 0) == len(text) - 1 and re.search("[,;]", text):
        return text[0] + text[-1]
    if re.fullmatch(r"[\]\[][^\[\]()]*[,;][^\[\]()]*[\]\[]", text):  # ]1, 2[ is open
        return ("(" if text[0] == "]" else "[") + (")" if text[-1] == "[" else "]")
    return ""
