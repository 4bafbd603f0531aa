"""What kind of thing an answer is: words, a quantity, a list, a matrix, an equation, a set of real numbers."""

import re

from recipe.zppo.careful import value
from recipe.zppo.careful.forms import Form, Items, Matrix, Quantity, Reals, Relation, Words
from recipe.zppo.careful.parts import bare, brackets_of, list_items, split, without_separators
from recipe.zppo.careful.reals import INFINITY, TURNED, as_reals, between, bounds, common, reals_without, united
from recipe.zppo.careful.syntax import FUNCTIONS, NotRead, Tree, read
from recipe.zppo.careful.units import number_word, unit

_MATRIX = re.compile(
    r"(?:[(\[|]\s*)?\\begin\{(?P<kind>[pbBvV]?matrix|smallmatrix|array)\}(?:\{[clr| ]*\})?"
    r"(?P<rows>.*)\\end\{(?P=kind)\}(?:\s*[)\]|])?",
    re.DOTALL,
)
_RELATION = re.compile(
    r"\\leq(?![a-zA-Z])|\\geq(?![a-zA-Z])|\\neq(?![a-zA-Z])|\\in(?![a-zA-Z])|\\approx(?![a-zA-Z])|[=<>]"
)
_SIGNS = {"\\approx": "="}
_NAME = re.compile(
    r"(?:\\angle *|m *\\angle *|\\triangle *)?(?:\\[a-zA-Z]+|\\text\{[^{}]*\}|[a-zA-Z]+)(?:_(?:\{[^{}]*\}|\\?\w+))?'*"
    r"(?: *\([^()=]*\))?|\([a-zA-Z](?: *, *[a-zA-Z])+\)"
    r"|\\frac\{d\w*\}\{d\w\}|\|[A-Z]+\||\\(?:vec|overline|hat|bar)\{\w+\}"
)
_UNIT_BEHIND = re.compile(
    r"(?P<number>.*?(?:[\d.})!%]|\\pi))(?P<space>\s*)(?P<unit>(?:\\text\{|°|\\Omega|[a-zA-Zμ$€£¢Ω]).*)", re.DOTALL
)
_TEXT_BEHIND = re.compile(r"(?P<number>.+?)(?P<space>\s*)(?P<unit>\\text\{.*)", re.DOTALL)
_CURRENCY = re.compile(r"(-?)\s*(?:US *)?([$€£¥₹])\s*(?=[-\d.(\\])")
_MULTIPLES = {
    "dozen": "12",
    "hundred": "10^2",
    "lakh": "10^5",
    "crore": "10^7",
    "thousand": "10^3",
    "million": "10^6",
    "billion": "10^9",
    "trillion": "10^12",
}
_MULTIPLE = re.compile(rf"(?<=[\d.)}}]) *(?:\\text\{{ *)?({'|'.join(_MULTIPLES)})s?(?![a-z])(?: *\}})?")
_BUILT = re.compile(r"\\\{ *[a-zA-Z](?: *\\in *\\mathbb\{R\})? *[|:] *(.*[<>=].*|.*\\(?:[gl]eq|neq|in).*)\\\}")
"""The condition of {x | x > 2}."""
_POINT = re.compile(r"([A-Z]) *(\([^()]*,[^()]*\))")
_FUNCTION = re.compile(f"(?:{'|'.join(sorted(FUNCTIONS))}|sqrt|abs|pi)[a-zA-Z]?")
_PLAIN_GREEK = {"pi", "theta", "alpha", "beta", "lambda"}
_CODE = re.compile(r"[A-Z]{2,}-\d\w*")
_ALL_REALS = {"\\mathbb{R}", "all real numbers", "all reals", "all real number"}


