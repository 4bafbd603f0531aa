"""Which tasks of reasoning-gym can be trained on: ``python -m recipe.zppo.data.reasoning_gym_table RESULTS.jsonl``.

Examines every task with its default settings, as the converter does (`reasoning_gym_checks`), in a process of its own
that is killed after `--limit` seconds. Results go to the file one by one, and what is there is not done again. At the
end the Markdown table of `docs/reference/reasoning-gym.md` is printed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.zppo.data.reasoning_gym_checks import CHECKED, examine, texts
from recipe.zppo.data.reasoning_gym_tasks import HASH_SEED, Generator, Task, task_names
from recipe.zppo.errors import ZPPOError


def result_of(name: str) -> dict[str, Any]:
    """A row of the table. Raises `TaskError` as `examine` does."""
    task = Task(name)
    with Generator() as first, Generator() as second, Generator(HASH_SEED + 1) as other:
        report = examine(task, first, second)
        here, there = (texts(made.entry(task, 0, index) for index in range(CHECKED)) for made in (first, other))
    return {
        "task": name,
        "refusal": report.refusal,
        "graders": sorted(report.graders),
        "tried": report.tried,
        "accepted": report.accepted,
        "unhashed": sum(one == two for one, two in zip(here, there, strict=True)),
    }


def bounded_result(name: str, limit: float) -> dict[str, Any]:
    """`result_of`, or why there is none."""
    command = (sys.executable, "-m", __spec__.name, "--one", name)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"task": name, "refusal": f"{CHECKED} questions and their checks take more than {limit:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["killed"]
        return {"task": name, "refusal": lines[-1].removeprefix("zppo: ")}
    return json.loads(done.stdout)


def table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| task | taken | graded by | others' answers accepted | same with another hash seed |",
        "|---|---|---|---|---|",
    ]
    for result in sorted(results, key=lambda result: result["task"]):
        taken = "no: " + result["refusal"] if result["refusal"] else "yes"
        shared = f"{result['accepted']} of {result['tried']}" if result.get("tried") else ""
        same = f"{result['unhashed']} of {CHECKED}" if result.get("unhashed", CHECKED) < CHECKED else ""
        lines.append(f"| `{result['task']}` | {taken} | {', '.join(result.get('graders', []))} | {shared} | {same} |")
    return "\n".join(line.replace("|  |", "| |").replace("|  |", "| |") for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", help="JSON lines, one a task")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for a task")
    parser.add_argument("--one", metavar="TASK", help="examine this task only, and print its result as JSON")
    options = parser.parse_args(arguments)
    if (options.results is None) == (options.one is None):
        parser.error("give RESULTS, or --one TASK")
    try:
        if options.one:
            print(json.dumps(result_of(options.one)))
            return 0
        names = task_names()
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    done = options.results.read_text().splitlines() if options.results.exists() else []
    results = {result["task"]: result for result in map(json.loads, done)}
    for name in names:
        if name not in results:
            results[name] = bounded_result(name, options.limit)
            with options.results.open("a") as file:
                file.write(json.dumps(results[name]) + "\n")
    print(table(list(results.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
