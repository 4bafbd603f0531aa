"""What is written beside the numbers: how they were made, and pictures."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from recipe.zppo.run.blotting import blotted_command
from recipe.zppo.study.keys import StudyConfig
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.plan import Plan


def about(config: StudyConfig, arguments: Sequence[str], plan: Plan, ledger: Ledger) -> list[str]:
    """Command, size and machine, for the head of table.md."""
    lines = [
        "# Study",
        "",
        f"- command: `python -m recipe.zppo.study {blotted_command(arguments)}`",
        f"- backend: {config.backend}, {config.workers} runs at a time; {config.steps} steps unless a row says "
        "otherwise",
        f"- machine: {_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {_versions()}",
    ]
    for (world, row), steps in plan.derived.items():
        lines.append(f"- {row}, {world}: {steps} steps, derived from the measured time of {plan.row(row).same_time_as}")
    if len(versions := ledger.code_versions()) > 1:
        lines.append(f"- **the runs are of {len(versions)} versions of the code** ({', '.join(sorted(versions))})")
    return [*lines, *(f"- {notice}" for notice in config.notices)]


def write_plots(out: Path, plan: Plan, ledger: Ledger) -> None:
    """Draw what there is, into `out`/plots; without matplotlib say so."""
    try:
        from recipe.zppo.study.figures import all_figures
        from recipe.zppo.view.drawing import save
    except ImportError:
        print("study: no plots; they need matplotlib: pip install 'open-zppo[plots]'", file=sys.stderr)
        return
    folder = out / "plots"
    folder.mkdir(exist_ok=True)
    save({folder / f"{name}.png": figure for name, figure in all_figures(plan, ledger).items()})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> str:
    found = []
    for name in ("torch", "verl"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
