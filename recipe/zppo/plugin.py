"""Entry point of the group `verl.plugins`: verl imports this module in every process that imports verl.

It makes our files below `verl/` importable where they do not lie inside verl's own folder (editable install, plain
checkout), registers CPU support, and arranges for changes to verl. In the driver and in Ray workers alike this runs at
the end of `import verl`, so it stays light. verl logs an exception of a plug-in at DEBUG only: it is printed here, and
never breaks `import verl`.
"""

import importlib.util
import sys
import traceback
from pathlib import Path

from recipe.zppo.config.paths import ROOT

# Packages of verl that we add files to.
EXTENDED = ("verl.trainer", "verl.trainer.config")


def extend_verl(root: Path = ROOT) -> None:
    """Let verl's packages find the modules below `root/verl`, before copies from anywhere else.

    First place, so that the modules always are of the same version as this file: with a wheel installed and a checkout
    as the working directory, `recipe` comes from the checkout, and so must `verl.trainer.main_zppo`.
    """
    for name in EXTENDED:
        folder = root.joinpath(*name.split("."))
        package = importlib.import_module(name)
        places = [Path(place).resolve() for place in package.__path__]
        if folder.is_dir() and folder not in places:
            package.__path__.insert(0, str(folder))


def register_cpu() -> None:
    """Register the CPU platform, engines and rollout, where `recipe.cpu` is installed."""
    if importlib.util.find_spec("recipe.cpu") is not None:
        importlib.import_module("recipe.cpu").register()


def patch_verl() -> None:
    """Arrange for what has to be changed in verl, once the module that it belongs to is imported."""
    importlib.import_module("recipe.zppo.on_verl.patches").apply_when_imported()


def load() -> None:
    """Run every step; a failing one is reported on stderr and leaves verl usable."""
    for step in (extend_verl, register_cpu, patch_verl):
        try:
            step()
        except Exception:
            print(f"open-zppo: the verl plug-in failed in {step.__name__}; ZPPO will not run:", file=sys.stderr)
            traceback.print_exc()


load()
