"""Equations 2 to 6 against loops written from the paper, and the closed form of `with_zero`."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.advantage import GroupStatistics, group_statistics, two_step_advantage
from recipe.zppo.errors import AdvantageError

NORMS = ["without_zero", "with_zero", "none"]
REWARDS = st.one_of(st.sampled_from([0.0, 1.0]), st.sampled_from([0.1, 0.3, 1.0]))
ROLLOUTS = st.lists(st.tuples(st.sampled_from("abcd"), REWARDS, st.booleans()), max_size=30)


def equations_2_to_6(rewards, group_ids, norm, eps, padding):
    """Plain Python, one rollout at a time."""
    n = range(len(rewards))
    groups = {}
    for i in n:
        if not padding[i]:
            groups.setdefault(group_ids[i], []).append(i)
    centered = dict.fromkeys(n, 0.0)
    chosen = []
    for members in groups.values():
        trivial = len({rewards[i] for i in members}) == 1
        mean = sum(rewards[i] for i in members) / len(members)
        for i in members:
            centered[i] = 0.0 if trivial else rewards[i] - mean
        if norm == "with_zero" or not trivial:
            chosen += members
    if norm == "none" or not chosen:
        return [centered[i] for i in n]
    mu = sum(centered[i] for i in chosen) / len(chosen)
    sigma = math.sqrt(sum((centered[i] - mu) ** 2 for i in chosen) / len(chosen))
    return [(centered[i] - mu) / (sigma + eps) if i in chosen else 0.0 for i in n]


@given(ROLLOUTS, st.sampled_from(NORMS), st.sampled_from([1e-6, 1e-2]))
def test_advantages_are_equations_2_to_6(rollouts, norm, eps):
    groups, rewards, padding = [list(column) for column in zip(*rollouts, strict=True)] or [[], [], []]
    expected = equations_2_to_6(rewards, groups, norm, eps, padding)
    got = two_step_advantage(np.array(rewards), groups, norm, eps, padding)
    assert got == pytest.approx(expected, abs=1e-9)
    as_tensor = two_step_advantage(torch.tensor(rewards, dtype=torch.float64), groups, norm, eps, torch.tensor(padding))
    assert as_tensor.numpy() == pytest.approx(expected, abs=1e-9)


@given(ROLLOUTS, st.sampled_from(NORMS), st.randoms(use_true_random=False))
def test_statistics_by_mini_batch_are_those_of_the_rollouts_in_it(rollouts, norm, rng):
    groups, rewards, padding = [list(column) for column in zip(*rollouts, strict=True)] or [[], [], []]
    parts = np.array([rng.randrange(3) for _ in rollouts], dtype=int)
    got = two_step_advantage(np.array(rewards), groups, norm, 1e-6, padding, mini_batches=parts)
    centered = equations_2_to_6(rewards, groups, "none", 1e-6, padding)
    for part in range(3):
        here = [i for i in range(len(rollouts)) if parts[i] == part and not padding[i]]
        chosen = [i for i in here if norm == "with_zero" or len(values_of(groups[i], rewards, groups, padding)) > 1]
        mu, sigma = (f([centered[i] for i in chosen or [0]]) if rollouts else 0.0 for f in (np.mean, np.std))
        for i in here:
            scaled = norm != "none" and any(centered[j] for j in chosen)
            expected = (centered[i] - mu) / (sigma + 1e-6) if scaled and i in chosen else centered[i]
            assert got[i] == pytest.approx(expected, abs=1e-9)


def values_of(group, rewards, groups, padding):
    return {rewards[i] for i in range(len(groups)) if groups[i] == group and not padding[i]}


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=12))
def test_with_zero_is_without_zero_over_the_root_of_the_share_of_non_trivial_groups(groups):
    rewards = np.array(groups, dtype=float).ravel()
    ids = np.repeat(np.arange(len(groups)), 4)
    share = np.mean([0 < sum(group) < 4 for group in groups])
    if share:
        without = two_step_advantage(rewards, ids, "without_zero", eps=0.0)
        with_zero = two_step_advantage(rewards, ids, "with_zero", eps=0.0)
        np.testing.assert_allclose(with_zero, without / np.sqrt(share), rtol=1e-12, atol=1e-12)


@given(ROLLOUTS, st.sampled_from(NORMS), st.randoms())
def test_the_order_of_rollouts_does_not_matter(rollouts, norm, rng):
    order = rng.sample(range(len(rollouts)), len(rollouts))

    def advantages(rows):
        groups, rewards, padding = [[row[i] for row in rows] for i in range(3)]
        return two_step_advantage(np.array(rewards), groups, norm, 1e-6, padding)

    np.testing.assert_allclose(advantages([rollouts[i] for i in order]), advantages(rollouts)[order], atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_padding_changes_nothing_and_gets_nothing(norm):
    rewards, ids = np.array([1.0, 0.0, 0.0, 1.0, 1.0]), ["a", "a", "a", "b", "b"]
    padded = two_step_advantage(np.append(rewards, [0.0, np.nan]), [*ids, "pad", "a"], norm, 1e-6, [0] * 5 + [1, 1])
    assert list(padded[:5]) == list(two_step_advantage(rewards, ids, norm)) and list(padded[5:]) == [0.0, 0.0]


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_but_trivial_groups_gives_zeros_and_not_a_division_by_zero(norm):
    with np.errstate(all="raise"):
        assert list(two_step_advantage(np.array([0.1] * 3 + [1.0]), [0, 0, 0, 1], norm, eps=0.0)) == [0.0] * 4


def test_kind_dtype_and_device_are_those_of_the_rewards():
    ids = np.array(["x", "x"], dtype=object)
    assert two_step_advantage(np.array([0, 1]), ids).dtype == np.float64
    assert two_step_advantage(np.array([0, 1], dtype=np.float32), ids).dtype == np.float32
    assert two_step_advantage(torch.tensor([0, 1]), torch.tensor([3, 3])).dtype == torch.float32
    half = two_step_advantage(torch.tensor([0, 1], dtype=torch.bfloat16), ids)
    assert half.dtype == torch.bfloat16 and half.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([0.0, 1.0], [0]), "one shape"),
        (([[0.0, 1.0]], [[0, 0]]), "one shape"),
        (([0.0], [0], "none", 0.0, [False, True]), "one shape"),
        (([0.0, float("nan")], [0, 0]), "rollout 1 is not finite"),
        (([0.0], [0], "zero"), "norm must be one of without_zero, with_zero, none"),
        (([0.0], [0], "none", -1.0), "eps"),
        (([0.0, 0.0], np.array([0, "a"], dtype=object)), "one type"),
    ],
)
def test_bad_input_is_an_error(args, message):
    rewards, *rest = args
    with pytest.raises(AdvantageError, match=message):
        two_step_advantage(np.array(rewards), *rest)


def test_group_statistics_count_groups_and_rollouts_without_padding():
    rewards = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    ids = ["a", "a", "b", "b", "c", "c", "pad1"]
    assert group_statistics(rewards, ids, [False] * 6 + [True]) == GroupStatistics(2 / 3, 1 / 6)
    assert group_statistics(rewards[:1], ["pad1"], [True]) == GroupStatistics(0.0, 0.0)
