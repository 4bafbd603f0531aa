"""Units beside a number, in one spelling, and words that stand for numbers."""

import re

_SPELLINGS = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "km": "kilometer kilometre", "m": "meter metre",
    "in": "inch", "ft": "foot feet", "yd": "yard", "mi": "mile", "mg": "milligram", "g": "gram gramme",
    "kg": "kilogram kilo", "lb": "pound", "oz": "ounce", "s": "second sec", "ms": "millisecond", "min": "minute",
    "h": "hour hr", "day": "day", "week": "week wk", "month": "month", "year": "year yr", "L": "liter litre l",
    "mL": "milliliter millilitre ml", "N": "newton", "J": "joule", "kJ": "kilojoule", "W": "watt", "kW": "kilowatt",
    "V": "volt", "A": "ampere amp", "Ω": "ohm \\Omega", "Hz": "hertz", "Pa": "pascal", "C": "coulomb", "K": "kelvin",
    "mol": "mole", "$": "dollar usd USD", "¢": "cent", "€": "euro eur EUR", "£": "gbp GBP", "mph": "", "kph": "",
    "°C": "celsius", "°F": "fahrenheit", "°": "", "rad": "radian", "eV": "", "kPa": "", "atm": "", "cal": "calorie",
    "dm": "decimeter decimetre", "nm": "nanometer", "μm": "micrometer", "ha": "hectare", "T": "tesla", "F": "farad",
    "people": "person", "unit": "",
    "MeV": "", "kV": "", "mA": "milliampere", "kcal": "kilocalorie", "GHz": "", "MHz": "", "kHz": "",
}  # fmt: skip
_UNITS = {word: unit for unit, words in _SPELLINGS.items() for word in [unit, *words.split()]}
_FACTOR = re.compile(r"(°?\\?[a-zA-Zμµ$€£¢Ω°]+)(?:\s*\^\s*\{?\s*(-?\d+)\s*\}?|(\d))?")
_NUMBERS = {
    word: str(i)
    for i, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_NUMBERS |= {"eleven": "11", "twelve": "12"}


def number_word(text: str) -> str:
    """``3`` for ``three``; another text as it is."""
    return _NUMBERS.get(text.lower(), text)


def unit(text: str, *, marked: bool) -> str | None:
    r"""The unit in one spelling: ``m/s^2`` for ``meters per second squared``; None if the text isn't one.

    Args:
        marked: the text stood in ``\text`` or behind a space, so that a word or a letter is no factor.
    """
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).replace("\\ ", " ").strip(" .*")
    text = re.sub(r"\s+(?=\^)", "", text)
    text = re.sub(r"(?i)\bsq(?:uare|\.)? +(\w+)", r"\1^2", text)
    text = re.sub(r"(?i)\bcu(?:bic|\.)? +(\w+)", r"\1^3", text)
    text = re.sub(r"(?i)(\w+) +squared\b", r"\1^2", text)
    text = re.sub(r"\bper\b", "/", text)
    parts = []
    for i, part in enumerate(text.split("/")):
        factors = [_factor(factor, marked, i > 0) for factor in part.replace("*", " ").replace("·", " ").split()]
        if not factors or None in factors:
            return _words(text) if marked else None
        parts.append(" ".join(sorted(filter(None, factors))))
    return "/".join(parts)


def _factor(text: str, marked: bool, under: bool) -> str | None:
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
    power = match[2] or match[3]
    return f"{known}^{power}" if power else known


def _words(text: str) -> str | None:
    """What is counted: ``apple`` of ``apples``."""
    if not re.fullmatch(r"(?:of (?:the )?)?[a-zA-Z]{3,}(?:[ -][a-zA-Z]{2,}){0,3}", text):
        return None
    return " ".join(text.lower().removesuffix("s").split())
