r"""reasoning-gym's questions as verl data files: ``python -m recipe.zppo.data.reasoning_gym OUT --task NAME``.

    python -m recipe.zppo.data.reasoning_gym data/sums --task chain_sum:min_terms=3,max_terms=4 --task products \
        --train 2000 --val 200 --sft 4000 --seed 0

writes `train.parquet`, `val.parquet` and `sft.parquet` (and `manifest.json`). No question occurs twice, within a file
or across them, nor in a file named by `--exclude`. The same command writes the same rows: generators are seeded by a
hash of seed, task and split (neighbouring seeds of reasoning-gym itself share all questions but one). `time_intervals`
alone reads the clock.

Rows are graded by `recipe.zppo.data.reasoning_gym_reward`. `sft.parquet` has the column `messages`, the question with
the closer (Fig. 8) and a worked answer, as verl's SFT and `examples/smollm2/sft.py` read it; the tasks of
`recipe.zppo.data.worked_answers` have worked answers.
"""

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from recipe.zppo.data import reasoning_gym_reward as reward
from recipe.zppo.data.errors import BuildError, RowError
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.rows import MESSAGES, SCHEMA, build_row, text_id
from recipe.zppo.data.worked_answers import SOLVERS, worked_answer
from recipe.zppo.errors import ZPPOError
from recipe.zppo.prompts import with_closer
from recipe.zppo.randomness import derive_seed
from recipe.zppo.run.files import write_atomically

SPLITS = ("val", "train", "sft")
"""In the order in which they are drawn: a larger `train` leaves `val` as it is."""

SFT_SCHEMA = SCHEMA.append(pa.field("messages", MESSAGES))

_BARREN = 2000
"""Draws in a row without a new usable question after which a task counts as exhausted."""


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


@dataclasses.dataclass(frozen=True)
class Entry:
    """One generated question with what its row needs."""

    task: str
    category: str
    question: str
    answer: str
    grader: str
    metadata: dict[str, Any]

    @property
    def prompt_id(self) -> str:
        """Depends on the question and nothing else, so that it stays when files are written again in other sizes."""
        return text_id(f"reasoning_gym-{self.task}", self.question, self.answer)


def load_library() -> ModuleType:
    """reasoning-gym. Raises `TaskError` where it, or something that it imports, is not installed."""
    try:
        import reasoning_gym
    except ImportError as error:
        raise TaskError(
            f"reasoning-gym can't be imported ({error}); install it with: pip install 'open-zppo[recipes]'"
        ) from error
    return reasoning_gym


def draw_splits(
    tasks: Sequence[Task], sizes: dict[str, int], seed: int, excluded: set[str] = frozenset()
) -> tuple[dict[str, list[Entry]], Counter[str]]:
    """The entries of each split, tasks in equal shares and mixed, and the number of unusable ones by task.

    Args:
        sizes: rows by split, a subset of :data:`SPLITS`.
        excluded: questions that must not occur.

    Raises:
        TaskError: an unknown task or setting, too few distinct questions, or `sft` of a task without worked answers.
    """
    taken = set(excluded)
    dropped: Counter[str] = Counter()
    if sizes.get("sft"):
        for task in tasks:
            if task.name not in SOLVERS:
                raise TaskError(
                    f"task {task.name} has no worked answers, which --sft needs; there are some of {', '.join(SOLVERS)}"
                )
    splits = {}
    for split in SPLITS:
        if not sizes.get(split):
            continue
        entries: list[Entry] = []
        for i, task in enumerate(tasks):
            share = sizes[split] // len(tasks) + (i < sizes[split] % len(tasks))
            stream = _usable_entries(task, derive_seed(seed, i, task.name, split), dropped)
            entries += _take(stream, share, taken, task)
        # By a hash: mixed tasks in an order that depends on nothing but the questions and the seed.
        splits[split] = sorted(entries, key=lambda entry: derive_seed(seed, split, entry.prompt_id))
    return splits, dropped


def row(entry: Entry, index: int, split: str) -> dict[str, Any]:
    """One row of `SCHEMA`, of `SFT_SCHEMA` if `split` is `sft`; the trainer appends the closer to the question."""
    metadata: dict[str, Any] = {"task": entry.task, "grader": entry.grader}
    if entry.grader == reward.VERIFIER:
        metadata["entry"] = {"question": entry.question, "answer": entry.answer, "metadata": entry.metadata}
    data = build_row(
        data_source=reward.PREFIX + entry.task,
        question=entry.question,
        answer=entry.answer,
        prompt_id=entry.prompt_id,
        ability=entry.category,
        split=split,
        index=index,
        metadata=metadata,
    )
    if split == "sft":
        response = worked_answer(entry.task, entry.metadata, entry.answer)
        data["messages"] = [*with_closer(data["prompt"]), {"role": "assistant", "content": response}]
    return data


