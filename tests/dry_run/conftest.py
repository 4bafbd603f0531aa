"""A run that could start, as in tests/config, planned instead of checked."""

from pathlib import Path

import pytest

from recipe.zppo.dry_run.plan import Plan
from recipe.zppo.dry_run.planning import plan
from tests.runnable import Run


class PlannedRun(Run):
    """Overrides of a run, planned for `8x8x80` unless a test says otherwise."""

    def plan(self, *changes: str) -> Plan:
        return plan(self.config("zppo.dry_run=true", "zppo.hardware=8x8x80", "trainer.nnodes=8", *changes))


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    return PlannedRun(tmp_path)
