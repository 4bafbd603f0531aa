"""Two tests at a time (`make test`): those that start Ray in one process, everything else in the other.

A training run under Ray waits a lot and so leaves room on the second core; two of them at once would not fit.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
STARTS_RAY = ("e2e", "packaging", "cpu/test_grpo_cpu.py", "cpu/test_vllm_cpu.py")

# Ray's workers are nice by default: beside other tests on few cores they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for `--dist loadgroup`: a module stays together because of its fixtures; the long group comes first."""

    def starts_ray(item: pytest.Item) -> bool:
        return any(item.path.is_relative_to(ROOT / place) for place in STARTS_RAY)

    for item in items:
        item.add_marker(pytest.mark.xdist_group("ray" if starts_ray(item) else str(item.path.relative_to(ROOT))))
    items.sort(key=lambda item: not starts_ray(item))
