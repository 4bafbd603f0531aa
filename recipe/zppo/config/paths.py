"""Where our files lie, found from this one: in a checkout, or in site-packages."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The folder that holds `recipe/` and `verl/`."""

CONFIG_DIR = ROOT / "verl" / "trainer" / "config"
"""The folder of zppo_trainer.yaml."""
