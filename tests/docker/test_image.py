"""The image's recipe, as far as it can be checked without building it."""

import itertools
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .dockerfile import copied, is_ignored, read_stages

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(path for path in (ROOT / "docker").glob("Dockerfile*"))
STAGES = {stage.name: stage for file in DOCKERFILES for stage in read_stages(file)}
IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.strip() and not line.startswith("#")
]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", key).lower(): version for key, version in pairs}


def extras() -> dict[str, list[str]]:
    """Requirements that pyproject.toml states, by extra; "" are those of every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def pip_commands() -> list[list[str]]:
    runs = [rest for stage in STAGES.values() for rest in stage.all("RUN")]
    commands = [part.strip() for rest in runs for part in re.sub(r"--mount=\S+", "", rest).split("&&")]
    return [shlex.split(command) for command in commands if command.startswith("pip ")]


def test_a_linter_finds_nothing():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint, "hadolint is among the development tools: pip install '.[dev]'"
    assert DOCKERFILES
    done = subprocess.run([hadolint, *map(str, DOCKERFILES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_both_images_are_there():
    assert {"fsdp", "megatron"} <= STAGES.keys()
    assert STAGES["final"].base == "${FLAVOUR}"
    assert "FLAVOUR=fsdp" in STAGES[""].all("ARG")


def test_versions_are_in_the_constraints_and_nowhere_else():
    known = pins("gpu.txt")
    for command in pip_commands():
        if command[1] == "uninstall" or command[-1].startswith(("/opt/wheels/", "/opt/open-zppo")):
            assert "--yes" in command or "--no-deps" in command
            continue
        assert ("-c", "constraints/gpu.txt") in itertools.pairwise(command)
        values = {"constraints/gpu.txt", "/opt/wheels"}
        packages = [word for word in command[2:] if not word.startswith("-") and word not in values]
        assert packages
        for package in packages:
            name = package.partition("[")[0]
            assert name == "." or name in known, package  # without a version: the constraints have it


def test_constraints_are_those_of_the_extras():
    from packaging.requirements import Requirement

    known, stated = pins("gpu.txt"), extras()
    for extra in ("", "gpu", "megatron"):
        for requirement in map(Requirement, stated[extra]):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            assert name in known, f"{requirement} of extra {extra!r} is not pinned"
            assert requirement.specifier.contains(known[name]), (str(requirement), known[name])


def test_constraints_are_verls_own():
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    known = pins("gpu.txt")
    differing = {}
    for text in requires("verl"):
        requirement = Requirement(text)
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", "vllm", "fsdp", "megatron", "cupy-cu130")
        ):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in known and not requirement.specifier.contains(known[name]):
            differing[name] = (str(requirement.specifier), known[name])
    # verl builds this one itself; the nearest that is published. No other difference.
    assert differing == {"megatron-bridge": ("==0.5.2", "0.5.1")}


def test_what_is_copied_exists_and_is_not_ignored():
    sources = [source for stage in STAGES.values() for source in copied(stage)]
    assert "." in sources
    for source in set(sources) - {"."}:
        assert (ROOT / source).is_file()
        assert not is_ignored(source, IGNORED), source
    for path in ("docker/entrypoint.sh", "recipe/zppo/config/schema.py", "verl/trainer/main_zppo.py", "README.md"):
        assert (ROOT / path).is_file()
        assert not is_ignored(path, IGNORED), path
    for path in (ROOT / "examples").rglob("*.sh"):
        assert not is_ignored(str(path.relative_to(ROOT)), IGNORED)


@pytest.mark.parametrize(
    "path", [".git/config", ".env", "outputs/run/model.pt", "recipe/zppo/__pycache__/a.pyc", "verl/x.pyc", "tests/a.py"]
)
def test_what_does_not_belong_in_an_image_stays_out(path):
    assert is_ignored(path, IGNORED)


def test_dependencies_come_before_the_source():
    final = [keyword for keyword, rest in STAGES["final"].instructions if keyword == "COPY" or "pip install" in rest]
    assert final == ["COPY", "RUN"]
    assert all("." not in copied(stage) for name, stage in STAGES.items() if name != "final")


def test_layers_carry_no_caches():
    for stage in STAGES.values():
        for run in stage.all("RUN"):
            if "apt-get" in run:
                assert "rm -rf /var/lib/apt/lists/*" in run
                assert "--no-install-recommends" in run
    for command in pip_commands():
        assert command[1] == "uninstall" or "--no-cache-dir" in command


def test_it_runs_as_nobody_in_particular():
    users = STAGES["final"].all("USER")
    assert users == ["10001"]
    after = [keyword for keyword, _ in STAGES["final"].instructions]
    assert after.index("USER") > max(i for i, keyword in enumerate(after) if keyword in ("RUN", "COPY"))
    assert "HOME=/home/zppo" in " ".join(STAGES["final"].all("ENV"))


def test_no_secret_enters_the_image():
    words = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)
    for stage in STAGES.values():
        for keyword in ("ARG", "ENV"):
            for rest in stage.all(keyword):
                names = [word.partition("=")[0] for word in rest.split() if "=" in word or keyword == "ARG"]
                assert not [name for name in names if words.search(name)]


def test_it_says_what_it_is():
    labels = " ".join(STAGES["final"].all("LABEL"))
    for name in ("title", "description", "licenses", "version"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert 'image.version="${VERSION}"' in labels
