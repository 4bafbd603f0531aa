"""Seeds are stable across processes, and draws are uniform and independent of order."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.randomness import derive_seed, generator

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
