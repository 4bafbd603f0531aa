"""A logger that verl does not have, or whose package is missing, is named before the start."""

from importlib.util import find_spec

import pytest
from verl.utils.tracking import Tracking

from recipe.zppo.preflight.loggers import PACKAGES
from tests.runnable import Run


def test_the_names_are_verls() -> None:
    assert set(PACKAGES) == set(Tracking.supported_backend)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("[console,tensorbord]", "verl has no logger tensorbord; did you mean tensorboard?"),
        ("wandbe", "verl has no logger wandbe; did you mean wandb?"),
        ("3", "expected a name or a list of names, got 3; [] for none"),
        ("null", "expected a name or a list of names, got None; [] for none"),
    ],
)
def test_a_misspelt_logger(run: Run, chosen: str, message: str) -> None:
    assert run.refused(f"trainer.logger={chosen}") == f"trainer.logger: {message}"
    run.check("trainer.logger=console")
    run.check("trainer.logger=[]")


@pytest.mark.skipif(find_spec("swanlab") is not None, reason="swanlab is installed")
def test_a_logger_that_is_not_installed(run: Run) -> None:
    message = run.refused("trainer.logger=[console,swanlab]")
    assert message == "trainer.logger: swanlab needs swanlab, which is not installed: pip install swanlab"
