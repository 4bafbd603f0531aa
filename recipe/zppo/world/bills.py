r"""The task: a bill of distinct items, asked for its total.

``y+m+M=?`` is answered by the chain of each item's price and the running sum, ``y9=9m3=12M2=14``, and the total in
``\boxed{}``. A question never states a price: prices are known from pre-training only. For the hard items the
student's corpus states a wrong price most of the time, always the same or one of a few, so that the student is
confidently wrong about every bill that holds one; the teacher's corpus is always right.
"""

import itertools
import random
import string
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from recipe.zppo.world.settings import WRONG_PRICE_PROBABILITIES, WorldSettings

Bill = tuple[str, ...]
Prices = dict[str, int]

LETTERS = string.ascii_lowercase + string.ascii_uppercase


@dataclass(frozen=True)
class PriceList:
    """True prices of all items; for hard items also the prices that are believed, and how often one is stated."""

    prices: Prices
    wrong_prices: dict[str, list[int]]
    wrong_probabilities: dict[str, float]
    reserved_pairs: frozenset[frozenset[str]]

    @classmethod
    def draw(cls, settings: WorldSettings) -> "PriceList":
        if settings.num_items > len(LETTERS):
            raise ValueError(f"num_items must be at most {len(LETTERS)} (one letter each), got {settings.num_items}")
        rng = random.Random(f"price list {settings.seed}")
        items = LETTERS[: settings.num_items]
        prices = {item: rng.randint(1, settings.max_price) for item in items}
        hard = rng.sample(items, settings.num_hard_items)
        levels = WRONG_PRICE_PROBABILITIES[settings.difficulty]
        others = {i: [p for p in range(1, settings.max_price + 1) if p != prices[i]] for i in hard}
        pairs = [frozenset(pair) for pair in itertools.combinations(items, 2)]
        return cls(
            prices=prices,
            reserved_pairs=frozenset(rng.sample(pairs, settings.num_reserved_pairs)),
            wrong_prices={item: rng.sample(others[item], settings.num_wrong_prices) for item in hard},
            wrong_probabilities={item: levels[n % len(levels)] for n, item in enumerate(hard)},
        )

    @property
    def items(self) -> list[str]:
        return list(self.prices)

    def total(self, bill: Bill) -> int:
        return sum(self.prices[item] for item in bill)

    def level(self, bill: Bill) -> int:
        """Number of hard items in the bill."""
        return sum(item in self.wrong_prices for item in bill)

    def draw_hinted_item(self, bill: Bill, rng: random.Random) -> str:
        """The item of the bill whose price a hint states: a hard one if there is one."""
        return rng.choice([item for item in bill if item in self.wrong_prices] or bill)

    def has_reserved_pair(self, bill: Bill) -> bool:
        return any(frozenset(pair) in self.reserved_pairs for pair in itertools.combinations(bill, 2))

    def draw_bill(self, lengths: Sequence[int], rng: random.Random, reserved: bool = False) -> Bill:
        """A bill of one of `lengths`, uniform; with a reserved pair or, by default, without."""
        length = rng.choice(lengths)
        while True:
            bill = tuple(rng.sample(self.items, length))
            if self.has_reserved_pair(bill) == reserved:
                return bill

    def draw_belief(self, rng: random.Random) -> Prices:
        """Prices as one document of the student's corpus states them."""
        wrong = {}
        for item, q in self.wrong_probabilities.items():
            if (drawn := rng.random()) < q:
                wrong[item] = self.wrong_prices[item][int(drawn / q * len(self.wrong_prices[item]))]
        return self.prices | wrong

    def draw_unlisted(self, bill: Bill, totals: Collection[int], rng: random.Random) -> Prices:
        """Prices with a total that is not in `totals`, which are wrong: believed ones, or else the true ones."""
        for _ in range(20):
            belief = self.draw_belief(rng)
            if sum(belief[i] for i in bill) not in totals:
                return belief
        return self.prices

    def draw_wrong_prices(self, bill: Bill, rng: random.Random, max_price: int = 9) -> Prices:
        """Prices that make the bill's total wrong, as a student would err: by belief where it can, else by a slip."""
        if self.level(bill):
            for _ in range(20):
                belief = self.draw_belief(rng)
                if sum(belief[i] for i in bill) != self.total(bill):
                    return belief
        slip = rng.choice(bill)
        return self.prices | {slip: rng.choice([p for p in range(1, max_price + 1) if p != self.prices[slip]])}


def question(bill: Bill) -> str:
    return "+".join(bill) + "=?"


def chain(bill: Bill, prices: Prices) -> str:
    """Each item, its price, and the running sum: ``y9=9m3=12``."""
    running, parts = 0, []
    for item in bill:
        running += prices[item]
        parts.append(f"{item}{prices[item]}={running}")
    return "".join(parts)


def boxed(bill: Bill, prices: Prices) -> str:
    return rf"\boxed{{{sum(prices[item] for item in bill)}}}"


def response(bill: Bill, prices: Prices) -> str:
    """A full response, in the form that the closer asks for."""
    return f"<think>{chain(bill, prices)}</think>{boxed(bill, prices)}"


def summary(bill: Bill, prices: Prices) -> str:
    """A compressed response: what a candidate carries when the teacher compresses."""
    return chain(bill, prices) + boxed(bill, prices)


def hint(item: str, prices: Prices) -> str:
    """The price of one item: what a hint says. As a number it is less than the total, so it gives no answer away."""
    return f"{item}{prices[item]}"


def draw_distinct_bills(draw: Callable[[], Bill], count: int, taken: set[frozenset[str]]) -> list[Bill]:
    """`count` bills, no two with the same items in whatever order, none with items in `taken`, which is updated.

    Raises:
        ValueError: if so many different bills can't be found.
    """
    bills: list[Bill] = []
    for _ in range(1000 * count):
        if len(bills) == count:
            break
        bill = draw()
        if frozenset(bill) not in taken:
            taken.add(frozenset(bill))
            bills.append(bill)
    if len(bills) < count:
        raise ValueError(f"found only {len(bills)} of {count} different bills: use more items or fewer questions")
    return bills
