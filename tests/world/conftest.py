from dataclasses import replace

import pytest
from rich.console import Console

from recipe.zppo.world import WorldPaths, WorldSettings, build_world
from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.tokenizer import build_tokenizer

MINIATURE = replace(WorldSettings.miniature(), measured_questions=2)


@pytest.fixture(scope="session")
def settings() -> WorldSettings:
    return WorldSettings()


@pytest.fixture(scope="session")
def price_list(settings) -> PriceList:
    return PriceList.draw(settings)


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def mini_world(tmp_path_factory) -> WorldPaths:
    """A world of three pre-training steps. Shared: tests must not change it."""
    path = tmp_path_factory.mktemp("world") / "mini"
    return build_world(path, settings=MINIATURE, console=Console(quiet=True))
