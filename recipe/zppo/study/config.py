"""The study's own configuration: composed by Hydra, checked here, each mistake one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from recipe.zppo.config.engine import first_mistake
from recipe.zppo.errors import ConfigError
from recipe.zppo.study.keys import StudyConfig, check_known

CONFIG_DIR = Path(__file__).parent / "config"
_OPEN_GROUPS = ("rows.", "settings.")
"""Below these, keys may be added."""


def plans() -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / "plan").glob("*.yaml"))


def read_config(arguments: Sequence[str]) -> StudyConfig:
    """The study that the command line asks for. Raises `ConfigError`, one line that names the key."""
    try:
        return StudyConfig.model_validate(_compose(arguments))
    except ValidationError as error:
        raise ConfigError(first_mistake(error, StudyConfig)) from None


def _compose(arguments: Sequence[str]) -> dict[str, Any]:
    opened = []
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value")
        check_known(key.lstrip("+~").partition(".")[0], [*StudyConfig.model_fields, "plan"], "key")
        opened.append("++" + argument.lstrip("+") if key.startswith(_OPEN_GROUPS) else argument)
    try:
        with hydra.initialize_config_dir(config_dir=str(CONFIG_DIR), version_base=None):
            config = hydra.compose("study", overrides=opened)
        node = OmegaConf.to_container(config, resolve=True)
    except HydraException as error:
        raise ConfigError(hydra_message(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    if isinstance(node["rows"], dict):
        node["rows"] = {str(name): row for name, row in node["rows"].items()}
    return node


def hydra_message(error: Exception) -> str:
    """Hydra's complaint in one line: what it could not do, and the choices or the reason if it names them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0]
    if (start := next((i for i, line in enumerate(lines) if line.startswith("Available options")), None)) is not None:
        options = [line for line in lines[start + 1 :] if "=" not in line and not line.endswith(":")]
        text += f"; known: {', '.join(options)}"
    elif error.__cause__ is not None and str(error.__cause__):
        text += f" ({str(error.__cause__).splitlines()[0].strip()})"
    return text
