r"""The pair puzzle: which two of four numbers add up to a given one?

    Two of the numbers 14, 3, 8, 17 add up to 11. What is the difference between the two?

Every question has a solution of its own, which must be found among six pairs: knowing the way does not name it, and a
wrong answer says which pair it is not, since all six have different differences. A guess is right once in six. A worked
answer tries the numbers in their order: ``11 - 14 = -3``, ``11 - 3 = 8``, and then ``8 - 3 = 5``.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from recipe.zppo.data.rows import build_row, text_id

SOURCE = "puzzles/pair"
LOWEST, HIGHEST = 2, 29


@dataclass(frozen=True)
class Puzzle:
    numbers: tuple[int, ...]
    total: int

    @property
    def question(self) -> str:
        listed = ", ".join(map(str, self.numbers))
        return f"Two of the numbers {listed} add up to {self.total}. What is the difference between the two?"

    @property
    def pair(self) -> tuple[int, int]:
        """Of the solution, the number that comes first, and the other."""
        return solutions(self.numbers, self.total)[0]

    @property
    def answer(self) -> str:
        return str(abs(self.pair[0] - self.pair[1]))

    @property
    def worked(self) -> str:
        return self._response(*self.pair)

    def wrong(self, rng: random.Random) -> str:
        """A response that takes a wrong pair: the difference to the total is miscalculated."""
        return self._response(*rng.choice([pair for pair in combinations(self.numbers, 2) if pair != self.pair]))

    def _response(self, first: int, second: int) -> str:
        """The numbers up to `first`, whose complement is said to be `second`; their difference; the box."""
        tried = self.numbers[: self.numbers.index(first)]
        lines = [f"{self.total} - {number} = {self.total - number}" for number in tried]
        large, small = max(first, second), min(first, second)
        lines += [f"{self.total} - {first} = {second}", f"{large} - {small} = {large - small}"]
        return "\n".join([*lines, f"\\boxed{{{large - small}}}"])

    def row(self, split: str, index: int) -> dict[str, Any]:
        """A row of `recipe.zppo.data.rows.SCHEMA`; the paper's grader decides on it."""
        return build_row(
            data_source=SOURCE,
            question=self.question,
            answer=self.answer,
            prompt_id=text_id("pair", self.question, self.answer),
            split=split,
            index=index,
        )


def solutions(numbers: Sequence[int], total: int) -> list[tuple[int, int]]:
    return [pair for pair in combinations(numbers, 2) if sum(pair) == total]


def puzzles(count: int, rng: random.Random) -> Iterator[Puzzle]:
    """Without end, of `count` numbers each; questions may come again. Each has one solution, and one pair for each
    difference."""
    while True:
        numbers = tuple(rng.sample(range(LOWEST, HIGHEST + 1), count))
        total = sum(rng.sample(numbers, 2))
        differences = {abs(a - b) for a, b in combinations(numbers, 2)}
        if len(solutions(numbers, total)) == 1 and len(differences) == count * (count - 1) // 2:
            yield Puzzle(numbers, total)
