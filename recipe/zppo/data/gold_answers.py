"""What the run's grader makes of the gold answers themselves, by sub-set.

Two different gold answers that it calls equal, of questions that have nothing to do with each other, say how much it
lets pass: `BA` and `AB`, `3 minutes` and `3 hours`. A gold answer that it refuses to itself can never be reached.
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recipe.zppo.data.answers import is_gradable
from recipe.zppo.data.progress import Progress
from recipe.zppo.errors import RewardError
from recipe.zppo.judge import is_free_form
from recipe.zppo.reward import Grader, gold_answer, is_correct

MAX_PAIRS = 500
"""Compared in a sub-set at most, milliseconds each: the likely ones first, the rest drawn at random."""

_EXAMPLES, _LENGTH = 5, 40
_COLUMNS = ("data_source", "reward_model", "extra_info")
_KEYS: tuple[Callable[[str], Any], ...] = (
    lambda text: "".join(sorted(filter(str.isalnum, text))),  # AB and BA
    lambda text: re.findall(r"\d+", text) and "".join(re.findall(r"\d", text)),  # 3 minutes and 3 hours; 2^{n+1}
    lambda text: (numbers := re.findall(r"\d+", text)) and len(numbers) > 1 and sum(map(int, numbers)),  # 4 6 and 3 7
    lambda text: "".join(re.findall(r"[^\W\d]", text)) if re.search(r"\d", text) else "",
)


def compare_golds(paths: Sequence[Path], grader: Grader, progress: Progress) -> dict[str, Any]:
    """The report on all golds of the files that a rule grades, by data source: see `examine`."""
    golds: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        with pq.ParquetFile(path) as file:
            columns = [name for name in _COLUMNS if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    if not is_free_form(row):
                        golds[str(row.get("data_source") or "")] |= _gold(row)
    found = {}
    with progress.phase("comparing gold answers", len(golds)) as step:
        for name, answers in sorted(golds.items()):
            found[name] = examine(answers, grader)
            step()
    return {"grader": grader, "subsets": found}


def _gold(row: Mapping[str, Any]) -> set[str]:
    try:
        return {gold_answer((row["reward_model"] or {}).get("ground_truth"))}
    except RewardError:
        return set()


def examine(answers: Iterable[str], grader: Grader) -> dict[str, Any]:
    """Counts and examples: golds apart from case and spaces, pairs there are and compared, equal ones, refused ones.

    Of two equal golds the third entry says whether the careful grader calls them equal, too.
    """
    different = sorted({" ".join(answer.lower().split()): answer for answer in sorted(answers)}.values())
    pairs = list(_pairs(different))
    equal = [(a, b, is_correct(a, b, "careful")) for a, b in pairs if is_correct(a, b, grader)]
    refused = [answer for answer in different if not is_gradable(answer, grader)]
    return {
        "different": len(different),
        "pairs": len(different) * (len(different) - 1) // 2,
        "compared": len(pairs),
        "equal": len(equal),
        "equal_examples": sorted(equal, key=lambda pair: pair[2])[:_EXAMPLES],
        "refused": len(refused),
        "refused_examples": refused[:_EXAMPLES],
    }


def _pairs(answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """At most `MAX_PAIRS`, each once, the same in every process."""
    seen: set[tuple[str, str]] = set()
    for i, key in enumerate(_KEYS, 1):
        alike: dict[Any, list[str]] = defaultdict(list)
        for answer in answers:
            if found := key(answer.lower()):
                alike[found].append(answer)
        for group in alike.values():
            for pair in combinations(group[:20], 2):
                if len(seen) < MAX_PAIRS * i // 5 and pair not in seen:
                    seen.add(pair)
                    yield pair
    wanted = min(MAX_PAIRS, len(answers) * (len(answers) - 1) // 2)
    generator = random.Random(0)
    while len(seen) < wanted:
        a, b = sorted(generator.sample(range(len(answers)), 2))
        if (answers[a], answers[b]) not in seen:
            seen.add((answers[a], answers[b]))
            yield answers[a], answers[b]


def told(report: Mapping[str, Any]) -> Iterator[str]:
    """The report in lines; sub-sets without anything to say have none."""
    for name, found in report["subsets"].items():
        who = f"{name or '(none)'}: the {report['grader']} grader"
        if found["equal"]:
            pairs = "; ".join(
                f"{_shown(a)} = {_shown(b)}{'' if careful else ' (not by careful)'}"
                for a, b, careful in found["equal_examples"]
            )
            compared = f"{found['equal']} of {found['compared']} pairs of different gold answers"
            yield f"{who} calls {compared} equal ({found['pairs']} there are): {pairs}"
        if found["refused"]:
            answers = "; ".join(map(_shown, found["refused_examples"]))
            yield f"{who} refuses gold answers to themselves, {found['refused']} of {found['different']}: {answers}"


def _shown(answer: str) -> str:
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in answer).split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
