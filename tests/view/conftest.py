from pathlib import Path

import pytest

from tests.view.synthetic_run import write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return write_run(tmp_path_factory.mktemp("run") / "finished")


@pytest.fixture(scope="session")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose teacher died at step 4 and that was killed after step 7 of 40. Not to be written to."""
    return write_run(tmp_path_factory.mktemp("run") / "broken", steps=7, total_steps=40, teacher_dies_at=4)
