"""The image's recipe, as far as it can be checked without building it; `make lint` runs hadolint on it."""

import re
import shlex
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
# Without comments, continuation lines joined.
DOCKERFILE = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", (ROOT / "docker/Dockerfile").read_text(), flags=re.M))


def reaches_the_image(path: str) -> bool:
    """Of the patterns of .dockerignore the last that matches the path, or a folder above it, decides."""
    above = [path, *map(str, PurePosixPath(path).parents)]
    kept = True
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if any(fnmatchcase(part, pattern.removeprefix("!")) for part in above):
            kept = pattern.startswith("!")
    return kept


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", key).lower(): version for key, version in pairs}


def extras() -> dict[str, list[str]]:
    """Requirements that pyproject.toml states, by extra; "" are those of every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def test_versions_are_in_the_constraints_and_nowhere_else():
    known, values = pins("gpu.txt"), {"constraints/gpu.txt", "/opt/wheels"}
    commands = [shlex.split(command) for command in re.findall(r"pip (?:install|wheel) [^&\n]*", DOCKERFILE)]
    assert commands
    for command in commands:
        packages = [word for word in command[2:] if not word.startswith("-") and word not in values]
        if packages[0].startswith(("/opt/wheels/", "/opt/open-zppo")):
            assert "--no-deps" in command
            continue
        assert "-c constraints/gpu.txt" in " ".join(command)
        for name in (package.partition("[")[0] for package in packages):
            assert name == "." or name in known, name  # without a version: the constraints have it


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


def test_what_is_copied_exists_and_reaches_the_image():
    sources = " ".join(re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.M)).split()
    assert "." in sources
    needed = {"docker/entrypoint.sh", "recipe/zppo/config/schema.py", "verl/trainer/main_zppo.py", "README.md"}
    scripts = {str(path.relative_to(ROOT)) for path in (ROOT / "examples").rglob("*.sh")}
    for path in {*sources} - {"."} | needed | scripts:
        assert (ROOT / path).is_file() and reaches_the_image(path), path


@pytest.mark.parametrize(
    "path", [".git/config", ".env", "outputs/run/model.pt", "recipe/zppo/__pycache__/a.pyc", "verl/x.pyc", "tests/a.py"]
)
def test_what_does_not_belong_in_an_image_stays_out(path):
    assert not reaches_the_image(path)


def test_it_runs_as_nobody_in_particular_and_no_secret_enters():
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.M) == ["10001"]
    assert not re.search(r"^(RUN|COPY) ", DOCKERFILE.partition("\nUSER ")[2], re.M)
    assert not re.search(r"^(ARG|ENV) .*(TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE)", DOCKERFILE, re.M | re.I)


def test_its_version_is_given_at_the_build():
    assert 'image.version="${VERSION}"' in DOCKERFILE
