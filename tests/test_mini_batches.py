"""The updates of a step share all its rollouts, and the weights of Alg. 2 against its averages written out."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.mini_batches import mini_batches, question_weights

UIDS = st.lists(st.sampled_from("abcdefgh"), max_size=40)
UNITS = st.sampled_from(["rollouts", "groups"])


@given(UIDS, st.integers(1, 5), UNITS, st.integers(0, 9))
def test_each_rollout_is_in_one_mini_batch_and_they_are_about_equal(uids, count, unit, seed):
    parts = mini_batches(uids, count, unit, random.Random(seed))
    assert len(parts) == count
    assert sorted(i for part in parts for i in part) == list(range(len(uids)))
    whole = unit == "groups" and len(set(uids)) >= count
    largest_unit = max(Counter(uids).values()) if whole else 1
    assert max(map(len, parts)) - min(map(len, parts)) <= largest_unit
    assert all(parts) or len(uids) < count
    if whole:
        assert all(len({n for n, part in enumerate(parts) for i in part if uids[i] == uid}) == 1 for uid in uids)
    assert parts == mini_batches(uids, count, unit, random.Random(seed))


@pytest.mark.parametrize("unit", ["rollouts", "groups"])
def test_every_unit_may_be_in_every_mini_batch(unit):
    uids = [f"{i // 8}" for i in range(64)]
    places = {
        next(n for n, part in enumerate(mini_batches(uids, 4, unit, random.Random(seed))) if 0 in part)
        for seed in range(50)
    }
    assert places == {0, 1, 2, 3}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), min_size=1, max_size=9), st.integers(1, 3))
def test_weights_are_the_mean_over_tokens_then_targets_then_questions(targets, count):
    uids, lengths = [list(column) for column in zip(*targets, strict=True)]
    rng = np.random.default_rng(0)
    losses = [rng.random(length) for length in lengths]
    parts = mini_batches(uids, count, "rollouts", random.Random(0))
    weights = question_weights(uids, lengths, parts)
    for part in filter(None, parts):
        by_question = {}
        for i in part:
            by_question.setdefault(uids[i], []).append(np.mean(losses[i]))
        expected = np.mean([np.mean(means) for means in by_question.values()])
        assert sum(weights[i] * losses[i].sum() for i in part) == pytest.approx(expected)
