"""Registers the two-step advantage with verl as advantage estimator `zppo`; importing this module does it."""

from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from recipe.zppo.advantage import two_step_advantage


@register_adv_est("zppo")
def compute_zppo_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    config: Any = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns of the step's whole batch, in verl's form.

    Args:
        token_level_rewards: (N, T); a rollout's reward is the sum over its tokens.
        response_mask: (N, T), 1 on the student's own response tokens.
        index: (N,) uids, the groups.
        config: verl's algorithm config. `zppo_advantage_norm` and `zppo_advantage_eps` are read if they are there; with
            `zppo_mini_batches` above 1 each run of `zppo_mini_batch_rows` rows belongs to the next mini-batch.

    Returns:
        advantages, returns: (N, T) each, the rollout's advantage on its response tokens and 0 elsewhere.
    """
    options = {} if config is None else config
    num_parts = options.get("zppo_mini_batches", 1)
    parts = np.arange(len(index)) // options["zppo_mini_batch_rows"] % num_parts if num_parts > 1 else None
    scalars = two_step_advantage(
        token_level_rewards.sum(dim=-1),
        index,
        norm=options.get("zppo_advantage_norm", "without_zero"),
        eps=options.get("zppo_advantage_eps", 1e-6),
        padding_mask=padding_rows(index, response_mask),
        mini_batches=parts,
    )
    # In place on one copy: a product of two dtypes makes another (N, T) tensor on the way, 226 MB at the paper's scale.
    advantages = response_mask.to(scalars.dtype, copy=True).mul_(scalars.unsqueeze(-1))
    return advantages, advantages


def padding_rows(index: np.ndarray, response_mask: torch.Tensor) -> np.ndarray:
    """(N,) true for the rows with which verl fills a batch up (`verl/trainer/ppo/padding_utils.py`).

    They share a uid that starts with `pad` and have no response token in the mask. Both must hold.
    """
    padding = np.char.startswith(np.asarray(index).astype(str), "pad")
    if padding.any():
        padding[padding] = ~response_mask[torch.from_numpy(padding)].bool().any(dim=-1).cpu().numpy()
    return padding
