r"""The study's data: ``python examples/smollm2/study/data.py OUT``; half pair puzzles, half the recipe's arithmetic.

Writes `train`, `val` (held-out), `shifted`, `student` and `teacher` as .parquet; `manifest.json` is written last. No
question is in two of them. `shifted` asks for more than training does: one of five numbers, five terms, three animals.
`student` and `teacher` are worked answers for `sft.py`, in the short form of this study: lines, then a box, no tags.
An eighth of the student's questions are BCQ and an eighth NCQ, with made-up wrong responses: a model that was
fine-tuned on plain questions only does not read candidates any more.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from pairs import Puzzle, puzzles

from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.reasoning_gym import SFT_SCHEMA, draw_splits
from recipe.zppo.data.reasoning_gym_tasks import Entry, Task, row
from recipe.zppo.data.rows import SCHEMA
from recipe.zppo.data.worked_answers import SOLVERS
from recipe.zppo.prompts import Messages, append_to_last_user, bcq_messages, ncq_messages
from recipe.zppo.randomness import derive_seed, generator
from recipe.zppo.reward import extract_answer
from recipe.zppo.run.files import write_atomically

CLOSER = "Put the answer in \\boxed{}."
"""The runs have the same, as `zppo.answer.closer`."""

TASKS = tuple(
    map(
        Task.parse,
        (
            "chain_sum:min_terms=3,max_terms=4,min_digits=1,max_digits=1",
            "products:min_digits=1,max_digits=2",
            "leg_counting:min_animals=2,max_animals=2,max_instances=5",
        ),
    )
)
SHIFTED_TASKS = tuple(
    map(
        Task.parse,
        (
            "chain_sum:min_terms=5,max_terms=5,min_digits=1,max_digits=1",
            "leg_counting:min_animals=3,max_animals=3,max_instances=5",
        ),
    )
)
ROWS = {"val": (500, 500), "train": (600, 600), "student": (240, 240), "teacher": (800, 480)}
"""Puzzles and arithmetic of each file."""
SHIFTED_ROWS = (150, 150)
NUMBERS, SHIFTED_NUMBERS = 4, 5


def worked(entry: Entry) -> str:
    """A task's worked answer without the tags of thinking."""
    lines, answer = SOLVERS[entry.task](entry.metadata)
    if answer != entry.answer:
        raise SystemExit(f"{entry.task}: {lines} arrives at {answer}, not at {entry.answer}")
    return "\n".join([*lines, f"\\boxed{{{answer}}}"])


def wrong(entry: Entry, rng: random.Random) -> str:
    """The worked answer with another result in its last line and in the box."""
    *lines, last = worked(entry).splitlines()[:-1]
    result = int(entry.answer) + rng.choice((-10, -2, -1, 1, 2, 10))
    return "\n".join([*lines, f"{last.rpartition(' ')[0]} {result}", f"\\boxed{{{result}}}"])


def reformulated(messages: Messages, right: str, wrongs: list[str], place: int) -> Messages:
    """An eighth as BCQ, an eighth as NCQ, the others as they are."""
    if place % 8 == 2:
        return bcq_messages(messages, *((right, wrongs[0]) if place % 16 == 2 else (wrongs[0], right)))
    if place % 8 == 3:
        return ncq_messages(messages, [extract_answer(text) for text in wrongs], wrongs)
    return messages


def drawn_puzzles(split: str, count: int, numbers: int, taken: set[str]) -> list[Puzzle]:
    found: list[Puzzle] = []
    stream = puzzles(numbers, generator(0, "pairs", split))
    while len(found) < count:
        puzzle = next(stream)
        if puzzle.question not in taken:
            taken.add(puzzle.question)
            found.append(puzzle)
    return found


def drawn_entries() -> dict[str, list[Entry]]:
    """Arithmetic of each file. The student's and the teacher's come from one draw."""
    sizes = {"val": ROWS["val"][1], "train": ROWS["train"][1], "sft": ROWS["student"][1] + ROWS["teacher"][1]}
    splits, _ = draw_splits(TASKS, sizes, 0)
    taken = {entry.question for entries in splits.values() for entry in entries}
    shifted, _ = draw_splits(SHIFTED_TASKS, {"val": SHIFTED_ROWS[1]}, 0, taken)
    sft = splits.pop("sft")
    few = ROWS["student"][1]
    return {**splits, "shifted": shifted["val"], "student": sft[:few], "teacher": sft[few:]}


def rows_of(split: str, found: list[Puzzle], entries: list[Entry]) -> list[dict[str, Any]]:
    """Both kinds, mixed by a hash of the question."""
    name, rng = "sft" if split in ("student", "teacher") else split, generator(0, "wrong responses", split)
    rows = [puzzle.row(name, i) for i, puzzle in enumerate(found)]
    rows += [row(entry, len(found) + i, name) for i, entry in enumerate(entries)]
    if name == "sft":
        for place, (each, source) in enumerate(zip(rows, [*found, *entries], strict=True)):
            right = source.worked if isinstance(source, Puzzle) else worked(source)
            question: Messages = each["prompt"]
            if split == "student":
                wrongs = [
                    source.wrong(rng) if isinstance(source, Puzzle) else wrong(source, rng)
                    for _ in range(rng.randint(2, 4))
                ]
                question = reformulated(question, right, wrongs, place)
            asked = append_to_last_user(question, CLOSER)
            each["messages"] = [*asked, {"role": "assistant", "content": right}]
    return sorted(rows, key=lambda each: derive_seed(0, split, each["prompt_id"]))


def main() -> None:
    out = Path(sys.argv[1])
    if (out / "manifest.json").is_file():
        print(f"{out}: there already")
        return
    taken: set[str] = set()
    entries = drawn_entries()
    counts = {}
    for split in (*ROWS, "shifted"):
        count, numbers = (SHIFTED_ROWS[0], SHIFTED_NUMBERS) if split == "shifted" else (ROWS[split][0], NUMBERS)
        rows = rows_of(split, drawn_puzzles(split, count, numbers, taken), entries[split])
        schema: pa.Schema = SFT_SCHEMA if "messages" in rows[0] else SCHEMA
        write_rows(out / f"{split}.parquet", rows, schema)
        counts[split] = len(rows)
    text = json.dumps({"rows": counts, "closer": CLOSER}, indent=1) + "\n"
    write_atomically(str(out / "manifest.json"), lambda path: Path(path).write_text(text))
    print(f"{out}: {counts}")


if __name__ == "__main__":
    main()
