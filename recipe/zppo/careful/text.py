"""One spelling for what is written in many ways: unicode, LaTeX's spaces, fonts and brackets, and words for marks."""

import re
import unicodedata

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ", "0123456789+-=()nix")
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₙₓ", "0123456789+-nx")
_GREEK = {sign: f"\\{unicodedata.name(sign).rsplit(' ', 1)[1].lower()} " for sign in "αβγδεζηθικμνξπρστφχψω"} | {
    sign: f"\\{unicodedata.name(sign).rsplit(' ', 1)[1].capitalize()} " for sign in "ΓΔΘΞΦΨΩΣΠ"
}
_SIGNS = {
    "λ": "\\lambda ", "Λ": "\\Lambda ", "µ": "\\mu ",
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/",
    "⁄": "/", "∞": "\\infty ", "≤": "\\leq ", "≥": "\\geq ", "⩽": "\\leq ", "⩾": "\\geq ", "≠": "\\neq ",
    "≈": "\\approx ", "∪": "\\cup ", "∩": "\\cap ", "∅": "\\emptyset ", "∈": "\\in ", "±": "\\pm ", "∓": "\\mp ",
    "º": "°", "∘": "°", "ℝ": "\\mathbb{R}", "∖": "\\setminus ", "′": "'", "’": "'", "‘": "'",
    "“": "", "”": "", '"': "", "∠": "\\angle ", "△": "\\triangle ", "⟨": "\\langle ", "⟩": "\\rangle ",
}  # fmt: skip
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_POWER, _INDEX = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ]+"), re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋ₙₓ]+")
_ROOT = re.compile(r"(?:√|\bsqrt(?=\s*\())\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|\w))")

