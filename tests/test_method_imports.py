"""The method can be read and used alone: it imports Python, NumPy and torch. `make lint` keeps it off our folders."""

import sys
import tomllib
from pathlib import Path

import grimp

GRADES = {"recipe.zppo.reward", "recipe.zppo.bounded_grader"}  # with the paper's grader


def test_the_method_imports_python_numpy_and_torch_only() -> None:
    settings = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    method = settings["tool"]["importlinter"]["contracts"][0]["layers"][-1].split(" : ")
    graph = grimp.build_graph("recipe.zppo", include_external_packages=True)
    tops = {f"recipe.zppo.{name}" for name in method}
    modules = tops.union(*map(graph.find_descendants, tops))
    assert "recipe.zppo.replay_buffer.buffer" in modules and "recipe.zppo.advantage" in modules
    imported = {(name, package) for name in modules for package in graph.find_modules_directly_imported_by(name)}
    packages = {(name, package) for name, package in imported if not package.startswith("recipe.zppo.")}
    allowed = {"numpy", "torch", *sys.stdlib_module_names}
    graders = {(name, "mathruler") for name in GRADES}
    graders |= {(f"recipe.zppo.careful.{name}", "mpmath") for name in ("arithmetic", "value")}
    assert {pair for pair in packages if pair[1] not in allowed} == graders
