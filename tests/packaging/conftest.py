"""A wheel built from this tree, and folders that look like the ways in which users have us installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(sysconfig.get_path("purelib"))
# Of an extra: scikit-learn, which transformers imports where it is (tests/without_extras).
LEFT_OUT = ("open_zppo", "__editable__", "recipe", "__pycache__", "sklearn", "scikit_learn")
SHIPPED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "recipe", "verl", "checkout.egg-info")


def copy_checkout(to: Path) -> Path:
    """A checkout without its history."""
    to.mkdir(parents=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / name)
    return to


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("source") / "repo")


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*wheel, "-w", str(out), "."], cwd=source, check=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This environment's packages without ours, as links; verl is a copy, so that files can be put beside it."""
    folder = tmp_path_factory.mktemp("dependencies")
    for entry in SITE.iterdir():
        if entry.name == "verl":
            shutil.copytree(entry, folder / "verl")
        elif not entry.name.startswith(LEFT_OUT) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def bare_python(dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has verl and everything else, but not us."""
    return _environment(tmp_path_factory.mktemp("bare"), dependencies)


@pytest.fixture(scope="session")
def installed_python(wheel: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with our wheel installed beside verl."""
    packages = tmp_path_factory.mktemp("packages") / "site"
    shutil.copytree(dependencies, packages, symlinks=True)
    shutil.unpack_archive(wheel, packages, format="zip")
    return _environment(tmp_path_factory.mktemp("installed"), packages)


def _environment(folder: Path, packages: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    return folder / "bin" / "python"


def run_python(python: Path, cwd: Path, *arguments: str, timeout: int = 120) -> str:
    """What `python arguments...` prints in `cwd`, without this process's own search path."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [str(python), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
