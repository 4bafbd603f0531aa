"""What verl itself says of a composed config."""

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError, first_line


def check_with_verl(config: DictConfig) -> None:
    """verl's own checks; sets `trainer.device` to the accelerator at hand, as verl does."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config
    from verl.utils.device import auto_set_device

    auto_set_device(config)
    try:
        OmegaConf.to_container(config, resolve=True)
        validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    except Exception as error:
        # Hydra wraps what the constructor of a verl config raised.
        reason = first_line(error.__cause__ or error)
        raise ConfigError(f"verl does not accept the configuration: {reason}") from error
