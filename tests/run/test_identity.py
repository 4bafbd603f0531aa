"""A checkpoint is taken up by the same method on the same data, or not at all."""

import copy
import re
from types import NoneType

import pytest
from omegaconf import OmegaConf

from recipe.zppo.errors import CheckpointError
from recipe.zppo.run.identity import (
    DATA_KEYS,
    JUDGE_TEMPLATE,
    METHOD_KEYS,
    REWARD_KEYS,
    STATE_KEYS,
    TOTAL_STEPS,
    check_identity,
    run_identity,
)
from tests.composed import compose

IDS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def config():
    return compose(["platform=cpu", "actor_rollout_ref.model.path=student", "zppo.teacher.path=teacher"])


def test_every_key_is_there(config) -> None:
    found = run_identity(config, IDS)
    assert all(found[key] is not None for key in (*METHOD_KEYS, *DATA_KEYS, *STATE_KEYS))
    check_identity(found, run_identity(copy.deepcopy(config), list(IDS)), "folder", named=False)


@pytest.mark.parametrize("key", (*METHOD_KEYS, *REWARD_KEYS))
def test_another_method_is_refused_unless_the_checkpoint_is_named(config, key: str) -> None:
    other = copy.deepcopy(config)
    old = OmegaConf.select(config, key)
    new = {bool: lambda: not old, int: lambda: old + 1, str: lambda: old + "?", NoneType: lambda: ">0"}[type(old)]()
    OmegaConf.update(other, key, new)
    saved, now = run_identity(config, IDS), run_identity(other, IDS)
    with pytest.raises(
        CheckpointError,
        match=rf"^{key}: folder was written with {re.escape(str(old))}, now it is .*resume_mode=disable$",
    ):
        check_identity(saved, now, "folder", named=False)
    check_identity(saved, now, "folder", named=True)


def test_another_template_of_the_judge_is_refused_unless_the_checkpoint_is_named(config, tmp_path) -> None:
    path, judged = tmp_path / "judge.txt", copy.deepcopy(config)
    path.write_text("{question} {response} {gold}")
    OmegaConf.update(judged, JUDGE_TEMPLATE, str(path))
    assert run_identity(judged, IDS)[JUDGE_TEMPLATE] is None  # nobody judges
    OmegaConf.update(judged, "zppo.judge.enable", True)
    saved = run_identity(judged, IDS)
    path.rename(tmp_path / "moved.txt")
    OmegaConf.update(judged, JUDGE_TEMPLATE, str(tmp_path / "moved.txt"))
    check_identity(saved, run_identity(judged, IDS), "folder", named=False)
    (tmp_path / "moved.txt").write_text("Kindly: {question} {response} {gold}")
    for now in (run_identity(judged, IDS), run_identity(config, IDS)):
        with pytest.raises(CheckpointError, match=rf"^{JUDGE_TEMPLATE}: folder was written with a text with hash "):
            check_identity(saved, now, "folder", named=False)
        check_identity(saved, now, "folder", named=True)
    del saved[JUDGE_TEMPLATE]  # from before there was the key
    check_identity(saved, run_identity(judged, IDS), "folder", named=False)


@pytest.mark.parametrize("named", [False, True])
def test_another_optimizer_is_refused(config, named: bool) -> None:
    saved = run_identity(config, IDS)
    with pytest.raises(CheckpointError, match=r"^zppo.optimizer: folder was written with fp32, now it is stochastic; "):
        check_identity(saved, saved | {"zppo.optimizer": "stochastic"}, "folder", named=named)


OPTIM = "actor_rollout_ref.actor.optim"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("key", "value"), [("lr", 2e-6), ("betas", [0.9, 0.95]), ("lr_scheduler_type", "cosine")])
def test_another_schedule_is_refused(config, key: str, value: object, named: bool) -> None:
    """The optimizer's state would bring its own back, and the key would do nothing."""
    other = copy.deepcopy(config)
    OmegaConf.update(other, f"{OPTIM}.{key}", value)
    with pytest.raises(CheckpointError, match=rf"^{OPTIM}.{key}: folder was written with .*; set it back, or start"):
        check_identity(run_identity(config, IDS), run_identity(other, IDS), "folder", named=named)


@pytest.mark.parametrize(
    ("schedule", "depends"),
    [
        ({}, False),
        ({"lr_warmup_steps": 3}, False),
        ({"lr_warmup_steps_ratio": 0.1}, True),
        ({"lr_scheduler_type": "cosine"}, True),
    ],
)
def test_more_steps_are_refused_where_the_schedule_follows_from_them(config, schedule: dict, depends: bool) -> None:
    run = copy.deepcopy(config)
    OmegaConf.update(run, OPTIM, schedule)
    OmegaConf.update(run, TOTAL_STEPS, 10)
    longer = copy.deepcopy(run)
    OmegaConf.update(longer, TOTAL_STEPS, 20)
    saved, now = run_identity(run, IDS), run_identity(longer, IDS)
    if not depends:
        check_identity(saved, now, "folder", named=False)
        return
    with pytest.raises(CheckpointError, match=rf"^{TOTAL_STEPS}: folder was written with 10, now it is 20; "):
        check_identity(saved, now, "folder", named=False)


def test_a_checkpoint_from_before_passes(config) -> None:
    check_identity(None, run_identity(config, IDS), "folder", named=False)


def test_the_data_are_compared_elsewhere(config) -> None:
    check_identity(run_identity(config, IDS), run_identity(config, ["d"]), "folder", named=False)
