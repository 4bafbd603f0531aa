"""Which questions, and which tasks of reasoning-gym, can be trained on: those that are the same every time, and whose
graders tell a right answer from a wrong one.
"""

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

from recipe.zppo.data import reasoning_gym_reward as reward
from recipe.zppo.data.errors import RowError
from recipe.zppo.data.reasoning_gym_tasks import Entry, Generator, Task, TaskError, row

NONSENSE = ("zzz", "I do not know", "nan", "?", "[]", "{}")
"""No question's answer. `nan` compares with nothing, and so passes a careless comparison of numbers."""

CHECKED, OTHERS = 20, 10
"""Questions of a task that are looked at, and gold answers of others that are tried on each."""

LIMIT_S = 120  # for the verdicts of one task

MOST_SHARED = 0.1
"""Share of others' gold answers that may be right. A question may have several right answers (`n_queens`, `jugs`), and
another's may be among them: up to 5% were in what was measured. A verifier that does not look has 100%."""


@dataclasses.dataclass
class Report:
    """What was found out about a task."""

    refusal: str = ""
    """Why it is not taken; empty if it is."""
    graders: set[str] = dataclasses.field(default_factory=set)
    tried: int = 0
    """Gold answers of other questions, different from the own one."""
    accepted: int = 0
    """Those of them that are graded as right."""


_reports: dict[tuple[str, str], Report] = {}


def check_tasks(tasks: Iterable[Task]) -> None:
    """
    Raises:
        TaskError: a task whose questions differ from run to run, or whose grader takes wrong answers.
    """
    new = [task for task in tasks if (task.name, task.settings_json) not in _reports]
    if new:
        with Generator() as first, Generator() as second:
            for task in new:
                _reports[task.name, task.settings_json] = examine(task, first, second)
    for task in tasks:
        if refusal := _reports[task.name, task.settings_json].refusal:
            raise TaskError(f"task {task.name} can't be trained on: {refusal}")


def examine(task: Task, first: Generator, second: Generator, seed: int = 0) -> Report:
    """The checks of a task, on its first questions; the two processes must make the same ones.

    Everything is bounded: a question, a verdict, and all verdicts together.

    Raises:
        TaskError: reasoning-gym has no such task, or refuses its settings.
    """
    drawn = [first.entry(task, seed, index) for index in range(CHECKED)]
    again = [second.entry(task, seed, index) for index in range(CHECKED)]
    if texts(drawn) != texts(again):
        return Report("the same seed gives other questions in another process")
    entries = [entry for entry in drawn if entry is not None]
    if not entries:
        return Report("its questions have no gold answer")
    report = Report(graders={entry.grader for entry in entries})
    try:
        _grade(entries, report, time.monotonic() + LIMIT_S)
    except TimeoutError:
        report.refusal = f"grading {len(entries)} questions of it takes more than {LIMIT_S} s"
    return report


def _grade(entries: list[Entry], report: Report, end: float) -> None:
    """Fills the report; raises `TimeoutError` at `end`, in seconds of `time.monotonic`."""

    def accepted(entry: Entry, answer: str) -> bool:
        if time.monotonic() > end:
            raise TimeoutError
        return accepts(entry, answer)

    entries = [entry for entry in entries if is_row(entry) and accepted(entry, entry.answer)]
    if not entries:
        report.refusal = "its verifier refuses its own gold answers"
        return
    for answer in NONSENSE:
        if all(accepted(entry, answer) for entry in entries):
            report.refusal = f"its verifier accepts {answer!r} as the answer to every question"
            return
    for number, entry in enumerate(entries):
        if any(accepted(entry, answer) for answer in NONSENSE):
            continue  # a question that is not usable
        others = [other.answer for other in (*entries[number + 1 :], *entries[:number])]
        others = [answer for answer in others if _folded(answer) != _folded(entry.answer)][:OTHERS]
        report.tried += len(others)
        report.accepted += sum(accepted(entry, answer) for answer in others)
    if not report.tried:
        report.refusal = "all its questions have the same answer"
    elif report.accepted > MOST_SHARED * report.tried:
        share = f"{report.accepted} of {report.tried}"
        report.refusal = f"its verifier accepts the gold answers of other questions ({share})"


def texts(entries: Iterable[Entry | None]) -> list[tuple[str, str] | None]:
    """What a reader of the questions sees."""
    return [None if entry is None else (entry.question, entry.answer) for entry in entries]


def is_usable(entry: Entry) -> bool:
    """Whether the question's own answer, in a box, is graded as right, and nonsense as wrong.

    Some questions of good tasks take anything: a puzzle that is solved before the first move.
    """
    return accepts_own_answer(entry) and not any(accepts(entry, answer) for answer in NONSENSE)


def accepts_own_answer(entry: Entry) -> bool:
    return is_row(entry) and accepts(entry, entry.answer)


def is_row(entry: Entry) -> bool:
    """False for an empty answer, or a placeholder of an image in the question."""
    try:
        row(entry, 0, "")
    except RowError:
        return False
    return True


def accepts(entry: Entry, answer: str) -> bool:
    """The reward of a response with this answer in its box."""
    data: dict[str, Any] = row(entry, 0, "")
    response = f"\\boxed{{{answer}}}"
    return reward.compute_score(data["data_source"], response, entry.answer, data["extra_info"])["score"] == 1.0


def _folded(answer: str) -> str:
    return " ".join(answer.split()).casefold()
