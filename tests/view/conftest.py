from collections.abc import Callable
from pathlib import Path

import pytest

from recipe.zppo.config.method_keys import DistillationConfig, ReformulationConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.teacher_keys import TeacherConfig
from tests.view.synthetic_run import write_run


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Runs of a session; not to be written to. Keywords are those of `write_run`."""
    return lambda name, **options: write_run(tmp_path_factory.mktemp("run") / name, **options)


@pytest.fixture(scope="session")
def finished_run(written) -> Path:
    return written("finished")


@pytest.fixture(scope="session")
def broken_run(written) -> Path:
    """A run whose teacher died at step 4 and that was killed after step 7 of 40."""
    return written("broken", steps=7, total_steps=40, teacher_dies_at=4)


@pytest.fixture(scope="session")
def hint_run(written) -> Path:
    """Hints beside NCQ, two teachers, dynamic sampling."""
    kinds, teacher = ReformulationConfig(bcq=False, hint=True), TeacherConfig(path="first", more=["second"])
    return written("helped", config=ZPPOConfig(dynamic_sampling=True, reformulation=kinds, teacher=teacher))


@pytest.fixture(scope="session")
def prefix_run(written) -> Path:
    """Prefixes alone."""
    kinds = ReformulationConfig(bcq=False, ncq=False, prefix=True)
    return written("begun", config=ZPPOConfig(reformulation=kinds))


@pytest.fixture(scope="session")
def distilled_run(written) -> Path:
    """Off-policy distillation."""
    return written("distilled", config=ZPPOConfig(distillation=DistillationConfig(mode="off_policy")))
