"""Keys of verl's that would do nothing, and those that ZPPO's step relies on."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.on_verl.borrowed import correct_rollouts

# Nodes of verl's pre-V1 layout, which still compose but which V1 never reads; the live ones are below `reward`.
LEGACY = {
    "custom_reward_function": "reward.custom_reward_function",
    "reward_model": "reward.reward_model, reward.reward_manager or reward.num_workers",
    "sandbox_fusion": "reward.sandbox_fusion",
}

# Keys that only verl's code before V1 reads, or none: key, verl's default, what to do instead.
UNREAD: tuple[tuple[str, Any, str], ...] = (
    ("actor_rollout_ref.actor.grad_clip", 1.0, "set actor_rollout_ref.actor.optim.clip_grad"),
    ("actor_rollout_ref.actor.freeze_vision_tower", False, "verl 0.9.1 trains the vision tower; leave it false"),
    ("actor_rollout_ref.actor.use_prefix_grouper", False, "leave it false"),
    ("actor_rollout_ref.rollout.over_sample_rate", 0, "leave it 0"),
    ("actor_rollout_ref.rollout.multi_turn.num_repeat_rollouts", None, "set actor_rollout_ref.rollout.n"),
    ("algorithm.use_pf_ppo", False, "leave it false"),
    ("trainer.esi_redundant_time", 0, "leave it 0, and save as often as a stop may cost (trainer.save_freq)"),
)

_CORRECTION = ("rollout_is", "rollout_is_threshold", "rollout_is_batch_normalize", "rollout_rs", "rollout_rs_threshold")

_OF_KL_IN_REWARD = (
    ("kl_penalty", "kl"),
    ("kl_ctrl.type", "fixed"),
    ("kl_ctrl.kl_coef", 0.001),
    ("kl_ctrl.horizon", 10_000),
    ("kl_ctrl.target_kl", 0.1),
)
_NO_KL_IN_REWARD = (
    "it would do nothing, as rewards have no KL; the KL loss has keys of its own, actor_rollout_ref.actor.kl_loss_type "
    "and kl_loss_coef"
)

# Settings of verl that ZPPO's step relies on: key, the value it needs, why.
REQUIRED: tuple[tuple[str, Any, str], ...] = (
    ("trainer.use_v1", True, "ZPPO is a trainer of verl's V1"),
    ("trainer.v1.trainer_mode", "zppo", "another mode runs another trainer, and the zppo node would be ignored"),
    (
        "algorithm.adv_estimator",
        "zppo",
        "the two-step estimator of Eqs. 2 to 6; choose its form by zppo.advantage_norm",
    ),
    (
        "algorithm.norm_adv_by_std_in_grpo",
        True,
        "ZPPO's estimator never reads it; zppo.advantage_norm=none leaves the deviation out",
    ),
    (
        "algorithm.use_kl_in_reward",
        False,
        "less a divergence a reward is no longer 0 or 1, and groups that are all wrong would teach; the KL of "
        "actor_rollout_ref.actor.use_kl_loss=true leaves rewards alone",
    ),
    ("algorithm.filter_groups.enable", False, "dropped groups would miss in the accuracies that decide on hardness"),
    ("distillation.enabled", False, "it replaces the loss; the teacher of ZPPO is configured at zppo.teacher"),
    ("actor_rollout_ref.hybrid_engine", True, "rollout and update share the student's accelerators"),
    ("actor_rollout_ref.actor.ppo_epochs", 1, "a step has no second epoch; set zppo.updates_per_step instead"),
    ("actor_rollout_ref.actor.shuffle", False, "mini-batches are drawn anew in each step, whatever it says"),
    ("actor_rollout_ref.actor.data_loader_seed", 42, "it would do nothing: mini-batches follow zppo.seed, set that"),
    ("trainer.v1.sampler.sync_refill_failed_groups", False, "ZPPO counts and reports failed groups itself"),
    ("actor_rollout_ref.actor.checkpoint.async_save", False, "a checkpoint would be published before it is written"),
    ("actor_rollout_ref.rollout.do_sample", True, "verl's V1 samples whatever it says; val_kwargs.do_sample is read"),
    (
        "actor_rollout_ref.rollout.multi_turn.enable",
        False,
        "verl's V1 never reads it; rollout.agent.default_agent_loop or a column agent_name choose the agent loop",
    ),
    ("trainer.critic_warmup", 0, "there is no critic, and the student learns from the first step on"),
    ("data.reward_fn_key", "data_source", "verl's V1 never reads it; name the column by data.columns.data_source"),
    ("data.return_raw_chat", True, "reformulated prompts are built from chat messages"),
)


def check_settings(config: DictConfig) -> None:
    """Legacy keys that do nothing, and settings under which ZPPO's step would not be what it says."""
    for node, instead in LEGACY.items():
        for key in _set_leaves(config.get(node), node):
            raise ConfigError(f"{key}: verl's V1 trainer ignores this key; set {instead}")
    for key, default, instead in UNREAD:
        if (value := OmegaConf.select(config, key, default=default)) != default:
            raise ConfigError(f"{key}: {as_yaml(value)} would do nothing: verl's V1 trainer never reads it; {instead}")
    for key, needed, why in REQUIRED:
        value = OmegaConf.select(config, key)
        if value != needed:
            shown, wanted = as_yaml(value), as_yaml(needed)
            raise ConfigError(f"{key}: must be {wanted}, got {shown}: {why}")
    for key, default in _OF_KL_IN_REWARD:
        if (value := OmegaConf.select(config, f"algorithm.{key}")) not in (default, 0):  # 0 says what is so
            shown, wanted = as_yaml(value), as_yaml(default)
            raise ConfigError(f"algorithm.{key}: must be {wanted}, got {shown}: {_NO_KL_IN_REWARD}")
    _check_correction(config)
    for name in ("prompt", "response"):
        own, length = config.actor_rollout_ref.rollout[f"{name}_length"], config.data[f"max_{name}_length"]
        if own != length:
            raise ConfigError(
                f"actor_rollout_ref.rollout.{name}_length: {own} is not data.max_{name}_length={length}, by which all "
                "else goes; leave it, and set that"
            )
    if config.trainer.get("val_only") and not config.trainer.val_before_train:
        raise ConfigError("trainer.val_only: verl would train; it validates only with trainer.val_before_train=true")
    manager = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
    if not OmegaConf.select(config, manager):
        raise ConfigError(f"{manager}: must be set; without it verl's own manager would run, and no reformulation")


