"""What is kept of a study's finished runs: ``keep.py STUDY results``, to compare them with runs of another machine.

A run keeps what it is, what it came to, and of its event log the metrics that tables and plots read; beside the runs
stands what their students began with. `KEPT` of `run_cpu.sh` takes them up. Models, texts and the lives of questions
are left out; so are the places of files.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from recipe.zppo.run.events import EVENTS_FILE, read_events
from recipe.zppo.run.files import write_atomically

_METRICS = (
    "actor/",
    "timing_s/",
    "val-core/",
    "zppo/batch/",
    "zppo/bcq/",
    "zppo/buffer/",
    "zppo/ncq/",
    "zppo/tokens/",
    "zppo/validation/",
)
_EVENTS = ("measured", "validated")
_SAYS_WHERE = "overrides"


def kept_event(event: dict[str, Any]) -> dict[str, Any]:
    """With six digits of the metrics that begin as `_METRICS`."""
    if "metrics" not in event:
        return event
    metrics = {name: value for name, value in event["metrics"].items() if name.startswith(_METRICS)}
    return event | {"metrics": {name: float(f"{value:.6g}") for name, value in metrics.items()}}


def keep(run: Path, out: Path) -> None:
    """Copy one finished run, `result.json` last: with it the copy is complete."""
    events = (kept_event(event) for event in read_events(run / EVENTS_FILE, "started", *_EVENTS))
    what = json.loads((run / "run.json").read_text(encoding="utf-8"))
    what.pop(_SAYS_WHERE, None)
    contents = {
        EVENTS_FILE: "".join(json.dumps(event) + "\n" for event in events),
        "run.json": json.dumps(what, indent=1) + "\n",
        "result.json": (run / "result.json").read_text(encoding="utf-8"),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        write_atomically(str(out / name), lambda path, text=text: Path(path).write_text(text, encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("results", type=Path, help="folder to keep its runs in")
    options = parser.parse_args()
    finished = sorted(result.parent for result in (options.study / "runs").glob("*/result.json"))
    if not finished:
        parser.error(f"{options.study} has no finished runs")
    for run in finished:
        keep(run, options.results / "runs" / run.name)
    for before in options.study.resolve().parent.glob("student-*-before.json"):
        shutil.copyfile(before, options.results / before.name)
    print(f"{options.results}: {len(finished)} runs kept")


if __name__ == "__main__":
    main()