def parse(text: str) -> Form:
    """The form of a normalized answer. What is nothing else is words."""
    text = bare(text)
    if match := re.fullmatch(r"\\text\{([^{}]*)\}", text):
        text = bare(match[1])
    if match := re.fullmatch(r"\\begin\{cases\}(.*)\\end\{cases\}", text, re.DOTALL):
        text = ", ".join(row.replace("&", "") for row in match[1].split("\\\\") if row.strip())
    if match := _MATRIX.fullmatch(text):
        return _matrix(match)
    if bare_words(text) in _ALL_REALS or text in _ALL_REALS:
        return Reals(((-INFINITY, INFINITY, False, False),))
    parts = [part for part in split(text, re.compile(r" or | and |, *or |, *and ")) if part.strip()]
    if len(parts) > 1:
        return _alternatives([item for part in parts for item in list_items(part)], text)
    if match := _BUILT.fullmatch(text):
        return parse(match[1])
    if match := _POINT.fullmatch(text):
        return Relation("=", Words(match[1]), parse(match[2]), match[1])
    if match := re.fullmatch(r"([a-zA-Z]) *\\neq(.+)", text):  # x ≠ ±2
        without = parse(match[2])
        if isinstance(without, Items) and not without.brackets and (ends := bounds(without.items)):
            return reals_without(sorted(ends), match[1])
    if (reals := _real_set(text)) is not None:
        return reals
    if brackets := brackets_of(text):
        return _bracketed(text, brackets)
    text = without_separators(text)
    items = list_items(text)
    if len(items) > 1:
        return _list([parse(item) for item in items], items)
    text = items[0]
    if "\\pm" in text or "\\mp" in text:
        both = [text.replace("\\pm", one).replace("\\mp", other) for one, other in (("+", "-"), ("-", "+"))]
        return Items("", tuple(parse(side) for side in both), ordered=False)
    return _relation(text) or _leaf(text)


def bare_words(text: str) -> str:
    """Words without fonts, case and spaces at the ends."""
    text = re.sub(r"\\(?:text|mathbb)\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(
        r"^\s*(?:the|The|an?|An) (?=\w)|(?<=[a-zA-Z])-(?=[a-zA-Z])", lambda match: " " * (match[0] == "-"), text
    )
    return " ".join(text.replace(". ", " ").split()).strip(" .").lower()


def _alternatives(parts: list[str], text: str) -> Form:
    forms = [parse(part) for part in parts]
    reals = [real for form in forms if (real := as_reals(form))]
    if len(reals) == len(forms) and len({real.name for real in reals}) == 1:
        if " or " in text:
            return united(reals)
        if reals[0].name and (both := common(reals)):
            return both
    return Items("", tuple(forms), ordered=False)


def _list(items: list[Form], texts: list[str]) -> Items:
    """In order, but for solutions, points, letters of a choice, and two that differ in signs, as of ``2 ± 3``."""
    relations = [item.name for item in items if isinstance(item, Relation)]
    points = all(isinstance(item, Items) and item.brackets for item in items)
    letters = all(re.fullmatch("[A-J]", text) for text in texts)
    signs = len(texts) == 2 and len({re.sub(r"[-+\s]", "", text) for text in texts}) == 1
    return Items("", tuple(items), ordered=not (relations or points or letters or signs))


def _bracketed(text: str, brackets: str) -> Form:
    content = text.removeprefix("\\{").removesuffix("\\}") if brackets == "{}" and text[0] == "\\" else text[1:-1]
    if brackets == "<>":
        content = text.removeprefix("\\langle").removesuffix("\\rangle")
    content = content.strip()
    if brackets == "()" and re.fullmatch(r"-?\d{1,3}(?:,\d{3})*,0\d\d(?:,\d{3})*", content):
        return parse(content.replace(",", ""))
    parts = [part.strip() for part in split(content, re.compile("[,;]"))]
    if not all(parts):
        return Words(text)
    return Items(brackets, tuple(parse(part) for part in parts), ordered=brackets != "{}")


def _matrix(match: re.Match[str]) -> Matrix:
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", match["rows"]) if row.strip()]
    forms = tuple(tuple(parse(cell) for cell in row.split("&")) for row in rows)
    return Matrix(forms, match["kind"] in ("vmatrix", "Vmatrix") or match[0].startswith("|"))


