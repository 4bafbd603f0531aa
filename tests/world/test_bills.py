"""The task: right answers, beliefs, and splits that do not overlap."""

import itertools
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.world import WorldSettings, bills
from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.data import draw_splits, row

LINK = re.compile(r"([a-zA-Z])(\d+)=(\d+)")


def total_by_hand(text: str, prices: dict[str, int]) -> str:
    """The answer to a question from its text alone, without the functions under test."""
    return str(sum(prices[letter] for letter in text.removesuffix("=?").split("+")))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), difficulty=st.sampled_from(["firm", "mild", "spread"]))
def test_every_ground_truth_is_right_and_no_bill_occurs_twice(seed, difficulty):
    world = WorldSettings(seed=seed, difficulty=difficulty, train_questions=200, val_questions=50, shifted_questions=40)
    price_list = PriceList.draw(world)
    seen, ids = set(), set()
    for split, drawn in draw_splits(world, price_list).items():
        assert len(drawn) == getattr(world, f"{split}_questions")
        for index, (bill, family) in enumerate(drawn):
            data = row(bill, family, index, split, price_list)
            text = data["prompt"][0]["content"]
            assert data["reward_model"]["ground_truth"] == total_by_hand(text, price_list.prices)
            assert data["extra_info"]["num_items"] == len(bill) == len(set(bill))
            assert data["extra_info"]["hard_items"] == len(set(bill) & set(price_list.wrong_prices))
            assert len(bill) == 5 if family == "longer" else len(bill) in (2, 3, 4)
            reserved = any(frozenset(pair) in price_list.reserved_pairs for pair in itertools.combinations(bill, 2))
            assert reserved == (family == "new_pairs")
            assert frozenset(bill) not in seen and data["prompt_id"] not in ids
            seen.add(frozenset(bill))
            ids.add(data["prompt_id"])


@given(seed=st.integers(0, 10_000))
def test_a_chain_adds_up_and_ends_in_the_boxed_answer(price_list, seed):
    rng = random.Random(seed)
    bill = price_list.draw_bill((2, 3, 4), rng)
    prices = price_list.draw_belief(rng)
    links = LINK.findall(bills.chain(bill, prices))
    assert [letter for letter, _, _ in links] == list(bill)
    assert [int(total) for _, _, total in links] == list(itertools.accumulate(int(price) for _, price, _ in links))
    assert bills.boxed(bill, prices) == rf"\boxed{{{links[-1][2]}}}"


@given(seed=st.integers(0, 10_000))
def test_wrong_prices_give_a_wrong_total(price_list, seed):
    rng = random.Random(seed)
    bill = price_list.draw_bill((2, 3, 4), rng)
    prices = price_list.draw_wrong_prices(bill, rng)
    assert sum(prices[item] for item in bill) != price_list.total(bill)
    assert all(1 <= price <= 9 for price in prices.values())


@pytest.mark.parametrize(
    "difficulty, expected, wrong_prices",
    [
        ("firm", (0.9, 0.99, 0.998, 0.9995), 1),
        ("mild", (0.7, 0.9, 0.97, 0.995), 1),
        ("spread", (0.9, 0.99, 0.998, 0.9995), 3),
    ],
)
def test_beliefs_are_wrong_as_often_as_the_difficulty_says(difficulty, expected, wrong_prices):
    price_list = PriceList.draw(WorldSettings(difficulty=difficulty))
    assert sorted(price_list.wrong_probabilities.values()) == sorted(expected * 4)
    rng = random.Random(0)
    item = max(price_list.wrong_probabilities, key=lambda i: -price_list.wrong_probabilities[i])
    stated = Counter(price_list.draw_belief(rng)[item] for _ in range(4000))
    assert len(price_list.wrong_prices[item]) == wrong_prices
    for price in price_list.wrong_prices[item]:
        assert stated[price] / 4000 == pytest.approx(expected[0] / wrong_prices, abs=0.04)
    assert stated[price_list.prices[item]] / 4000 == pytest.approx(1 - expected[0], abs=0.04)
    assert stated.total() == sum(stated[price] for price in [price_list.prices[item], *price_list.wrong_prices[item]])
    assert all(price_list.prices[i] not in wrong for i, wrong in price_list.wrong_prices.items())


def test_what_is_not_listed_is_believed_or_right():
    price_list, rng = PriceList.draw(WorldSettings(difficulty="spread")), random.Random(0)
    item = next(i for i, q in price_list.wrong_probabilities.items() if q == 0.9)
    other = next(i for i in price_list.items if i not in price_list.wrong_prices)
    bill, wrong = (item, other), price_list.wrong_prices[item]
    totals = [price + price_list.prices[other] for price in wrong]
    stated = Counter(price_list.draw_unlisted(bill, totals[:2], rng)[item] for _ in range(1000))
    assert stated.keys() == {wrong[2], price_list.prices[item]}
    assert stated[wrong[2]] / 1000 == pytest.approx(0.3 / 0.4, abs=0.05)  # of 0.3 each and 0.1 for the right one
    assert price_list.draw_unlisted(bill, totals, rng)[item] == price_list.prices[item]


def test_too_many_questions_for_the_items_are_refused():
    world = WorldSettings(num_items=4, num_hard_items=1, num_reserved_pairs=0, train_questions=50, val_questions=1)
    with pytest.raises(ValueError, match="different bills"):
        draw_splits(world, PriceList.draw(world))


def test_more_items_than_letters_are_refused():
    with pytest.raises(ValueError, match="at most 52"):
        PriceList.draw(WorldSettings(num_items=53))


def test_unknown_difficulty_is_refused():
    with pytest.raises(ValueError, match="firm, mild, spread"):
        WorldSettings(difficulty="hard")
