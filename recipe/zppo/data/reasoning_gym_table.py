"""Which tasks of reasoning-gym can be trained on: ``python -m recipe.zppo.data.reasoning_gym_table RESULTS.jsonl``.

Examines every task with its default settings, as the converter does (`reasoning_gym_checks`). Results go to the file
one by one, and what is there is not done again. At the end the Markdown table of `docs/reference/reasoning-gym.md` is
printed.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipe.zppo.data.reasoning_gym_checks import CHECKED, examine, texts
from recipe.zppo.data.reasoning_gym_tasks import HASH_SEED, Generator, Task, TaskError, task_names
from recipe.zppo.errors import ZPPOError


class Examiner:
    """Examines tasks one after the other, with three processes: two that must agree, one of another hash seed."""

    def __init__(self) -> None:
        self._generators: list[Generator] = []

    def result(self, name: str) -> dict[str, Any]:
        """A row of the table."""
        task = Task(name)
        if not self._generators:
            self._generators = [Generator(), Generator(), Generator(HASH_SEED + 1)]
        first, second, other = self._generators
        try:
            report = examine(task, first, second)
            here, there = (texts(made.entry(task, 0, index) for index in range(CHECKED)) for made in (first, other))
        except TaskError as error:
            self.close()  # a process may have ended
            return {"task": name, "refusal": str(error)}
        return {
            "task": name,
            "refusal": report.refusal,
            "graders": sorted(report.graders),
            "tried": report.tried,
            "accepted": report.accepted,
            "unhashed": sum(one == two for one, two in zip(here, there, strict=True)),
        }

    def close(self) -> None:
        for generator in self._generators:
            generator.close()
        self._generators = []


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
    parser = argparse.ArgumentParser(
        prog="python -m recipe.zppo.data.reasoning_gym_table", description=__doc__.split("\n")[0]
    )
    parser.add_argument("results", type=Path, help="JSON lines, one a task")
    options = parser.parse_args(arguments)
    done = options.results.read_text().splitlines() if options.results.exists() else []
    results = {result["task"]: result for result in map(json.loads, done)}
    examiner = Examiner()
    try:
        for name in task_names():
            if name not in results:
                results[name] = examiner.result(name)
                with options.results.open("a") as file:
                    file.write(json.dumps(results[name]) + "\n")
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    finally:
        examiner.close()
    print(table(list(results.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