_FONT = (
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathtt|mbox|operatorname\*?|ce|bm|boldsymbol)"
)
_TEX = [  # in this order
    (r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])\.?", ""),
    (r"\\!|\\phantom\{[^{}]*\}|\u200b", ""),
    (r"(?<=\d)\\[,;: ](?=\d{3}(?!\d))", "\u2009"),  # a thin space within a number
    (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|\\h?space\{[^{}]*\}|\xa0|\\n(?![a-zA-Z])", " "),
    (r"\{,\}", ","),
    (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\boxed\s*\{(.*)\}|\\boxed\s+(\S+)", r"\1\2"),
    (r"^(?i:(?:so |thus |hence |therefore )?,? *(?:the )?(?:final |correct )?answer is:?) +(?=\S)", ""),
    (r"[,;]?\s*\(?\s*(?:\\text\{\s*(?:where|for)?\s*\}|where|for)?\s*[kmn]\s*\\in\s*\\mathbb\s*\{?Z\}?\s*\)?$", ""),
    (r"(\\(?:vec|overrightarrow|hat|mathbf|boldsymbol)\s*\{[^{}]*\}\s*)\\times(?![a-zA-Z])", r"\1\\cross "),
    (rf"{_FONT}\s*\{{\s*(or|and)\s*\}}", r" \1 "),
    (rf"{_FONT}\s*\{{", r"\\text{"),
    (r"\\(?:rm|bf|it)(?![a-zA-Z])", ""),
    (r"\\(?:lbrace|\{)", r"\\{"),
    (r"\\(?:rbrace|\})", r"\\}"),
    (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\(?:circ|degree|deg)(?![a-zA-Z])|\^\s*\{\s*°\s*\}|\^\s*°", "°"),
    (r"(?<![a-zA-Z])degrees?(?![a-zA-Z])|\\text\{\s*degrees?\s*\}", "°"),
    (r"\\text\{\s*\}", " "),
    (r"°\s*\\text\{\s*([CF])(?:elsius|ahrenheit)?\s*\}|°\s*([CF])(?:elsius|ahrenheit)(?![a-z])", r"°\1\2"),
    (r"\\mu\s*\\text\{\s*([a-zA-Z])\s*\}", r"\\mu \1"),
    (r"\\?%|\\text\{\s*percent\s*\}|(?<![a-zA-Z])percent(?![a-zA-Z])", "%"),
    (r"\\(?:times|cdot|ast)(?![a-zA-Z])", "*"),
    (r"(?<=[\d.])\s*[xX]\s*(?=10\s*\^)", "*"),
    (r"^\*\*(.*)\*\*$", r"\1"),
    (r"\*\*", "^"),
    (r"\\div(?![a-zA-Z])", "/"),
    (r"\\(?:leq?slant|leq?|leqq)(?![a-zA-Z])|<=", r"\\leq "),
    (r"\\(?:geq?slant|geq?|geqq)(?![a-zA-Z])|>=", r"\\geq "),
    (r"\\(?:neq?|not\s*=)(?![a-zA-Z])|!=", r"\\neq "),
    (r"\\lt(?![a-zA-Z])", "<"),
    (r"\\gt(?![a-zA-Z])", ">"),
    (r"\\[lr]vert(?![a-zA-Z])|\\vert(?![a-zA-Z])|\\mid(?![a-zA-Z])", "|"),
    (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset "),
    (r"\\var(epsilon|theta|phi)(?![a-zA-Z])", r"\\\1"),
    (r"\\mathbb\s*R(?![a-zA-Z])|\\R(?![a-zA-Z])|\\Reals", r"\\mathbb{R}"),
    (r"\\backslash(?![a-zA-Z])", r"\\setminus "),
    (r"^\s*\\approx(?![a-zA-Z])\s*", ""),
    (r"\\(?:lor|vee)(?![a-zA-Z])(?=.*(?:[<>=]|\\[gln]eq))", " or "),  # of equations, not of propositions
    (r"\\(?:land|wedge)(?![a-zA-Z])(?=.*(?:[<>=]|\\[gln]eq))", " and "),
    (r"\\bigcup(?![a-zA-Z])|(?<=[\])])\s*U\s*(?=[\[(])", r"\\cup "),
    (r"\\(?:euro)(?![a-zA-Z])", "€"),
    (r"(?<![a-zA-Z])Rs\.? *(?=\d)", "₹"),
    (r"\{?\s*(\w+) *\\choose *(\w+)\s*\}?", r"\\binom{\1}{\2}"),
    (r"\\text\{[ .]*\}$", ""),
    (r"\\(?:pounds)(?![a-zA-Z])", "£"),
]
_PATTERNS = [(re.compile(pattern, re.DOTALL), new) for pattern, new in _TEX]
_DOLLAR = "\ue000"  # the currency, while those of LaTeX are taken away


def normalized(text: str) -> str:
    """The answer in the spelling that `recipe.zppo.careful.answer` reads.

    Powers are ``^{..}``, products ``*``, quotients ``/`` or ``\\frac``, fonts ``\\text{..}``, degrees ``°``. A dollar
    sign is the currency. Dollars around a formula, quotation marks and a full stop at the end are gone.
    """
    text = _POWER.sub(lambda match: f"^{{{match[0].translate(_SUPERSCRIPT)}}}", text)
    text = _INDEX.sub(lambda match: f"_{{{match[0].translate(_SUBSCRIPT)}}}", text)
    text = _VULGAR.sub(_fraction, text)
    text = "".join(_SIGNS.get(sign) or _GREEK.get(sign) or ("" if sign in _SIGNS else sign) for sign in text)
    text = unicodedata.normalize("NFKC", text.replace("\xa0", " "))
    text = re.sub(r"∛\s*(\d+|\w|\([^()]*\))", r"\\sqrt[3]{\1}", text)
    text = _ROOT.sub(lambda match: f"\\sqrt{{{match[1] or match[2] or match[3]}}}", text)
    text = _without_dollars(text.strip())
    for pattern, new in _PATTERNS:
        text = pattern.sub(new, text)
    return _without_stop(" ".join(text.split(" ")).strip())


def _fraction(match: re.Match[str]) -> str:
    over, _, under = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f"\\frac{{{over}}}{{{under}}}"


def _without_dollars(text: str) -> str:
    """LaTeX's own dollars come in pairs around a formula, and not before a number alone."""
    text = text.replace("\\$", _DOLLAR)
    text = re.sub(r"\\[()\[\]]", lambda match: "" if match[0] in ("\\(", "\\)", "\\[", "\\]") else match[0], text)
    text = re.sub(r"\$\$?([^$]+)\$\$?", r"\1", text)
    return text.replace(_DOLLAR, "$")


def _without_stop(text: str) -> str:
    while text and (
        text[-1] in ",;\\" or (text[-1] == "." and not text.endswith(("..", "a.m.", "p.m.", "A.M.", "P.M.")))
    ):
        text = text[:-1].rstrip()
    return text
