"""Tasks of reasoning-gym, their questions from a process of its own, and the rows that these become."""

import dataclasses
import json
import os
import select
import subprocess
from types import ModuleType, TracebackType
from typing import Any, Self

import yaml

from recipe.zppo.data import reasoning_gym_process as process
from recipe.zppo.data import reasoning_gym_reward as reward
from recipe.zppo.data.errors import BuildError
from recipe.zppo.data.rows import build_row, text_id

HASH_SEED = 0
WAIT_S = 300.0  # by the clock, for a question


class TaskError(BuildError):
    """A task, or a setting of one, that gives no data files; the message names it."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A generator of reasoning-gym and the settings that differ from its defaults."""

    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Task":
        """``name`` or ``name:key=value,key=value``; values as in YAML. Commas inside brackets belong to a value.

        Raises:
            TaskError: a setting without ``=``.
        """
        name, _, rest = text.partition(":")
        settings = {}
        for part in _split_outside_brackets(rest):
            key, equals, value = part.partition("=")
            if not equals:
                raise TaskError(f"--task {text}: {part!r} is not key=value")
            settings[key.strip()] = yaml.safe_load(value)
        return cls(name.strip(), settings)

    @property
    def settings_json(self) -> str:
        """Raises `TaskError` for a value that JSON, and so a row, does not have."""
        try:
            return json.dumps(self.settings, sort_keys=True)
        except TypeError as error:
            raise TaskError(f"task {self.name}: {error}; give numbers, words, lists, true or false") from error


@dataclasses.dataclass(frozen=True)
class Entry:
    """One generated question with what its row needs."""

    task: str
    settings: dict[str, Any]
    category: str
    question: str
    answer: str
    grader: str
    metadata: dict[str, Any]

    @property
    def prompt_id(self) -> str:
        """Depends on the question and nothing else, so that it stays when files are written again in other sizes."""
        return text_id(f"reasoning_gym-{self.task}", self.question, self.answer)

    @property
    def grading(self) -> dict[str, Any]:
        """What the row says about how it is graded."""
        found: dict[str, Any] = {"task": self.task, "grader": self.grader}
        if self.grader == reward.VERIFIER:
            found["settings"] = self.settings
            found["entry"] = {"question": self.question, "answer": self.answer, "metadata": self.metadata}
        return found


class Generator:
    """Makes questions in a fresh process whose hashes of strings are fixed: equal requests give equal questions."""

    def __init__(self, hash_seed: int = HASH_SEED):
        load_library()
        pipe = subprocess.PIPE
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        self._process = subprocess.Popen(
            process.command(process.GENERATE), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def entry(self, task: Task, seed: int, index: int) -> Entry | None:
        """Question `index` of a task; None if it has no gold answer.

        Raises:
            TaskError: reasoning-gym refuses the task or its settings, or takes longer than a minute.
        """
        _check(task)
        request = json.dumps([task.name, json.loads(task.settings_json), seed % 2**31, index])
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], WAIT_S)
            line = self._process.stdout.readline() if ready else b""
        except BrokenPipeError:
            line = b""
        if not line:
            raise TaskError(
                f"task {task.name}: question {index} takes more than {process.ITEM_CPU_S} s, or too much memory; "
                "narrow its settings"
            )
        item = json.loads(line)
        if "error" in item:
            raise TaskError(f"task {task.name}: reasoning-gym refuses {task.settings}: {item['error']}")
        answer = item["answer"]
        if not isinstance(answer, str):
            return None
        grader = reward.grader_of(task.name, answer, one_answer=item["one_answer"])
        question = item["question"].strip()
        return Entry(task.name, task.settings, item["category"], question, answer, grader, item["metadata"])


def load_library() -> ModuleType:
    """reasoning-gym. Raises `TaskError` where it, or something that it imports, is not installed."""
    try:
        import reasoning_gym
    except ImportError as error:
        raise TaskError(
            f"reasoning-gym can't be imported ({error}); install it with: pip install 'open-zppo[recipes]'"
        ) from error
    return reasoning_gym


def task_names() -> list[str]:
    """All tasks but `composite`, which is a mixture of others."""
    load_library()
    from reasoning_gym.factory import DATASETS

    return sorted(set(DATASETS) - {"composite"})


def row(entry: Entry, index: int, split: str) -> dict[str, Any]:
    """One row of `SCHEMA`; the trainer appends the closer to the question."""
    return build_row(
        data_source=reward.PREFIX + entry.task,
        question=entry.question,
        answer=entry.answer,
        prompt_id=entry.prompt_id,
        ability=entry.category,
        split=split,
        index=index,
        metadata=entry.grading,
    )


def _check(task: Task) -> None:
    names = task_names()
    from reasoning_gym.factory import DATASETS

    if task.name not in names:
        raise TaskError(f"reasoning-gym has no task {task.name!r}; it has {', '.join(sorted(DATASETS))}")
    known = {field.name for field in dataclasses.fields(DATASETS[task.name][1])} - {"seed", "size"}
    for key in task.settings:
        if key not in known:
            raise TaskError(f"task {task.name} has no setting {key!r}; it has {', '.join(sorted(known))}")


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char in "[({") - (char in "])}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]
