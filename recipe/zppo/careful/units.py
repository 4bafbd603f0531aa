"""Units beside a number, in one spelling, and words that stand for numbers."""

import re
from collections import Counter

_SPELLINGS = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "km": "kilometer kilometre", "m": "meter metre",
    "in": "inch", "ft": "foot feet", "yd": "yard", "mi": "mile", "mg": "milligram", "g": "gram gramme",
    "kg": "kilogram kilo", "lb": "pound", "oz": "ounce", "s": "second sec", "ms": "millisecond", "min": "minute",
    "h": "hour hr", "day": "day", "week": "week wk", "month": "month", "year": "year yr", "L": "liter litre l",
    "mL": "milliliter millilitre ml", "N": "newton", "J": "joule", "kJ": "kilojoule", "W": "watt", "kW": "kilowatt",
    "V": "volt", "A": "ampere amp", "Ω": "ohm \\Omega", "Hz": "hertz", "Pa": "pascal", "C": "coulomb", "K": "kelvin",
    "mol": "mole", "$": "dollar usd USD", "¢": "cent", "€": "euro eur EUR", "£": "gbp GBP",
    "°C": "celsius", "°F": "fahrenheit", "°": "", "rad": "radian", "eV": "", "kPa": "", "atm": "", "cal": "calorie",
    "dm": "decimeter decimetre", "nm": "nanometer", "μm": "micrometer", "ha": "hectare", "T": "tesla", "F": "farad",
    "people": "person", "unit": "", "kB": "KB", "MB": "", "GB": "", "TB": "",
    "MeV": "", "kV": "", "mA": "milliampere", "kcal": "kilocalorie", "GHz": "", "MHz": "", "kHz": "",
}  # fmt: skip
_UNITS = {word: unit for unit, words in _SPELLINGS.items() for word in [unit, *words.split()]}
_FACTOR = re.compile(r"(°?\\?[a-zA-Zμµ$€£¢Ω°]+)(?:\s*\^\s*\{?\s*(-?\d+)\s*\}?|(\d))?")
_NUMBERS = {
    word: str(i)
    for i, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_TEENS = ["eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS |= {word: str(i) for i, word in enumerate(_TEENS, 11)} | {word: f"{i}0" for i, word in enumerate(_TENS, 2)}
_NUMBERS |= {
    f"{tens}{between}{word}": f"{i}{j}"
    for i, tens in enumerate(_TENS, 2)
    for j, word in enumerate([*_NUMBERS][1:10], 1)
    for between in "- "
}
_NUMBER_WORD = re.compile(rf"({'|'.join(sorted(_NUMBERS, key=len, reverse=True))})(?= [a-z]|$)", re.IGNORECASE)
_CHANGES_NUMBER = re.compile(
    r"(?i)\b(?:squared|cubed|factorial|hal(?:f|ves)|quarters?|(?:thir|four|fif|six|seven|eigh|nin|ten|hundred|thousand"
    r"|million)ths?|thirds?|hundreds?|mil|bil|minus|plus|times|over|below|under|above|less|more|fewer|negative|positive"
    r"|zero|bce|not|log|ln|sin|cos|tan|sqrt|root|alpha|beta|gamma|delta|theta|lambda|sigma|omega|phi)\b"
)
"""Words behind a number that are nothing counted: ``5 squared`` is not 5."""


def number_word(text: str) -> str:
    """``3`` for ``three``, ``3 apples`` for ``three apples``; another text as it is."""
    match = _NUMBER_WORD.match(text)
    return _NUMBERS[match[1].lower()] + text[match.end() :] if match else text


def unit(text: str, *, marked: bool) -> str | None:
    r"""The unit in one spelling: ``m s^-2`` for ``meters per second squared``; None if the text isn't one.

    Args:
        marked: the text stood in ``\text`` or behind a space, so that a word or a letter is no factor.
    """
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).replace("\\ ", " ").strip(" .*")
    text = re.sub(r"\s+(?=\^)", "", text)
    text = re.sub(r"(?i)\bsq(?:uare|\.)? +(\w+)", r"\1^2", text)
    text = re.sub(r"(?i)\bcu(?:bic|\.)? +(\w+)", r"\1^3", text)
    text = re.sub(r"(?i)(\w+) +squared\b", r"\1^2", text)
    text = re.sub(r"\bper\b", "/", text)
    text = re.sub(r"\bmph\b", "mi/h", re.sub(r"\bkm?ph\b", "km/h", text))
    text = re.sub(r"(?<=years) old\b|(?<=year) old\b", "", text)
    powers: Counter[str] = Counter()
    for i, part in enumerate(text.split("/")):
        factors = [_factor(factor, marked, i > 0) for factor in part.replace("*", " ").replace("·", " ").split()]
        if not factors or None in factors:
            return _words(text) if marked else None
        for name, power in filter(None, factors):
            powers[name] += -power if i else power
    return (
        " ".join(name if power == 1 else f"{name}^{power}" for name, power in sorted(powers.items()) if power) or None
    )


def _factor(text: str, marked: bool, under: bool) -> tuple[str, int] | None:
    """The unit and its power."""
    match = _FACTOR.fullmatch(text)
    if not match:
        return None
    name = match[1]
    known = _UNITS.get(name) or _UNITS.get(name.lower() if len(name) > 2 else name)
    for ending in ("s", "es"):
        if known is None and len(name) > 2 and name.endswith(ending):
            known = _UNITS.get(name[: -len(ending)].lower()) or _UNITS.get(name[: -len(ending)])
    if known is None or (len(name) == 1 and name.isalpha() and not (marked or under)):
        return None
    return known, int(match[2] or match[3] or 1)


def _words(text: str) -> str | None:
    """What is counted: ``apple`` of ``apples``."""
    if not re.fullmatch(r"(?:of (?:the )?)?[a-zA-Z]{3,}(?:[ -][a-zA-Z]{2,}){0,3}", text):
        return None
    if _CHANGES_NUMBER.search(text) or not _NUMBERS.keys().isdisjoint(re.split("[ -]", text.lower())):
        return None
    return " ".join(text.lower().removesuffix("s").split())
