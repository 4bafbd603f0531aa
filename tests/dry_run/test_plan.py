"""The plan of a run: what would fail is found, all of it, and said in one line each."""

import re

import pytest

from recipe.zppo.dry_run.hardware import GB, parse_hardware
from recipe.zppo.errors import ConfigError

from .conftest import PlannedRun


def test_hardware_is_nodes_accelerators_and_memory() -> None:
    hardware = parse_hardware("8x4x80")
    assert [node.accelerators for node in hardware.nodes] == [4] * 8
    assert hardware.memory == 80 * GB


@pytest.mark.parametrize("text", ["8x8", "8x8x80x1", "8x0x80", "eight", "8x8x-80", "8x8x80GB"])
def test_other_hardware_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^zppo.hardware: .* write it as 8x8x80"):
        parse_hardware(text)


def test_the_papers_layout_is_placed_per_node(run: PlannedRun) -> None:
    plan = run.plan()
    assert plan.problems == []
    assert plan.layout.by_node() == [(node, {"student": 6, "teacher": 2}) for node in range(8)]
    assert re.search(r"nodes 0-7 +each 6 student \(0-5\), 2 teacher \(6-7\)\n", plan.page())


def test_all_problems_are_found_at_once(run: PlannedRun) -> None:
    plan = run.plan(
        "data.train_files=none.parquet", "zppo.hardware=8x4x80", "trainer.save_freq=-1", "actor_rollout_ref.rollout.n=1"
    )
    keys = [problem.split(":")[0] for problem in plan.problems]
    assert keys == [
        "actor_rollout_ref.rollout.n",
        "zppo.export.hf_model",
        "data.train_files",
        "trainer.n_gpus_per_node",
    ]
    assert all("\n" not in problem for problem in plan.problems)
    assert all(problem in plan.page() for problem in plan.problems)


def test_a_config_that_is_no_config_has_its_problem_too(run: PlannedRun) -> None:
    plan = run.plan("zppo.threshold=7")
    assert plan.problems == ["zppo.threshold: 7.0 is out of range; it must be greater than 0.0 and at most 1.0"]
    assert "would not run" in plan.page()
