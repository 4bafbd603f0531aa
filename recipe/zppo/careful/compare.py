"""Whether two answers are equal. In doubt they are not: a wrong answer that is rewarded does more harm."""

import re
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from recipe.zppo.careful import value
from recipe.zppo.careful.answer import parse
from recipe.zppo.careful.forms import Form, Items, Matrix, Quantity, Reals, Relation, Words
from recipe.zppo.careful.reals import TURNED, as_reals
from recipe.zppo.careful.text import normalized

_LETTER = re.compile(
    r"(?:(?i:(?:the )?(?:correct )?(?:option|answer|choice)(?: is)?:? +))?"
    r"(?:\((?P<a>[A-Za-z])\)|(?P<b>[A-J])[.):]|(?P<c>[A-Za-z]))(?P<rest>(?<=[.):]).*)?",
    re.DOTALL,
)
_SAME_WORDS = {"no solutions": "no solution", "no real solutions": "no real solution"} | {
    "dne": "does not exist",
    "undefined": "undefined",
    "infinity": "\\infty",
    "+\\infty": "\\infty",
}
_TIME = re.compile(r"(\d{1,2})(?::(\d{2})(?::(\d{2}))?)? *(?:([ap])\.?m\.?)?", re.IGNORECASE)
_DATES = ("%Y-%m-%d", "%B %d %Y", "%d %B %Y", "%b %d %Y", "%d %b %Y", "%Y/%m/%d")
_DAYS = ("%B %d", "%d %B", "%b %d", "%d %b")
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}")
_NEXT, _LABEL = re.compile(r"(?:and|or)\b|[,/&]"), re.compile(r"\([A-Ja-j]\)|\b[A-J][.):]")
"""What stands behind a letter if it is one of several, and the mark of another."""
_RANGE = re.compile(r"(\$?\d[\d.,]*%?(?:(?: - |-)\$?\d[\d.,]*%?)+)((?: *[a-zA-Z°]+)*)")
_FORMULA = re.compile(r"(?:\\text\{ *)?(?:[A-Z][a-z]?\}?(?:_?\{?\d+\}?)?(?:\\text\{)?)+\}?")
"""Of a molecule."""
_SURE_DIGITS = 6


def is_equal(answer: str, gold: str) -> bool:
    """Whether an extracted answer is the gold one, in another form perhaps."""
    if answer.strip() == gold.strip():
        return True
    answer, gold = normalized(answer), normalized(gold)
    if not answer or not gold:
        return False
    if _squeezed(answer) == _squeezed(gold):
        return True
    if _FORMULA.fullmatch(answer) and _FORMULA.fullmatch(gold) and _element_counts(answer) == _element_counts(gold):
        return True
    for decide in (_dates, _choices, _clocks, _ranges):
        if (verdict := decide(answer, gold)) is not None:
            return verdict
    return _same(parse(answer), parse(gold))


def _squeezed(text: str) -> str:
    """Without spaces between signs; those between words, numbers and letters tell things apart."""
    text = " ".join(re.sub(r"([_^])\{(\w)\}", r"\1\2", text).split())
    text = re.sub(r"(?<=\d) -(?=\d)", ",-", text)  # 4 -6 is not 4 - 6
    return re.sub(r"(?<=[^\w\\}]) +| +(?=[^\w\\{])|(?<=\d) (?=[a-zA-Z])", "", text)


def _element_counts(text: str) -> str:
    return re.sub(r"[_{} ]", "", text.replace("\\text", ""))


def _choices(answer: str, gold: str) -> bool | None:
    """Letters of a multiple choice, with or without the text beside them."""
    (letter, text), (gold_letter, gold_text) = _choice(answer), _choice(gold)
    if gold_letter:
        if letter and text and gold_text:
            return letter == gold_letter and is_equal(text, gold_text)
        if letter:
            return letter == gold_letter
        return is_equal(answer, gold_text) if gold_text else None
    return is_equal(text, gold) if letter and text and answer[:1] in "(ABCDEFGHIJ" else None


def _choice(text: str) -> tuple[str, str]:
    bare = re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip()
    match = _LETTER.fullmatch(bare) or _LETTER.fullmatch(f"{bare}.")
    if not match:
        return "", ""
    letter, rest = match["a"] or match["b"] or match["c"], (match["rest"] or "").strip()
    if _NEXT.match(rest) or _LABEL.search(rest):
        return "", ""
    return (letter.upper(), rest) if letter.upper() in "ABCDEFGHIJ" else ("", "")


def _clocks(answer: str, gold: str) -> bool | None:
    """Times of a day; ratios such as 3:4 are none, and are compared part by part."""
    ratio, gold_ratio = (re.fullmatch(r"(\d+) *(?::|to) *(\d+)", text) for text in (answer, gold))
    if ratio and gold_ratio and [*map(int, ratio.groups())] == [*map(int, gold_ratio.groups())]:
        return True
    times = [_TIME.fullmatch(re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip()) for text in (answer, gold)]
    if None in times or not all(time[2] or time[4] for time in times if time):
        return False if ":" in answer and ":" in gold and any(times) else None
    (hour, *rest, half), (gold_hour, *gold_rest, gold_half) = (time.groups() for time in times if time)
    same_minutes = [part or "00" for part in rest] == [part or "00" for part in gold_rest]
    return same_minutes and _hour(hour, half) == _hour(gold_hour, gold_half)


