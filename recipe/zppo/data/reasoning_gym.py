r"""reasoning-gym's questions as verl data files: ``python -m recipe.zppo.data.reasoning_gym OUT --task NAME``.

    python -m recipe.zppo.data.reasoning_gym data/sums --task chain_sum:min_terms=3,max_terms=4 --task products \
        --train 2000 --val 200 --sft 4000 --seed 0

writes `train.parquet`, `val.parquet` and `sft.parquet` (and `manifest.json`). No question occurs twice, within a file
or across them, nor in a file named by `--exclude`. The same command writes the same questions: generators run in a
process with a fixed hash seed (`reasoning_gym_tasks.Generator`), and are seeded by a hash of seed, task and split
(neighbouring seeds of reasoning-gym itself share all questions but one). `time_intervals` alone reads the clock, and
only its metadata show it.

A task is refused where its questions differ between two processes all the same, or its grader takes wrong answers
(`reasoning_gym_checks`).

Rows are graded by `recipe.zppo.data.reasoning_gym_reward`. `sft.parquet` has the column `messages`, the question with
the closer (Fig. 8) and a worked answer, as verl's SFT and `examples/smollm2/sft.py` read it; the tasks of
`recipe.zppo.data.worked_answers` have worked answers.
"""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.config.ending import Arguments, at_least, command, place
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.reasoning_gym_checks import check_tasks, is_usable
from recipe.zppo.data.reasoning_gym_tasks import Entry, Generator, Task, TaskError, load_library, row
from recipe.zppo.data.rows import MESSAGES, SCHEMA
from recipe.zppo.data.worked_answers import SOLVERS, worked_answer
from recipe.zppo.prompts import with_closer
from recipe.zppo.randomness import derive_seed
from recipe.zppo.run.files import write_atomically

SPLITS = ("val", "train", "sft")
"""In the order in which they are drawn: a larger `train` leaves `val` as it is."""

SFT_SCHEMA = SCHEMA.append(pa.field("messages", MESSAGES))

_BARREN = 2000
"""Draws in a row without a new usable question after which a task counts as exhausted."""


def draw_splits(
    tasks: Sequence[Task], sizes: dict[str, int], seed: int, excluded: set[str] = frozenset()
) -> tuple[dict[str, list[Entry]], Counter[str]]:
    """The entries of each split, tasks in equal shares and mixed, and the number of unusable ones by task.

    Args:
        sizes: rows by split, a subset of :data:`SPLITS`.
        excluded: questions that must not occur.

    Raises:
        TaskError: an unknown task or setting, one that can't be trained on (see `check_tasks`), too few distinct
            questions, or `sft` of a task without worked answers.
    """
    taken = set(excluded)
    dropped: Counter[str] = Counter()
    if sizes.get("sft"):
        for task in tasks:
            if task.name not in SOLVERS:
                raise TaskError(
                    f"task {task.name} has no worked answers, which --sft needs; there are some of {', '.join(SOLVERS)}"
                )
    check_tasks(tasks)
    splits = {}
    with Generator() as generator:
        for split in filter(sizes.get, SPLITS):
            entries: list[Entry] = []
            for i, task in enumerate(tasks):
                share = sizes[split] // len(tasks) + (i < sizes[split] % len(tasks))
                stream = _usable_entries(generator, task, derive_seed(seed, i, task.name, split), dropped)
                entries += _take(stream, share, taken, task)
            # By a hash: mixed tasks in an order that depends on nothing but the questions and the seed.
            splits[split] = sorted(entries, key=lambda entry: derive_seed(seed, split, entry.prompt_id))
    return splits, +dropped


def _sft_row(entry: Entry, index: int) -> dict[str, Any]:
    """One row of `SFT_SCHEMA`: with the question, the closer and a worked answer as a conversation."""
    data = row(entry, index, "sft")
    response = worked_answer(entry.task, entry.metadata, entry.answer)
    return {**data, "messages": [*with_closer(data["prompt"]), {"role": "assistant", "content": response}]}


def _usable_entries(generator: Generator, task: Task, seed: int, dropped: Counter[str]) -> Iterator[Entry | None]:
    """Entries that can be graded (`is_usable`); `None` for others, which are counted."""
    for index in range(sys.maxsize):
        entry = generator.entry(task, seed, index)
        usable = entry is not None and is_usable(entry)
        dropped[task.name] += not usable
        yield entry if usable else None


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
        "reasoning_gym": load_library().__version__,  # which its authors don't keep up
        "reasoning_gym_package": version("reasoning-gym"),
        "seed": seed,
        "tasks": [dataclasses.asdict(task) for task in tasks],
        "rows": {},
        "ungradable": dict(dropped),
    }
    for split, entries in splits.items():
        rows = [_sft_row(entry, i) if split == "sft" else row(entry, i, split) for i, entry in enumerate(entries)]
        write_rows(out / f"{split}.parquet", rows, SFT_SCHEMA if split == "sft" else SCHEMA)
        manifest["rows"][split] = dict(sorted(Counter(entry.task for entry in entries).items()))
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_atomically(str(out / "manifest.json"), lambda path: Path(path).write_text(text))
    return manifest


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = Arguments(prog="python -m recipe.zppo.data.reasoning_gym", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=place, help="folder of the files")
    parser.add_argument("--task", action="append", default=[], metavar="NAME[:KEY=VALUE,...]", help="may be repeated")
    for split, rows in (("train", 2000), ("val", 200), ("sft", 0)):
        parser.add_argument(
            f"--{split}", type=at_least(0), default=rows, help=f"rows, over all tasks (default {rows}; 0: no file)"
        )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--exclude", type=place, nargs="*", default=[], help="data files whose questions must not occur"
    )
    options = parser.parse_args(arguments)
    sizes = {split: getattr(options, split) for split in SPLITS}
    tasks = [Task.parse(text) for text in options.task]
    manifest = convert(options.out, tasks, sizes, options.seed, options.exclude)
    for split, rows in manifest["rows"].items():
        print(f"{options.out / split}.parquet: {sum(rows.values())} rows, {rows}")
    for task, count in manifest["ungradable"].items():
        print(f"{task}: {count} questions left out, whose grader refuses their own answer, or takes any")
    return 0


if __name__ == "__main__":
    sys.exit(main())
