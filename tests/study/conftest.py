import copy
import csv
import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from recipe.zppo.study import plan
from recipe.zppo.study.__main__ import main

FAKE = "tests.study.fake_backend:FakeBackend"


@pytest.fixture(scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that put tiny files in the place of a world; the fake backend does not read them."""
    folder = tmp_path_factory.mktemp("own data")
    for name, rows in (("train", 160), ("val", 4), ("shifted", 2)):
        pd.DataFrame({"data_source": ["price_list"] * rows, "x": range(rows)}).to_parquet(folder / f"{name}.parquet")
    files = [f"own.{name}='{folder / name}.parquet'" for name in ("train", "val", "shifted")]
    return ["worlds=null", f"own.model='{folder}'", f"own.teacher='{folder}'", *files]


@pytest.fixture
def fake_arguments(own_data: list[str], tmp_path: Path) -> list[str]:
    """Two rows, two seeds, four steps, one worker."""
    return [*own_data, "plan=pair", "seeds=[0,1]", "steps=4", f"backend={FAKE}", "jobs=1", f"out={tmp_path / 'out'}"]


@pytest.fixture(scope="session")
def composed() -> Callable:
    """Composing takes Hydra a second: done once for all studies."""
    compose = functools.cache(plan.compose)
    return lambda overrides: copy.deepcopy(compose(tuple(overrides)))


@pytest.fixture
def study(
    fake_arguments: list[str], composed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Path]]:
    """Runs a study in this process (its workers are processes); gives exit status and folder."""
    monkeypatch.setattr(plan, "compose", composed)

    def run(*arguments: str) -> tuple[int, Path]:
        return main([*fake_arguments, *arguments]), tmp_path / "out"

    return run


def attempts(out: Path) -> dict[str, int]:
    """How often each run was begun, by its name without hash."""
    return {
        path.parent.name.rpartition("-")[0]: len(path.read_text().splitlines()) for path in out.glob("runs/*/attempts")
    }


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
