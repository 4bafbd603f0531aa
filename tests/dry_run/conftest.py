"""A run that could start, as in tests/config, planned instead of checked."""

import copy
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from recipe.zppo.dry_run.planning import Plan, plan
from tests.runnable import Run, base_config


class PlannedRun(Run):
    """Overrides of a run, planned for `8x8x80` unless a test says otherwise."""

    def plan(self, *changes: str) -> Plan:
        config = copy.deepcopy(base_config())
        for override in self.overrides("zppo.dry_run=true", "zppo.hardware=8x8x80", "trainer.nnodes=8", *changes):
            key, _, value = override.partition("=")
            OmegaConf.update(config, key.lstrip("+"), yaml.safe_load(value), force_add=key.startswith("+"))
        return plan(config)


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    return PlannedRun(tmp_path)
