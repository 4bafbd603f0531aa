"""What one process does not do, though verl's stack does, and what it would pass over without a word."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.borrowed import BY_TOKEN
from recipe.zppo.preflight.agent_loop import COLUMN, named_loops
from recipe.zppo.preflight.models import model_config
from recipe.zppo.preflight.verl_keys import as_yaml

ACTOR, CORRECTION = "actor_rollout_ref.actor", "algorithm.rollout_correction"
_LOSS = "has the paper's loss only"
_RATE = "has a constant learning rate only, as the paper"
_ON_POLICY = "takes the log-probs of sampling for those of the policy before the update, so there is nothing to correct"
_ONE_TURN = "asks one question and takes one answer"
_ONE_ANSWER = "single_turn_agent"
"""verl's name of the loop that does so."""
_OWN_LOADING = "loads models by itself, without verl's engine"

NEEDED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    f"{ACTOR}.loss_agg_mode": (("token-mean",), _LOSS),
    f"{ACTOR}.policy_loss.loss_mode": (
        BY_TOKEN,
        "has losses only that look at each token by itself",
    ),
    f"{ACTOR}.use_kl_loss": ((False,), _LOSS),
    f"{ACTOR}.entropy_coeff": ((0,), _LOSS),
    "algorithm.use_kl_in_reward": ((False,), "has no reference model"),
    f"{CORRECTION}.rollout_is": ((None,), _ON_POLICY),
    f"{CORRECTION}.rollout_rs": ((None,), _ON_POLICY),
    f"{ACTOR}.optim.lr_scheduler_type": (("constant",), _RATE),
    f"{ACTOR}.optim.lr_warmup_steps": ((-1, 0, None), _RATE),
    f"{ACTOR}.optim.lr_warmup_steps_ratio": ((0, None), _RATE),
    "actor_rollout_ref.model.lora_rank": ((0,), "trains all weights"),
    "actor_rollout_ref.model.override_config.attn_implementation": (("sdpa", None), _OWN_LOADING),
    "actor_rollout_ref.model.external_lib": ((None,), _OWN_LOADING),
    "actor_rollout_ref.rollout.multi_turn.enable": ((False,), _ONE_TURN),
    "actor_rollout_ref.rollout.agent.default_agent_loop": ((None, _ONE_ANSWER), _ONE_TURN),
    "reward.reward_manager.name": (("naive",), "calls the reward function by itself, without verl's reward managers"),
    "trainer.resume_mode": (("auto", "disable"), "goes on from trainer.default_local_dir only"),
    "trainer.rollout_data_dir": ((None,), "writes rollouts to zppo.logging.rollouts_dir only"),
    "trainer.validation_data_dir": ((None,), "writes no responses of a validation"),
    "trainer.log_val_generations": ((0,), "writes no responses of a validation"),
}
"""Keys of verl's that one process does not look at, or can't fulfil: the values that it takes, and why."""


def check_supported(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: a key asks for something that this back end does not do.
    """
    for key, (values, why) in NEEDED.items():
        if (value := OmegaConf.select(config, key)) not in values:
            wanted = " or ".join(map(as_yaml, values))
            raise ConfigError(
                f"{key}: recipe.zppo.local {why}, got {as_yaml(value)}; set {wanted}, or use verl.trainer.main_zppo"
            )
    own = set(config.actor_rollout_ref.model.get("override_config") or {}) - {"attn_implementation"}
    if own:
        raise ConfigError(
            f"actor_rollout_ref.model.override_config.{min(own)}: recipe.zppo.local {_OWN_LOADING}, so it would do "
            "nothing; write it into the model's config.json, or use verl.trainer.main_zppo"
        )


def check_rows(config: DictConfig) -> None:
    """The data files can be read.

    Raises:
        ConfigError: a row, of training or validation, asks for an agent loop.
    """
    for key in ("train_files", "val_files"):
        for file, names in named_loops(config.data, key):
            others = [row for row, name in enumerate(names) if name and name != _ONE_ANSWER]
            if others:
                raise ConfigError(
                    f"data.{key}: {file} row {others[0]}: {COLUMN}={names[others[0]]}: recipe.zppo.local {_ONE_TURN}; "
                    f"{len(others)} such row(s) in all; leave the column out, or use verl.trainer.main_zppo"
                )


def check_text_models(config: DictConfig) -> None:
    """Before any is loaded. The configuration is sound.

    Raises:
        ConfigError: student or teacher takes images.
    """
    zppo = validate_zppo(config.zppo)
    paths = [("actor_rollout_ref.model.path", str(config.actor_rollout_ref.model.path))]
    paths += [("zppo.teacher.path", path) for path in zppo.placed_teachers]
    for key, path in paths:
        if "vision_config" in model_config(path):
            raise ConfigError(
                f"{key}: {path} takes images, and recipe.zppo.local is for text; give a model of text, or use "
                "verl.trainer.main_zppo"
            )
