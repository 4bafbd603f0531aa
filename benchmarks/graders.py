"""What graders make of the decided pairs in tests/careful/pairs.csv, and what a pair costs.

    python -m benchmarks.graders [--wrong]

math-verify is compared if it is installed: pip install 'math-verify[antlr4_9_3]==0.9.0'.
"""

import argparse
import csv
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from recipe.zppo import bounded_grader, reward

PAIRS = Path(__file__).parents[1] / "tests" / "careful" / "pairs.csv"
MATH_VERIFY = """
import importlib.util, logging, sys
from math_verify import parse, verify
logging.disable()
spec = importlib.util.spec_from_file_location("bounded_grader", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

def grade(answer, gold):
    read = [parse("\\\\boxed{" + text + "}", parsing_timeout=None) for text in (gold, answer)]
    return verify(*read, timeout_seconds=None)

grade("x+1", "1+x")
module.serve(grade)
"""
"""Its own time limits are signals, which threads can't have; the helper's limit holds instead."""


def graders() -> dict[str, Callable[[str, str], bool | None]]:
    found = {name: (lambda a, b, name=name: reward.verdict(a, b, name)) for name in ("paper", "careful")}
    if importlib.util.find_spec("math_verify"):
        found["math-verify"] = bounded_grader.BoundedGrader(
            [sys.executable, "-P", "-c", MATH_VERIFY, bounded_grader.__file__]
        )
    return found


def verdicts(grade: Callable[[str, str], bool | None], rows: Iterable[Mapping[str, str]]) -> tuple[list, list[float]]:
    """The verdict on each row, None where there was none in time, and the milliseconds that it took."""
    grade("x+1", "1+x")  # starts the helper
    found, times = [], []
    for row in rows:
        start = time.perf_counter()
        found.append(grade(row["answer"], row["gold"]))
        times.append(1000 * (time.perf_counter() - start))
    return found, times


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Graders on decided pairs.")
    parser.add_argument("--wrong", action="store_true", help="list the pairs on which each is wrong")
    options = parser.parse_args(arguments)
    with open(PAIRS, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print(f"{len(rows)} pairs, {sum(row['equal'] == '1' for row in rows)} of them equal")
    by_kind: dict[str, Counter] = {}
    for name, grade in graders().items():
        found, times = verdicts(grade, rows)
        outcomes = [(bool(verdict), row["equal"] == "1") for verdict, row in zip(found, rows, strict=True)]
        false_1, false_0 = outcomes.count((True, False)), outcomes.count((False, True))
        times.sort()
        print(
            f"{name:12} right {len(rows) - false_1 - false_0}, false 1s {false_1}, false 0s {false_0}, not finished "
            f"{found.count(None)}; ms a pair: mean {sum(times) / len(times):.1f}, median {times[len(times) // 2]:.1f}, "
            f"99% {times[len(times) * 99 // 100]:.1f}"
        )
        by_kind[name] = Counter(row["kind"] for row, (a, b) in zip(rows, outcomes, strict=True) if a == b)
        for row, (verdict, equal) in zip(rows, outcomes, strict=True) if options.wrong else ():
            if verdict != equal:
                print(f"    false {int(verdict)}  {row['answer']}  |  {row['gold']}")
    totals = Counter(row["kind"] for row in rows)
    print(f"\n{'kind':16}{'pairs':>7}" + "".join(f"{name:>13}" for name in by_kind))
    for kind, total in totals.items():
        print(f"{kind:16}{total:7}" + "".join(f"{right[kind]:13}" for right in by_kind.values()))


if __name__ == "__main__":
    main()
