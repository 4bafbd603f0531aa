"""Where our files lie, found from this one: in a checkout, or in site-packages."""

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The folder that holds `recipe/` and `verl/`."""

CONFIG_DIR = ROOT / "verl" / "trainer" / "config"
"""The folder of zppo_trainer.yaml."""


def verl_config_dir() -> Path:
    """The folder of verl's ppo_trainer.yaml; verl is not imported for it, which takes seconds."""
    spec = find_spec("verl")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("verl is not installed")
    return Path(spec.origin).parent / "trainer" / "config"
