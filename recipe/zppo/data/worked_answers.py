"""Worked answers to some of reasoning-gym's tasks, for supervised fine-tuning: short steps, then the answer in a box.

reasoning-gym gives answers without the way to them. A solver gets an entry's metadata and returns the lines of the way
and the answer at which it arrives, computed from the lines themselves; `worked_answer` checks it against the
generator's.
"""

import re
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

from recipe.zppo.data.errors import BuildError

Solution = tuple[list[str], str]
Solver = Callable[[dict[str, Any]], Solution]


class WorkedAnswerError(BuildError):
    """A task without solver, or a solver that arrives at another answer than the generator."""


def worked_answer(task: str, metadata: dict[str, Any], answer: str) -> str:
    """The response to imitate: the steps within think tags, the answer in a box. Raises `WorkedAnswerError`."""
    if task not in SOLVERS:
        raise WorkedAnswerError(f"no worked answers for task {task}; there are some of {', '.join(SOLVERS)}")
    steps, result = SOLVERS[task](metadata)
    if result != answer:
        raise WorkedAnswerError(
            f"task {task}: the steps {steps} arrive at {result!r}, the generator's answer is {answer!r}"
        )
    return "<think>\n" + "\n".join(steps) + f"\n</think>\n\\boxed{{{result}}}"


def chain_sum(metadata: dict[str, Any]) -> Solution:
    """From left to right, one operation a line: ``4 - 1 = 3``, ``3 - 7 = -4``."""
    first, *rest = re.findall(r"(?:(?<=\s)|^)-?\d+|[+-](?=\s)", metadata["expression"])
    total, steps = int(first), []
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        result = total + int(term) if sign == "+" else total - int(term)
        steps.append(f"{total} {sign} {term} = {result}")
        total = result
    return steps, str(total)


def products(metadata: dict[str, Any]) -> Solution:
    """Digit by digit of the right factor: ``23 * 40 = 920``, ``23 * 5 = 115``, ``920 + 115 = 1035``."""
    first, *rest = (int(term) for term in metadata["expression"].split(" * "))
    total, steps = first, []
    for factor in rest:
        sign, digits = (-1 if factor < 0 else 1), str(abs(factor))
        parts = [sign * int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits) if digit != "0"]
        parts = parts or [0]
        products = [total * part for part in parts]
        steps += [f"{total} * {part} = {product}" for part, product in zip(parts, products, strict=True)]
        steps += _running_sum(products)
        total = sum(products)
    return steps, str(total)


def leg_counting(metadata: dict[str, Any]) -> Solution:
    """Each animal's legs, ``3 cats: 3 * 4 = 12``, then their sum from left to right."""
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    legs = [(count, animal, count * ANIMALS[animal]) for animal, count in metadata["animals"].items()]
    steps = [f"{count} {animal}: {count} * {ANIMALS[animal]} = {product}" for count, animal, product in legs]
    products = [product for _, _, product in legs]
    return steps + _running_sum(products), str(sum(products))


def gcd(metadata: dict[str, Any]) -> Solution:
    """Euclid's algorithm by remainders: ``780 mod 461 = 319``, and so on to 0."""
    total, *rest = metadata["numbers"]
    steps = []
    for number in rest:
        large, small = max(total, number), min(total, number)
        while small:
            steps.append(f"{large} mod {small} = {large % small}")
            large, small = small, large % small
        total = large
    return steps, str(total)


def letter_counting(metadata: dict[str, Any]) -> Solution:
    """The words with the letter and how often each has it, then the sum."""
    letter = metadata["target_letter"].lower()
    counts = [(word, word.lower().count(letter)) for word in metadata["span"]]
    having = [(word, count) for word, count in counts if count]
    total = sum(count for _, count in having)
    steps = [f"{word}: {count}" for word, count in having] or ["none"]
    if len(having) > 1:
        steps.append(f"{' + '.join(str(count) for _, count in having)} = {total}")
    return steps, str(total)


def spell_backward(metadata: dict[str, Any]) -> Solution:
    """Letter by letter, then from the end."""
    word = metadata["word"]
    return [" ".join(word), " ".join(reversed(word))], word[::-1]


def count_bits(metadata: dict[str, Any]) -> Solution:
    """The number in binary, in groups of four with the ones of each, then the sum."""
    binary = metadata["binary"].removeprefix("0b")
    padded = binary.zfill(-(-len(binary) // 4) * 4)
    groups = [padded[i : i + 4] for i in range(0, len(padded), 4)]
    ones = [group.count("1") for group in groups]
    steps = [f"{group}: {count}" for group, count in zip(groups, ones, strict=True)]
    return [*steps, f"{' + '.join(map(str, ones))} = {sum(ones)}"], str(sum(ones))


def _running_sum(terms: list[int]) -> list[str]:
    """``920 + 115 = 1035``, a line for each term but the first."""
    return [f"{before} + {after - before} = {after}" for before, after in pairwise(accumulate(terms))]


_SOLVERS = (chain_sum, products, leg_counting, gcd, letter_counting, spell_backward, count_bits)
SOLVERS: dict[str, Solver] = {solver.__name__: solver for solver in _SOLVERS}
