"""What the wheel ships, beside what verl ships."""

import configparser
import re
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from .conftest import ROOT


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_no_path_of_verl_is_shipped(names: set[str]) -> None:
    ours = {name for name in names if ".dist-info/" not in name}
    verls = {str(file) for file in distribution("verl").files}
    assert "verl/trainer/main_ppo.py" in verls
    assert not ours & verls
    assert not [name for name in ours if name.startswith("verl/") and name.endswith("__init__.py")]
    assert {name.split("/")[0] for name in ours} == {"recipe", "verl"}


def test_recipe_stays_a_namespace(names: set[str]) -> None:
    assert "recipe/__init__.py" not in names
    assert {name.split("/")[1] for name in names if name.startswith("recipe/")} == {"after_import", "cpu", "zppo"}


def test_every_file_of_ours_is_shipped(names: set[str], source: Path) -> None:
    ours = [path for top in ("recipe", "verl") for path in (source / top).rglob("*")]
    endings, others = (".py", ".yaml", ".csv"), ("py.typed", "REQUIRED_VERL.txt")
    kept = [path for path in ours if path.suffix in endings or path.name in others]
    missing = {str(path.relative_to(source)) for path in kept} - names
    assert kept and not missing


def test_metadata(wheel: Path, names: set[str]) -> None:
    content = {name.split("/")[-1]: name for name in names if ".dist-info/" in name}
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(content["METADATA"]).decode()
    required = (ROOT / "recipe" / "zppo" / "REQUIRED_VERL.txt").read_text().strip()
    assert f"Requires-Dist: {required}\n" in metadata
    assert "License-Expression: Apache-2.0" in metadata or "License: Apache-2.0" in metadata
    assert re.search(r"^Requires-Python: (>=3\.11,<3\.13|<3\.13,>=3\.11)$", metadata, re.M)
    assert {"cpu", "gpu", "megatron", "dev"} <= set(re.findall(r"^Provides-Extra: (.*)$", metadata, re.M))
    entry_points = configparser.ConfigParser()
    entry_points.read_string(archive.read(content["entry_points.txt"]).decode())
    assert dict(entry_points["verl.plugins"]) == {"zppo": "recipe.zppo.plugin"}


def test_constraints_pin_every_requirement_and_name_no_host() -> None:
    required = {re.split(r"[<>=!;\[ ]", line)[0] for line in distribution("open-zppo").requires if "extra" not in line}
    for version in ("py311", "py312"):
        text = (ROOT / "constraints" / f"cpu-{version}.txt").read_text()
        pinned = {line.split("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line}
        assert not {name.lower().replace("_", "-") for name in required} - pinned
        assert "://" not in text
    assert "://" not in (ROOT / "constraints" / "gpu.txt").read_text()