def _relation(text: str) -> Form | None:
    parts = [part.strip() for part in split(text, _RELATION)]
    signs = [match for match in _top_signs(text)]
    if len(parts) == 1 or not all(parts):
        return None
    if signs == ["\\in"]:
        inner = as_reals(parse(parts[1]))
        return (
            Reals(inner.intervals, parts[0]) if inner else Relation("\\in", parse(parts[0]), parse(parts[1]), parts[0])
        )
    inside = len(parts) == 3 and all(sign in TURNED for sign in signs)
    if inside and (reals := between([parse(part) for part in parts], signs)):
        return reals
    if len(set(signs)) > 1 or (len(parts) > 2 and signs[0] != "="):
        return Words(text)
    left, right, sign = parts[0], parts[-1], signs[0]
    if not _NAME.fullmatch(left) and re.fullmatch(r"[a-zA-Z](?:_\w)?", right):
        left, right, sign = right, left, TURNED.get(sign, sign)
    name = "".join(left.split()) if _NAME.fullmatch(left) else ""
    relation = Relation(sign, parse(left), parse(right), name)
    return (as_reals(relation) or relation) if sign != "=" else relation


def _top_signs(text: str) -> list[str]:
    signs, rest = [], text
    parts = split(text, _RELATION)
    for part in parts[:-1]:
        rest = rest[len(part) :]
        match = _RELATION.match(rest)
        assert match
        signs.append(_SIGNS.get(match[0], match[0]))
        rest = rest[match.end() :]
    return signs


def _leaf(text: str) -> Form:
    text = number_word(text)
    text = _MULTIPLE.sub(lambda match: f" * {_MULTIPLES[match[1]]} ", text).strip()
    beside, percent = "", False
    if match := _CURRENCY.match(text):
        beside, text = match[2], match[1] + text[match.end() :]
    elif match := _TEXT_BEHIND.fullmatch(text) or _UNIT_BEHIND.fullmatch(text):
        in_text = match["unit"].startswith("\\text")
        marked = bool(match["space"]) or in_text or match["unit"].startswith("°")
        found = unit(match["unit"], marked=marked) if _is_number(match["number"], in_text) else None
        if found == "°" and any(name in match["number"] for name in FUNCTIONS):  # the angle's, of its sine
            found = None
        if found:
            beside, text = found, match["number"].strip()
    if text.endswith("%"):
        percent, text = True, text[:-1].rstrip()
    if _is_phrase(text):
        return Words(bare_words(text), _letters(text) if re.fullmatch("[a-z]{2,3}", text) else None)
    text = re.sub(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])", lambda match: match[0].replace(",", ""), text)
    try:
        return Quantity(read(text), beside, percent, text)
    except NotRead:
        return Words(bare_words(text if not beside else f"{text} {beside}"))


def _is_phrase(text: str) -> bool:
    """Whether it is words, and none of the products of letters that all words could be."""
    words = re.findall("[a-zA-Z]+", text)
    if _CODE.fullmatch(text):
        return True
    if not re.fullmatch(r"[a-zA-Z]\w*(?:[ .,'&]+\w+)*[.']?", text) or "_" in text:
        return False
    if not text.isalpha() and any(_FUNCTION.fullmatch(word) for word in words):
        return False
    return any(len(word) > 1 and not set(word) <= set("xyzw") and word not in _PLAIN_GREEK for word in words)


def _letters(text: str) -> Tree:
    tree: Tree = ("symbol", text[0])
    for letter in text[1:]:
        tree = ("product", tree, ("symbol", letter))
    return tree


def _is_number(text: str, formula: bool) -> bool:
    """Whether the text can have a unit beside it; a formula, too, if it is written as text."""
    try:
        symbols = value.symbols(read(text.strip().removesuffix("%").replace(",", "")))
        return formula or not symbols - {"\\pi", "e"}
    except NotRead:
        return False


def _real_set(text: str) -> Form | None:
    """A union of intervals, or the reals without some points; None for anything else."""
    parts = split(text, re.compile(r"\\cup(?![a-zA-Z])"))
    if len(parts) > 1:
        forms = [parse(re.sub(r"^\s*\{(.*)\}\s*$", r"\\{\1\\}", part)) for part in parts]
        reals = [real for form in forms if (real := as_reals(form))]
        return united(reals) if len(reals) == len(forms) else Items("u", tuple(forms), ordered=False)
    parts = split(text, re.compile(r"\\setminus(?![a-zA-Z])|(?<=\}) *- *(?=\\\{)"))
    if len(parts) == 2 and "\\mathbb{R}" in parts[0]:
        without = parse(parts[1])
        items = without.items if isinstance(without, Items) and without.brackets == "{}" else ()
        if ends := bounds(items):
            return reals_without(sorted(ends), "")
    return None
