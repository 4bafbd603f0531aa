"""What verl itself says of a composed config."""

import traceback
import warnings

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that ZPPO has no critic
            reference, critic = need_reference_policy(config), need_critic(config)
            validate_config(config, use_reference_policy=reference, use_critic=critic)
    except Exception as error:
        # Hydra wraps what the constructor of a verl config raised.
        cause = error.__cause__ or error
        reason = first_line(cause) if str(cause) else traceback.extract_tb(cause.__traceback__)[-1].line
        raise ConfigError(f"verl does not accept the configuration: {reason}") from error
