"""Settings of the policy loss: that verl has such a loss, and that this loss looks at what is set."""

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.borrowed import get_policy_loss_fn
from recipe.zppo.preflight.verl_keys import as_yaml

ACTOR = "actor_rollout_ref.actor"
MODE = "policy_loss.loss_mode"

_BOUNDS = ("clip_ratio", "clip_ratio_low", "clip_ratio_high")

READS: dict[str, tuple[str, ...]] = {
    "vanilla": (*_BOUNDS, "clip_ratio_c"),
    "dppo_tv": (*_BOUNDS, "clip_ratio_c"),
    "dppo_kl": (*_BOUNDS, "clip_ratio_c"),
    "gspo": _BOUNDS,
    "cispo": _BOUNDS,
    "clip_cov": (*_BOUNDS, "policy_loss.clip_cov_ratio", "policy_loss.clip_cov_lb", "policy_loss.clip_cov_ub"),
    "kl_cov": ("policy_loss.kl_cov_ratio", "policy_loss.ppo_kl_coef"),
    "sapo": ("tau_pos", "tau_neg"),
    "gpg": (),
    "dro": ("policy_loss.dro_beta",),
}
"""verl's losses, and which keys of `DEFAULTS` each reads. Not `bypass_mode`: V1 hands it none of its settings.
Nor `geo_mean` (findings/verl_geo_mean_grows_with_micro_batches.sh)."""

DEFAULTS: dict[str, float | None] = {
    "clip_ratio": 0.2,
    "clip_ratio_low": 0.2,
    "clip_ratio_high": 0.28,
    "clip_ratio_c": 10.0,
    "tau_pos": 1.0,
    "tau_neg": 1.05,
    "policy_loss.clip_cov_ratio": 0.0002,
    "policy_loss.clip_cov_lb": 1.0,
    "policy_loss.clip_cov_ub": 5.0,
    "policy_loss.kl_cov_ratio": 0.0002,
    "policy_loss.ppo_kl_coef": 0.1,
    "policy_loss.dro_beta": None,
}
"""Keys below `actor_rollout_ref.actor` that some of the losses read, with their values where nobody sets them."""


def check_policy_loss(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: verl has no such loss, it lacks a setting, or a setting would do nothing.
    """
    actor, mode = config.actor_rollout_ref.actor, OmegaConf.select(config, f"{ACTOR}.{MODE}")
    distills = OmegaConf.select(config, "zppo.distillation.mode", default="none")
    reads: tuple[str, ...] = ()
    if distills != "none":
        if mode != "vanilla":
            raise ConfigError(
                f"{ACTOR}.{MODE}: {mode} would do nothing with zppo.distillation.mode={distills}, whose divergence is "
                "the whole loss; leave it vanilla"
            )
        why = f"zppo.distillation.mode={distills} has a divergence for its loss"
    elif mode == "geo_mean":
        raise ConfigError(
            f"{ACTOR}.{MODE}: verl adds up geo_mean's means over micro-batches, so its gradient would follow from how "
            "an update is split for memory; choose another, such as gspo, or register a loss of your own"
        )
    elif mode in READS:
        reads, why = READS[mode], f"the loss {mode} never reads it"
    elif _is_a_users(mode, config):
        return
    else:
        raise ConfigError(f"{ACTOR}.{MODE}: {mode} is not one of {', '.join(READS)}")
    for key, default in DEFAULTS.items():
        value = OmegaConf.select(actor, key)
        if key not in reads and value is not None and value != default:
            raise ConfigError(
                f"{ACTOR}.{key}: {as_yaml(value)} would do nothing: {why}; leave it {as_yaml(default)}"
                + (f", or choose another {MODE}" if distills == "none" else "")
            )
    _check_bounds(actor)
    if mode == "dro" and not (actor.policy_loss.dro_beta or 0) > 0:
        raise ConfigError(f"{ACTOR}.policy_loss.dro_beta: the loss dro needs a number greater than 0; set it")


def _is_a_users(mode: str, config: DictConfig) -> bool:
    """A loss that a user has registered: in this process already, or by a package that only workers import."""
    if mode == "bypass_mode":
        return False
    try:
        get_policy_loss_fn(mode)
    except ValueError:
        return bool(config.actor_rollout_ref.model.get("external_lib"))
    return True


def _check_bounds(actor: DictConfig) -> None:
    """verl's losses take `clip_ratio` for a bound that is null, and none of ours is."""
    bounds = {name: actor[name] for name in _BOUNDS[1:]}
    if actor.clip_ratio != DEFAULTS["clip_ratio"] and None not in bounds.values():
        beside = " and ".join(f"{name}={value}" for name, value in bounds.items())
        raise ConfigError(
            f"{ACTOR}.clip_ratio: {actor.clip_ratio} would do nothing beside {beside}; set those, or both to null"
        )
