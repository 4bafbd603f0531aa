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
    "data.train_batch_size",
    "actor_rollout_ref.rollout.n",
)
"""What differs between the methods of the paper and its ablations, and what a step consists of."""

DATA_KEYS = ("data.dataloader_num_workers",)
"""Verl's data loader restores its order for the same number of workers only."""

STATE_KEYS = ("zppo.optimizer",)
"""One optimiser can't take up another's state."""

JUDGE_TEMPLATE = "zppo.judge.template"
"""Beside them: not the path, but a hash of the text; null for ours, and without a judge."""


def run_identity(config: DictConfig, prompt_ids: Sequence[str]) -> dict[str, Any]:
    """Plain values by key; of the data, number and hash of the prompt ids in their order."""
    values = {key: OmegaConf.select(config, key) for key in (*METHOD_KEYS, *DATA_KEYS, *STATE_KEYS)}
    judge = config.zppo.judge
    own = load_judge_template(judge.template).text if judge.enable and judge.template else None
    values[JUDGE_TEMPLATE] = None if own is None else f"a text with hash {_hashed(own)}"
    return {**values, "data.train_files": [len(prompt_ids), _hashed("\n".join(prompt_ids))]}


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def check_identity(saved: Mapping[str, Any] | None, now: Mapping[str, Any], path: str, *, named: bool) -> None:
    """Compare a checkpoint's identity with the run's. One from before there were identities has None, and passes.

    Args:
        named: the checkpoint was chosen by its name (``trainer.resume_mode=resume_path``): to go on from it by another
            method is then meant, and only the data must be the same.

    Raises:
        CheckpointError: one line with the first key that differs.
    """
    afresh = "; set it back, or start afresh in another trainer.default_local_dir or with trainer.resume_mode=disable"
    for key, value in (saved or {}).items():
        if key not in now or now[key] == value or (named and key in (*METHOD_KEYS, JUDGE_TEMPLATE)):
            continue
        if key == "data.train_files":
            changed = f"{value[0]} prompts" if value[0] != now[key][0] else "other prompts, or another order"
            raise CheckpointError(
                f"{key}: {path} was written with {changed}, now there are {now[key][0]}: some would come twice, others "
                f"never{afresh}"
            )
        raise CheckpointError(f"{key}: {path} was written with {value}, now it is {now[key]}{afresh}")
