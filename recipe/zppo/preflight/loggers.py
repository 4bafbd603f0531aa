"""Names in `trainer.logger`, and the packages that they need."""

from importlib.util import find_spec

from omegaconf import DictConfig, ListConfig

from recipe.zppo.config.engine import did_you_mean, shown
from recipe.zppo.errors import ConfigError

PACKAGES = {
    "console": "",
    "file": "",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "trackio": "trackio",
    "swanlab": "swanlab",
    "clearml": "clearml",
    "vemlp_wandb": "volcengine_ml_platform",
    "rl_insight": "rl_insight",
}
"""verl's loggers, with the module that each imports."""


def check_loggers(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: it is no name and no list of names; verl has no logger of that name; its package is missing.
    """
    chosen = config.trainer.logger
    if not isinstance(chosen, str | ListConfig | list):
        raise ConfigError(f"trainer.logger: expected a name or a list of names, got {shown(chosen)}; [] for none")
    for name in [chosen] if isinstance(chosen, str) else chosen:
        if name not in PACKAGES:
            raise ConfigError(f"trainer.logger: verl has no logger {name}; {did_you_mean(name, PACKAGES)}")
        if (module := PACKAGES[name]) and find_spec(module) is None:
            package = module.replace("_", "-")
            raise ConfigError(f"trainer.logger: {name} needs {package}, which is not installed: pip install {package}")