def _usable_entries(task: Task, seed: int, dropped: Counter[str]) -> Iterator[Entry | None]:
    """Entries whose own answer, in a box, is graded as right; `None` for others, which are counted."""
    dataset = _create(task, seed)
    from reasoning_gym.dataset import ProceduralDataset

    one_answer = type(dataset).score_answer is ProceduralDataset.score_answer
    for index in range(sys.maxsize):
        item = dataset[index]
        answer = item["answer"]
        if isinstance(answer, str):
            grader = reward.grader_of(task.name, answer, one_answer=one_answer)
            entry = Entry(task.name, dataset.category, item["question"].strip(), answer, grader, item["metadata"])
            if _accepts_own_answer(entry):
                yield entry
                continue
        dropped[task.name] += 1
        yield None


def _accepts_own_answer(entry: Entry) -> bool:
    try:
        data = row(entry, 0, "")
    except RowError:  # an empty answer, or a placeholder of an image in the question
        return False
    response = f"\\boxed{{{entry.answer}}}"
    score = reward.compute_score(data["data_source"], response, entry.answer, data["extra_info"])
    return score["score"] == 1.0


def _take(stream: Iterator[Entry | None], count: int, taken: set[str], task: Task) -> list[Entry]:
    entries: list[Entry] = []
    barren = 0
    while len(entries) < count:
        entry = next(stream)
        if entry is None or entry.question in taken:
            barren += 1
            if barren >= _BARREN:
                raise TaskError(
                    f"task {task.name}: {count} questions are asked for, but after {len(entries)} none of {_BARREN} "
                    "more was both new and gradable; ask for fewer, or widen its settings"
                )
            continue
        barren = 0
        taken.add(entry.question)
        entries.append(entry)
    return entries


def _create(task: Task, seed: int) -> Any:
    library = load_library()
    from reasoning_gym.factory import DATASETS

    if task.name not in DATASETS or task.name == "composite":
        raise TaskError(f"reasoning-gym has no task {task.name!r}; it has {', '.join(sorted(DATASETS))}")
    known = {field.name for field in dataclasses.fields(DATASETS[task.name][1])} - {"seed", "size"}
    for key in task.settings:
        if key not in known:
            raise TaskError(f"task {task.name} has no setting {key!r}; it has {', '.join(sorted(known))}")
    try:
        # Question i is drawn from `seed + i`, and most generators have one for every i, whatever their size.
        return library.create_dataset(task.name, seed=seed % 2**31, size=1000, **task.settings)
    except (AssertionError, TypeError, ValueError) as error:
        raise TaskError(f"task {task.name}: reasoning-gym refuses {task.settings}: {error}") from error


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char in "[({") - (char in "])}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part.strip()]


def _questions_of(files: Sequence[Path]) -> set[str]:
    questions: set[str] = set()
    for file in files:
        if not file.is_file():
            raise TaskError(f"--exclude: {file} does not exist")
        prompts = pq.read_table(file, columns=["prompt"]).column("prompt").to_pylist()
        questions.update(prompt[-1]["content"] for prompt in prompts)
    return questions


def convert(
    out: Path, tasks: Sequence[Task], sizes: dict[str, int], seed: int, exclude: Sequence[Path] = ()
) -> dict[str, Any]:
    """Write the files of all splits into `out`; returns what `manifest.json` holds."""
    if not tasks:
        raise TaskError("--task: name at least one task")
    splits, dropped = draw_splits(tasks, sizes, seed, _questions_of(exclude))
    manifest: dict[str, Any] = {
        "reasoning_gym": load_library().__version__,
        "seed": seed,
        "tasks": [dataclasses.asdict(task) for task in tasks],
        "rows": {},
        "ungradable": dict(dropped),
    }
    for split, entries in splits.items():
        rows = (row(entry, index, split) for index, entry in enumerate(entries))
        write_rows(out / f"{split}.parquet", rows, SFT_SCHEMA if split == "sft" else SCHEMA)
        manifest["rows"][split] = dict(sorted(Counter(entry.task for entry in entries).items()))
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_atomically(str(out / "manifest.json"), lambda path: Path(path).write_text(text))
    return manifest


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recipe.zppo.data.reasoning_gym", description=__doc__.split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder of the files")
    parser.add_argument("--task", action="append", default=[], metavar="NAME[:KEY=VALUE,...]", help="may be repeated")
    for split, rows in (("train", 2000), ("val", 200), ("sft", 0)):
        parser.add_argument(
            f"--{split}", type=int, default=rows, help=f"rows, over all tasks (default {rows}; 0: no file)"
        )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="data files whose questions must not occur")
    options = parser.parse_args(arguments)
    try:
        sizes = {split: getattr(options, split) for split in SPLITS}
        tasks = [Task.parse(text) for text in options.task]
        manifest = convert(options.out, tasks, sizes, options.seed, options.exclude)
    except ZPPOError as error:
        print(f"zppo: {error}", file=sys.stderr)
        return 2
    for split, rows in manifest["rows"].items():
        print(f"{options.out / split}.parquet: {sum(rows.values())} rows, {rows}")
    for task, count in manifest["ungradable"].items():
        print(f"{task}: {count} questions left out, whose own answer in a box is not graded as right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
