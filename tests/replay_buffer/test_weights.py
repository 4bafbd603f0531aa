"""Which questions come back: draws against the chances worked out by hand, over a buffer with a history."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.errors import ReplayBufferError
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.weights import REPLAY_WEIGHTS, weighted_draw

NOT_UNIFORM = [name for name in REPLAY_WEIGHTS if name != "uniform"]
CHI_SQUARED_99_9 = {4: 18.47, 11: 31.26}
"""Exceeded once in a thousand by a right sampler, by degrees of freedom."""


def slow_weight(weights, entry):
    """The formulas of the documentation, on what the buffer shows of an entry."""
    formulas = {"uniform": 1, "entry_accuracy": entry.entry_accuracy + 0.125, "visits": 1 / (1 + len(entry.visits))}
    return formulas[weights]


def with_history(weights, seed=0):
    """Five entries, after others have left and their places were taken, of unlike accuracies and visits."""
    buffer = PromptReplayBuffer(5, 0.5, seed, weights)
    buffer.update(1, [(f"q{n}", n % 4 / 8, n) for n in range(5)])
    for step in range(2, 7):
        buffer.update(step, [("q4", 0.0, 4)] + [("q3", 0.5, 3)] * (step == 4) + [("q2", 0.25, 2)] * (step == 5))
    buffer.update(7, [("q5", 0.375, 5), ("q6", 0.25, 6)])
    assert {e.prompt_id: (e.entry_accuracy, len(e.visits)) for e in buffer} == {
        "q1": (0.125, 0),
        "q2": (0.25, 1),
        "q4": (0.0, 5),
        "q5": (0.375, 0),
        "q6": (0.25, 0),
    }
    return buffer


def reloaded(buffer):
    copy = PromptReplayBuffer(buffer.capacity, buffer.threshold, 99, buffer.weights)
    copy.load_state_dict(buffer.state_dict())
    return copy


def chi_squared(counts, chances):
    """Of the counts, of which none may lie outside `chances`, against their expectation."""
    assert counts.keys() <= chances.keys()
    total = counts.total()
    return sum((counts[key] - total * chance) ** 2 / (total * chance) for key, chance in chances.items())


def ordered_pairs(weight):
    """Chance of each ordered pair, one drawn after the other in proportion to what is left."""
    whole = sum(weight.values())
    return {(a, b): weight[a] / whole * weight[b] / (whole - weight[a]) for a, b in itertools.permutations(weight, 2)}


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("weights", REPLAY_WEIGHTS)
def test_the_first_draw_is_in_proportion_to_the_weights(weights, reload):
    buffer = with_history(weights, seed=5)
    buffer = reloaded(buffer) if reload else buffer
    counts = Counter(buffer.sample(1 + n % 3)[0].prompt_id for n in range(8000))
    by_hand = {entry.prompt_id: slow_weight(weights, entry) for entry in buffer}
    chances = {name: weight / sum(by_hand.values()) for name, weight in by_hand.items()}
    assert chi_squared(counts, chances) < CHI_SQUARED_99_9[4]
    for other in set(REPLAY_WEIGHTS) - {weights}:  # the test can tell one from another
        by_hand = {entry.prompt_id: slow_weight(other, entry) for entry in buffer}
        chances = {name: weight / sum(by_hand.values()) for name, weight in by_hand.items()}
        assert chi_squared(counts, chances) > 10 * CHI_SQUARED_99_9[4]


@pytest.mark.parametrize("weights", REPLAY_WEIGHTS)
def test_so_is_the_second_among_those_that_are_left_and_not_excluded(weights):
    buffer = with_history(weights, seed=6)
    counts = Counter(tuple(e.prompt_id for e in buffer.sample(2, ["q6", "new"])) for _ in range(12000))
    weight = {entry.prompt_id: slow_weight(weights, entry) for entry in buffer if entry.prompt_id != "q6"}
    assert chi_squared(counts, ordered_pairs(weight)) < CHI_SQUARED_99_9[11]


@pytest.mark.parametrize("weights", REPLAY_WEIGHTS)
def test_draws_depend_on_the_seed_and_go_on_after_a_restart(weights):
    a, b, c = (with_history(weights, seed) for seed in (1, 1, 2))
    draws = [a.sample(3) for _ in range(20)]
    assert draws == [b.sample(3) for _ in range(20)]
    assert draws != [c.sample(3) for _ in range(20)]
    again = reloaded(a)
    assert [again.sample(2, ["q1"]) for _ in range(20)] == [a.sample(2, ["q1"]) for _ in range(20)]


def test_uniform_draws_are_those_of_before_there_were_weights():
    buffer, draws = PromptReplayBuffer(12, 0.5, 7), []
    for step in range(1, 7):
        drawn = [entry.prompt_id for entry in buffer.sample(4, exclude=[f"q{step - 1}-0", "unknown"])]
        draws.append(" ".join(drawn))
        new = [(f"q{step}-{n}", (n + step) % 5 / 8, n) for n in range(5)]
        buffer.update(step, new + [(name, (step + n) % 6 / 8, 0) for n, name in enumerate(drawn)])
    assert draws == [
        "",
        "q1-2 q1-1 q1-4",
        "q2-1 q1-1 q1-2 q2-4",
        "q2-1 q3-4 q2-3 q2-0",
        "q1-0 q3-3 q3-2 q4-1",
        "q4-3 q5-2 q2-4 q4-2",
    ]
    old = {key: value for key, value in buffer.state_dict().items() if key not in ("weights", "by_visits")}
    resumed = PromptReplayBuffer(12, 0.5, 0)
    resumed.load_state_dict(old)
    expected = "q5-3 q4-2 q6-4 q5-1 q5-2"
    for going_on in (buffer, resumed):
        assert " ".join(entry.prompt_id for entry in going_on.sample(5)) == expected
    with pytest.raises(ReplayBufferError, match=r"set zppo\.replay\.weights=uniform"):
        PromptReplayBuffer(12, 0.5, 0, "visits").load_state_dict(old)


def test_who_left_before_it_was_counted_by_visits_is_not_made_up():
    buffer = with_history("uniform")
    old = {key: value for key, value in buffer.state_dict().items() if key != "by_visits"}
    resumed = PromptReplayBuffer(5, 0.5, 0)
    resumed.load_state_dict(old)
    assert not [key for key in resumed.metrics() if "/after_" in key]
    resumed.update(8, [("q4", 1.0, 4)])
    after = {key: value for key, value in resumed.metrics().items() if "/after_" in key}
    assert after == {"graduations/after_6": 1, "evictions/after_6": 0, "evictions_improved/after_6": 0}


def test_who_improved_before_it_was_counted_is_not_made_up():
    buffer = with_history("uniform")
    old = buffer.state_dict()
    del old["by_visits"]["evictions_improved"]
    resumed = PromptReplayBuffer(5, 0.5, 0)
    resumed.load_state_dict(old)
    assert resumed.metrics() == buffer.metrics() | {key: 0 for key in resumed.metrics() if "improved" in key}


@pytest.mark.parametrize("weights", ["", "accuracy", None, 1])
def test_unknown_weights_are_an_error(weights):
    with pytest.raises(ReplayBufferError, match="uniform, entry_accuracy, visits"):
        PromptReplayBuffer(1, 0.5, 0, weights)


@given(st.data())
def test_draws_are_distinct_and_never_excluded(data):
    weights = np.array(data.draw(st.lists(st.floats(1e-3, 2.0), max_size=12)))
    indices = st.sampled_from(range(len(weights))) if len(weights) else st.nothing()
    excluded = data.draw(st.sets(indices))
    k = data.draw(st.integers(0, 14))
    drawn = weighted_draw(weights, k, excluded, data.draw(st.integers(0, 2**64 - 1)))
    assert len(set(drawn)) == len(drawn) == min(k, len(weights) - len(excluded))
    assert set(drawn) <= set(range(len(weights))) - excluded


def test_fewer_draws_are_the_first_of_more():
    weights = np.arange(1, 101) / 8
    order = weighted_draw(weights, 100, (), seed=3)
    assert sorted(order) == list(range(100)) != order
    assert all(weighted_draw(weights, k, (), seed=3) == order[:k] for k in range(100))


@pytest.mark.parametrize("weights", NOT_UNIFORM)
def test_a_draw_grows_with_the_size_no_faster(weights):
    """Ratio of times at a hundred times the size, best of several: a quadratic draw would come to 10,000."""

    def best(size):
        buffer, times = PromptReplayBuffer(size, 0.5, 0, weights), []
        buffer.update(0, [(n, n % 4 / 8, n) for n in range(size)])
        for _ in range(7):
            start = time.process_time()
            buffer.sample(100, exclude=range(100))
            times.append(time.process_time() - start)
        return min(times)

    assert best(200_000) < 1000 * best(2_000)
