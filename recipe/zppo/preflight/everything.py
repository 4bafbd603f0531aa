"""All checks of a run, in one call."""

from omegaconf import DictConfig


def check(config: DictConfig) -> None:
    """Our checks, then verl's own, then what is installed, all of them as ConfigError."""
    from recipe.zppo.on_verl.config_check import check_with_verl
    from recipe.zppo.preflight.packages import check_packages
    from recipe.zppo.preflight.settings import check_config

    check_config(config)
    check_with_verl(config)
    check_packages(config)
