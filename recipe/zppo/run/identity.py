"""What a run is, as far as a checkpoint can only be taken up by the same: its method and its data."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import CheckpointError
from recipe.zppo.methods import WALK
from recipe.zppo.teacher.own_template import load_judge_template

METHOD_KEYS = (
    "zppo.updates_per_step",
    "zppo.mini_batches",
    "zppo.advantage_norm",
    "zppo.advantage_statistics",
    "zppo.dynamic_sampling",
    "zppo.replay.enable",
    "zppo.reformulation.enable",
    "zppo.reformulation.pre_cap",
    *(f"zppo.reformulation.{kind.value}" for kind in WALK),
    "zppo.distillation.mode",
    "zppo.judge.route",
    "zppo.reward.grader",
    "zppo.answer.form",
    "data.train_batch_size",
    "actor_rollout_ref.rollout.n",
)
"""What differs between the methods of the paper and its ablations, and what a step consists of.

Fractions and the form of candidates may change between two starts, threshold and capacity by `PromptReplayBuffer` not:
docs/reference/files.md.
"""

REWARD_KEYS = ("zppo.answer.closer", "zppo.reward.binarize")
"""Beside them: what a prompt asks for and what is right, null as a rule."""

DATA_KEYS = ("data.dataloader_num_workers",)
"""Verl's data loader restores its order for the same number of workers only."""

STATE_KEYS = ("zppo.optimizer",)
"""One optimiser can't take up another's state."""

_OPTIM = "actor_rollout_ref.actor.optim"
SCHEDULE_KEYS = tuple(
    f"{_OPTIM}.{name}"
    for name in (
        "lr",
        "weight_decay",
        "betas",
        "lr_warmup_steps",
        "lr_warmup_steps_ratio",
        "lr_scheduler_type",
        "lr_decay_style",
        "min_lr_ratio",
        "min_lr",
        "num_cycles",
    )
)
"""An optimizer and its schedule come out of the checkpoint with the values that they had: others would do nothing."""

TOTAL_STEPS = "trainer.total_training_steps"
"""Beside them, where the schedule depends on it: not where the learning rate is constant, as in the paper."""

TRAIN_FILES = "data.train_files"
"""Beside them: number and hash of the prompt ids in their order. `recipe.zppo.run.data_change` compares them."""

JUDGE_TEMPLATE = "zppo.judge.template"
"""Beside them: not the path, but a hash of the text; null for ours, and without a judge."""


def run_identity(config: DictConfig, prompt_ids: Sequence[str]) -> dict[str, Any]:
    """Plain values by key; of the data, number and hash of the prompt ids in their order."""
    values = {
        key: _plain(OmegaConf.select(config, key)) for key in (*METHOD_KEYS, *REWARD_KEYS, *DATA_KEYS, *STATE_KEYS)
    }
    schedule = {key: _plain(OmegaConf.select(config, key)) for key in SCHEDULE_KEYS}
    values |= {key: value for key, value in schedule.items() if value is not None}
    values[TOTAL_STEPS] = OmegaConf.select(config, TOTAL_STEPS) if _depends_on_total(schedule) else None
    judge = config.zppo.judge
    own = load_judge_template(judge.template).text if judge.enable and judge.template else None
    values[JUDGE_TEMPLATE] = None if own is None else f"a text with hash {_hashed(own)}"
    return {**values, TRAIN_FILES: data_identity(prompt_ids)}


def data_identity(prompt_ids: Sequence[str]) -> list[Any]:
    return [len(prompt_ids), _hashed("\n".join(prompt_ids))]


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _depends_on_total(schedule: Mapping[str, Any]) -> bool:
    """Whether the learning rate of a step follows from the number of all steps."""
    style = schedule[f"{_OPTIM}.lr_scheduler_type"] or schedule[f"{_OPTIM}.lr_decay_style"]
    by_share = (schedule[f"{_OPTIM}.lr_warmup_steps"] or 0) <= 0 < (schedule[f"{_OPTIM}.lr_warmup_steps_ratio"] or 0)
    return style != "constant" or by_share


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def check_identity(saved: Mapping[str, Any] | None, now: Mapping[str, Any], path: str, *, named: bool) -> None:
    """Compare a checkpoint's identity with the run's, apart from the data.

    A checkpoint from before there were identities has None, and passes.

    Args:
        named: the checkpoint was chosen by its name (``trainer.resume_mode=resume_path``): to go on from it by another
            method is then meant.

    Raises:
        CheckpointError: one line with the first key that differs.
    """
    afresh = "; set it back, or start afresh in another trainer.default_local_dir or with trainer.resume_mode=disable"
    for key, value in (saved or {}).items():
        if (
            key == TRAIN_FILES
            or key not in now
            or now[key] == value
            or (named and key in (*METHOD_KEYS, *REWARD_KEYS, JUDGE_TEMPLATE))
        ):
            continue
        raise CheckpointError(f"{key}: {path} was written with {value}, now it is {now[key]}{afresh}")
