"""reasoning-gym is optional: one of its requirements is built from C source."""

import pytest


@pytest.fixture
def reasoning_gym():
    return pytest.importorskip("reasoning_gym", reason="reasoning-gym (extra `recipes`) is not installed")
