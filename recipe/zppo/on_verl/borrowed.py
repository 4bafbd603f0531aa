"""What other folders use of verl's trainer. It comes through here, so that one folder feels a new version of verl."""

from verl.trainer.ppo.core_algos import get_policy_loss_fn
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask as correct_rollouts
from verl.trainer.ppo.utils import create_rl_dataset, create_rl_sampler

__all__ = [
    "BY_TOKEN",
    "correct_rollouts",  # importance weights and rejection by `algorithm.rollout_correction`
    "create_rl_dataset",  # the data set of `data.custom_cls`, or verl's own, over a list of files
    "create_rl_sampler",  # the order of its rows: by `data.seed`, or by `data.sampler`
    "get_custom_reward_fn",  # the function that `reward.custom_reward_function` names, with its keyword arguments
    "get_policy_loss_fn",  # the loss that `actor.policy_loss.loss_mode` names
]

BY_TOKEN = ("vanilla", "dppo_tv", "dppo_kl", "cispo", "gpg")
"""verl's policy losses that look at each token by itself: a sum over tokens, each a multiple of its advantage."""