def _ranges(answer: str, gold: str) -> bool | None:
    """Two ranges, scores or numbers with dashes, such as 10-20; and 10-20 is not the number -10."""
    texts = [re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip() for text in (answer, gold)]
    ranges = [_RANGE.fullmatch(re.sub(r"^(\$?\d+%?) to (?=\$?\d)", r"\1-", text)) for text in texts]
    found = [[part.strip() for part in match[1].split("-")] if match else [] for match in ranges]
    if all(found):
        same = len(found[0]) == len(found[1]) and all(a == b or is_equal(a, b) for a, b in zip(*found, strict=True))
        units = [match[2].split() for match in ranges if match]
        return True if same and units[0] == units[1] else None if same else False
    pairs = [re.fullmatch(r"(\d+)(?: - |-)(\d+)", text) for text in texts]
    rising = any(pair and int(pair[1]) < int(pair[2]) for pair in pairs)
    return False if rising and any(re.fullmatch(r"-?\d+(?:\.\d+)?", text) for text in texts) else None


def _hour(hour: str, half: str | None) -> int:
    return int(hour) if half is None else int(hour) % 12 + 12 * (half.lower() == "p")


def _dates(answer: str, gold: str) -> bool | None:
    if _SLASHED.fullmatch(answer) or _SLASHED.fullmatch(gold):
        return answer == gold
    dates = [_date(text) for text in (answer, gold)]
    return dates[0] == dates[1] if any(dates) else None


def _date(text: str) -> tuple[int | None, int, int] | None:
    text = re.sub(r"\\text\{([^{}]*)\}", r"\1", text)
    text = " ".join(re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text.replace(",", " ")).split())
    text = re.sub(r"(?i)\bsept\b", "Sep", re.sub(r"(?<=[a-zA-Z])\.(?= )", "", text))
    if not re.search(r"[A-Za-z]{3}|\d{4}[-/]\d", text):
        return None
    for forms, with_year in ((_DATES, True), (_DAYS, False)):
        for form in forms:
            try:  # a leap year, for 29 February
                found = datetime.strptime(text if with_year else f"{text} 2000", form if with_year else f"{form} %Y")
            except ValueError:
                continue
            return (found.year if with_year else None, found.month, found.day)
    return None


def _same(answer: Form, gold: Form) -> bool:
    if isinstance(answer, Relation) and isinstance(gold, Relation):
        return _same_relations(answer, gold)
    if isinstance(answer, Relation):
        return answer.sign == "=" and bool(answer.name) and _same(answer.right, gold)
    if isinstance(gold, Relation):
        return gold.sign == "=" and bool(gold.name) and _same(answer, gold.right)
    if isinstance(answer, Reals) or isinstance(gold, Reals):
        left, right = as_reals(answer), as_reals(gold)
        return left is not None and right is not None and _same_reals(left, right)
    if isinstance(answer, Matrix) or isinstance(gold, Matrix):
        left_rows, right_rows = _as_matrix(answer), _as_matrix(gold)
        return left_rows is not None and right_rows is not None and _same_matrices(left_rows, right_rows)
    if isinstance(answer, Items) or isinstance(gold, Items):
        return _same_items(*(form if isinstance(form, Items) else Items("", (form,), False) for form in (answer, gold)))
    for words, other in ((answer, gold), (gold, answer)):
        if isinstance(words, Words) and words.tree and isinstance(other, Quantity):
            return not other.unit and not other.percent and value.equal(words.tree, other.tree)
    if isinstance(answer, Words) or isinstance(gold, Words):
        return isinstance(answer, Words) and isinstance(gold, Words) and _folded(answer) == _folded(gold)
    return _same_quantities(answer, gold)


def _folded(words: Words) -> str:
    text = "".join(words.text.split()) if re.search(r"[\\_^]", words.text) else words.text
    return _SAME_WORDS.get(text, text)


def _as_matrix(form: Form) -> Matrix | None:
    """Also of ``[[1, 2], [3, 4]]``."""
    if isinstance(form, Matrix):
        return form
    if isinstance(form, Items) and form.brackets == "[]":
        rows = [item.items for item in form.items if isinstance(item, Items) and item.brackets == "[]"]
        return Matrix(tuple(rows), determinant=False) if len(rows) == len(form.items) else None
    return None


def _same_matrices(answer: Matrix, gold: Matrix) -> bool:
    if answer.determinant != gold.determinant or [len(row) for row in answer.rows] != [len(row) for row in gold.rows]:
        return False
    pairs = zip(answer.rows, gold.rows, strict=True)
    return all(_same(a, b) for row, gold_row in pairs for a, b in zip(row, gold_row, strict=True))


