"""Seeds are stable across processes, and draws are uniform and independent of order."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.randomness import derive_seed, draw_candidates, generator

parts = st.recursive(
    st.one_of(st.text(max_size=4), st.integers(), st.booleans(), st.none(), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def typed(value):
    """Equal only to a value of the same types: 1 and True are equal to Python."""
    return (type(value), tuple(map(typed, value)) if isinstance(value, tuple) else value)


@given(st.lists(parts, max_size=4), st.lists(parts, max_size=4))
def test_seeds_are_63_bits_and_equal_only_for_equal_parts(a, b):
    assert 0 <= derive_seed(*a) < 2**63
    assert (derive_seed(*a) == derive_seed(*b)) == (list(map(typed, a)) == list(map(typed, b)))


def test_a_seed_is_the_same_in_every_process_and_version():
    """Pinned: a changed value would change every run that is resumed."""
    assert derive_seed("zppo", 1, ("a", None), 0.5) == 2223606512373438859
    program = "from recipe.zppo.randomness import derive_seed; print(derive_seed('zppo', 1, ('a', None), 0.5))"
    runs = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout for salt in ("1", "2")
    ]  # fmt: skip
    assert runs == ["2223606512373438859\n"] * 2


def test_numpy_integers_are_integers_and_other_objects_an_error():
    assert derive_seed(np.int64(7)) == derive_seed(7) != derive_seed(7.0)
    with pytest.raises(TypeError, match="dict"):
        derive_seed({})


def test_generators_of_equal_parts_draw_alike():
    assert generator("a", 1).random() == generator("a", 1).random() != generator("a", 2).random()


def test_candidates_are_drawn_uniformly_and_their_order_tells_nothing():
    draws = [draw_candidates("tuv", "ab", seed=1, step=0, prompt_id=i) for i in range(6000)]
    counts = Counter((pair.positive, pair.negative, pair.positive_first) for pair in draws)
    assert len(counts) == 12
    # 500 expected each, standard deviation 21: five of them either way.
    assert all(390 < count < 610 for count in counts.values())
    assert all(pair.shown == ((pair.positive, pair.negative) if pair.positive_first else (pair.negative, pair.positive))
               for pair in draws)  # fmt: skip
    assert draws == [draw_candidates("tuv", "ab", seed=1, step=0, prompt_id=i) for i in range(6000)]
    assert draws != [draw_candidates("tuv", "ab", seed=1, step=1, prompt_id=i) for i in range(6000)]


def test_a_candidate_needs_something_to_draw_from():
    with pytest.raises(IndexError):
        draw_candidates([], ["a"], seed=1, step=0, prompt_id=1)