def _check_correction(config: DictConfig) -> None:
    """Importance weights and rejection that would reach no loss (findings/verl_bypass_mode_corrects_nothing.sh), and
    those that verl can't make, which it says after the first rollouts.
    """
    correction = config.algorithm.get("rollout_correction") or {}
    why, sampled = None, config.actor_rollout_ref.rollout.calculate_log_probs
    if OmegaConf.select(config, "zppo.distillation.mode", default="none") != "none":
        why = "a divergence to the teacher has no importance ratio; leave it null"
    elif correction.get("bypass_mode"):
        why = "with bypass_mode verl's V1 trainer never gives it to the actor; set bypass_mode to false"
    elif not sampled:
        why = "it compares with the log-probs of sampling; set actor_rollout_ref.rollout.calculate_log_probs=true"
    for name in ("rollout_is", "rollout_rs"):
        if why is not None and (value := correction.get(name)) is not None:
            raise ConfigError(f"algorithm.rollout_correction.{name}: {as_yaml(value)} would do nothing: {why}")
    if (loss := correction.get("loss_type", "ppo_clip")) != "ppo_clip":
        raise ConfigError(
            f"algorithm.rollout_correction.loss_type: {as_yaml(loss)} would do nothing: verl's V1 trainer never gives "
            "it to the actor; leave it ppo_clip"
        )
    if correction.get("bypass_mode") and not sampled:
        raise ConfigError(
            "algorithm.rollout_correction.bypass_mode: it learns from the log-probs of sampling; set "
            "actor_rollout_ref.rollout.calculate_log_probs=true"
        )
    one = torch.ones(1, 1)
    try:
        correct_rollouts(one, one, one, **{name: correction.get(name) for name in _CORRECTION if name in correction})
    except (ValueError, TypeError, AssertionError) as error:
        raise ConfigError(f"algorithm.rollout_correction: verl does not accept it: {first_line(error)}") from error


def _set_leaves(node: Any, path: str) -> list[str]:
    """Dotted keys below `node` that hold a value."""
    if isinstance(node, Mapping | DictConfig):
        return [leaf for key in node for leaf in _set_leaves(node[key], f"{path}.{key}")]
    return [path] if node is not None else []


def as_yaml(value: Any) -> str:
    """A value as a user writes it on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)
