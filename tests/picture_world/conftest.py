import pytest

from recipe.zppo.picture_world.processor import build_tokenizer
from recipe.zppo.picture_world.questions import Names
from recipe.zppo.picture_world.settings import PictureWorldSettings


@pytest.fixture(scope="session")
def settings() -> PictureWorldSettings:
    return PictureWorldSettings()


@pytest.fixture(scope="session")
def names(settings) -> Names:
    return Names.draw(settings)


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()
