from pathlib import Path

import pytest

from recipe.zppo.config.schema import DistillationConfig, ReformulationConfig, TeacherConfig, ZPPOConfig
from tests.view.synthetic_run import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return write_run(tmp_path_factory.mktemp("run") / "finished")


@pytest.fixture(scope="session")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose teacher died at step 4 and that was killed after step 7 of 40. Not to be written to."""
    return write_run(tmp_path_factory.mktemp("run") / "broken", steps=7, total_steps=40, teacher_dies_at=4)


@pytest.fixture(scope="session")
def hint_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hints beside NCQ, two teachers, dynamic sampling. Not to be written to."""
    config = ZPPOConfig(
        dynamic_sampling=True,
        reformulation=ReformulationConfig(bcq=False, hint=True),
        teacher=TeacherConfig(path="first", more=["second"]),
    )
    return write_run(tmp_path_factory.mktemp("run") / "helped", config=config)


@pytest.fixture(scope="session")
def prefix_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefixes alone. Not to be written to."""
    config = ZPPOConfig(reformulation=ReformulationConfig(bcq=False, ncq=False, prefix=True))
    return write_run(tmp_path_factory.mktemp("run") / "begun", config=config)


@pytest.fixture(scope="session")
def distilled_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Off-policy distillation. Not to be written to."""
    config = ZPPOConfig(distillation=DistillationConfig(mode="off_policy"))
    return write_run(tmp_path_factory.mktemp("run") / "distilled", config=config)