def _same_items(answer: Items, gold: Items) -> bool:
    plain = not any(isinstance(item, Relation) for item in answer.items + gold.items)
    if plain and {answer.brackets, gold.brackets} in ({"", "()"}, {"", "[]"}) and len(gold.items) > 2:  # no interval
        return _in_order(answer, gold)
    if {answer.brackets, gold.brackets} == {"", "()"}:  # x = 2, y = 3 is the point (2, 3)
        bare = answer if not answer.brackets else gold
        names = [item.name for item in bare.items if isinstance(item, Relation)]
        if len(names) < len(bare.items) or names != sorted(set(names)):
            return False
        answer, gold = (Items("", form.items, ordered=True) for form in (answer, gold))
    for one, other in ((answer, gold), (gold, answer)):
        names = [item.name for item in one.items if isinstance(item, Relation)]
        plain = other.ordered and not any(isinstance(item, Relation) for item in other.items)
        if plain and not one.brackets and not other.brackets and len(set(names)) == len(one.items) > 1:
            return names == sorted(names) and _in_order(one, other)  # a = 1, b = 2 is 1, 2
        if one.brackets == "{}" and len(one.items) == 1 and other.brackets not in ("", "{}"):
            return _same(one.items[0], other)
    vectors = {answer.brackets, gold.brackets} == {"<>", "()"}
    sets = {answer.brackets, gold.brackets} == {"", "{}"}
    if answer.brackets != gold.brackets and not vectors and not sets:
        return False
    if answer.brackets == gold.brackets == "{}":
        return all(any(_same(a, b) for b in gold.items) for a in answer.items) and all(
            any(_same(a, b) for a in answer.items) for b in gold.items
        )
    if len(answer.items) != len(gold.items):
        return False
    return _in_order(answer, gold) if answer.ordered and gold.ordered else _matched(answer.items, gold.items)


def _in_order(answer: Items, gold: Items) -> bool:
    same_length = len(answer.items) == len(gold.items)
    return same_length and all(_same(a, b) for a, b in zip(answer.items, gold.items, strict=True))


def _matched(items: Sequence[Form], gold: Sequence[Form]) -> bool:
    left = list(gold)
    for item in items:
        found = next((i for i, other in enumerate(left) if _same(item, other)), None)
        if found is None:
            return False
        del left[found]
    return True


def _same_reals(answer: Reals, gold: Reals) -> bool:
    if answer.name and gold.name and answer.name != gold.name:
        return False
    if len(answer.intervals) != len(gold.intervals):
        return False
    return all(
        (a[2], a[3]) == (b[2], b[3]) and all(_same_end(a[i], b[i]) for i in (0, 1))
        for a, b in zip(answer.intervals, gold.intervals, strict=True)
    )


def _same_end(a: Fraction | float, b: Fraction | float) -> bool:
    if a == b or isinstance(a, float) or isinstance(b, float):
        return a == b
    return abs(a - b) <= abs(b) / 10**35


def _same_relations(answer: Relation, gold: Relation) -> bool:
    if answer.sign == gold.sign == "=" and answer.name and answer.name == gold.name:
        return _same(answer.right, gold.right)
    sides = (answer.left, answer.right, gold.left, gold.right)
    if not all(isinstance(side, Quantity) and not side.unit and not side.percent for side in sides):
        return False
    left, right, gold_left, gold_right = (side.tree for side in sides)  # type: ignore[union-attr]
    a, b = ("sum", left, ("negative", right)), ("sum", gold_left, ("negative", gold_right))
    if len(value.symbols(b)) < 2 or value.symbols(a) != value.symbols(b):  # x = 3 is not said by 2x = 6
        return False
    sign = value.proportional(a, b)
    if sign is None:
        return False
    if answer.sign in ("=", "\\neq") or gold.sign in ("=", "\\neq"):
        return answer.sign == gold.sign
    return answer.sign == (gold.sign if sign > 0 else TURNED.get(gold.sign))


def _same_quantities(answer: Quantity, gold: Quantity) -> bool:
    if answer.unit and gold.unit and answer.unit != gold.unit:
        return False
    if answer.percent != gold.percent:
        if answer.unit or gold.unit:
            return False
        plain, percent = (gold.tree, answer.tree) if answer.percent else (answer.tree, gold.tree)
        return value.equal(plain, percent) or value.equal(plain, ("percent", percent))
    if value.equal(answer.tree, gold.tree):
        return True
    return _rounded(answer, gold)


def _rounded(answer: Quantity, gold: Quantity) -> bool:
    """Whether the gold answer is a decimal number, and what the answer rounds to."""
    digits = re.fullmatch(r"-?(\d*)\.(\d+)", gold.text)
    if not digits or len((digits[1] + digits[2]).lstrip("0")) < _SURE_DIGITS or re.fullmatch(r"-?[\d.]+", answer.text):
        return False
    number = value.number(answer.tree)
    if number is None:
        return False
    return abs(number - Fraction(gold.text)) <= Fraction(1, 2 * 10 ** len(digits[2]))
