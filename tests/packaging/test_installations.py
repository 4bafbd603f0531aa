"""The command works after an install and from a checkout, never with files of two versions, also in Ray workers."""

import functools
import json
from pathlib import Path

import pytest

from .conftest import copy_checkout, run_python

WHERE = """
import json, runpy, sys
import verl, verl.trainer.main_zppo as main, recipe.zppo.config.schema as config, recipe.zppo.config.compose as compose
print(json.dumps([main.__file__, config.__file__, str(compose.CONFIG_DIR)]), flush=True)
sys.argv[1:] = ["--cfg", "job", "--package", "zppo"]
runpy.run_module("verl.trainer.main_zppo", run_name="__main__", alter_sys=True)
"""

IN_A_WORKER = """
import json, ray
ray.init(num_cpus=1, num_gpus=0, include_dashboard=False, runtime_env={"working_dir": None}, log_to_driver=False)

@ray.remote(num_cpus=1)
def where():
    import verl, verl.trainer.main_zppo as main
    from recipe.zppo.config import compose, schema as config
    return [main.__file__, config.__file__, str(compose.CONFIG_DIR)]

print(json.dumps(ray.get(where.remote(), timeout=100)))
"""


@functools.cache
def said(python: Path, cwd: Path, code: str = WHERE) -> str:
    return run_python(python, cwd, "-c", code)


def places(python: Path, cwd: Path, code: str = WHERE) -> list[Path]:
    (line,) = (line for line in said(python, cwd, code).splitlines() if line.startswith("["))
    return [Path(path) for path in json.loads(line)]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of another version than the wheel: its threshold is 0.375."""
    path = copy_checkout(tmp_path_factory.mktemp("checkout") / "repo")
    for file in ("verl/trainer/config/zppo_trainer.yaml", "recipe/zppo/config/schema.py"):
        text = (path / file).read_text()
        changed = text.replace("threshold: 0.5", "threshold: 0.375").replace("key(0.5,", "key(0.375,")
        assert changed != text
        (path / file).write_text(changed)
    return path


def test_installed_wheel_from_any_directory(installed_python: Path, elsewhere: Path) -> None:
    assert "threshold: 0.5\n" in said(installed_python, elsewhere)
    assert all("packages" in str(path) for path in places(installed_python, elsewhere))


def test_checkout_that_is_not_installed(bare_python: Path, checkout: Path) -> None:
    assert "threshold: 0.375\n" in said(bare_python, checkout)
    assert all(path.is_relative_to(checkout) for path in places(bare_python, checkout))


def test_checkout_as_working_directory_wins_as_a_whole_over_an_installed_wheel(
    installed_python: Path, checkout: Path
) -> None:
    assert "threshold: 0.375\n" in said(installed_python, checkout)
    assert all(path.is_relative_to(checkout) for path in places(installed_python, checkout))


def test_verl_without_us(bare_python: Path, tmp_path: Path) -> None:
    code = "from importlib.util import find_spec; print(*(bool(find_spec(name)) for name in ('verl', 'recipe')))"
    assert run_python(bare_python, tmp_path, "-c", code) == "True False\n"


def test_verl_with_the_plug_in_installed_and_unused(installed_python: Path, tmp_path: Path) -> None:
    code = "import verl.trainer.main_ppo, sys; print([m for m in sys.modules if m.startswith('recipe.zppo.t')])"
    assert run_python(installed_python, tmp_path, "-c", code).strip() == "[]"


def test_a_plug_in_that_fails_is_reported_and_leaves_verl_usable(bare_python: Path, checkout: Path, tmp_path) -> None:
    (tmp_path / "recipe" / "cpu").mkdir(parents=True)
    (tmp_path / "recipe" / "cpu" / "__init__.py").write_text("def register():\n    raise OSError('no such thing')\n")
    code = (
        f"import sys, contextlib; sys.path[:0] = [{str(tmp_path)!r}, {str(checkout)!r}]\n"
        "with contextlib.redirect_stderr(sys.stdout):\n    import verl\n"
        "print('imported', verl.__version__)"
    )
    said = run_python(bare_python, tmp_path, "-c", code)
    assert "the verl plug-in failed in register_cpu" in said
    assert "OSError: no such thing" in said and "imported 0.9.1" in said


@pytest.mark.e2e
@pytest.mark.parametrize("place", ["installed", "bare"])
def test_ray_workers_see_the_same_files(place: str, request, checkout: Path, elsewhere: Path) -> None:
    python = request.getfixturevalue(f"{place}_python")
    cwd = elsewhere if place == "installed" else checkout
    assert places(python, cwd, IN_A_WORKER) == places(python, cwd)
