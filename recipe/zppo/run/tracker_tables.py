"""Tables for trackers: the hardest questions, and a sample of what was said under candidates.

W&B, MLflow and trackio get tables, TensorBoard gets them as text. What models and data have written is cut, and made
harmless to whoever would read markup in it.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipe.zppo.errors import first_line
from recipe.zppo.run.events import read_events
from recipe.zppo.run.rollout_log import RolloutLog

logger = logging.getLogger(__name__)

MOST_QUESTIONS = 50

GROUPS_OF_A_KIND = 8
"""BCQ and NCQ groups in the sample, of each as many, with one right and one wrong response where there are both."""

TEXT_LIMIT = 1200
"""Characters of a cell; of a longer text it has the beginning and the end."""


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[str, ...]
    rows: list[list[str | float]]


class TableLog:
    """A logger back end for verl's `Tracking`: with the metrics of a step that is due, its trackers get the tables.

    A tracker that refuses them is named in a warning, and the run goes on: they are in the run's folder anyway.
    """

    def __init__(self, trackers: dict[str, Any], events_file: Path, rollouts: RolloutLog, every: int, last: int):
        """
        Args:
            trackers: `Tracking.logger`; those that can't take tables get none.
            every: steps between two times, `trainer.test_freq`; not positive for the last step only.
        """
        self.trackers = {name: tracker for name, tracker in trackers.items() if name in _WRITERS}
        self.events_file, self.rollouts, self.every, self.last = events_file, rollouts, every, last

    def log(self, data: dict[str, Any], step: int, **_: Any) -> None:
        due = step == self.last or (self.every > 0 and step % self.every == 0)
        if not (self.trackers and step and due):
            return
        made = [hardest_questions(self.events_file), *self._said(step)]
        tables = [table for table in made if table.rows]
        for name, tracker in self.trackers.items():
            try:
                _WRITERS[name](tracker, tables, step)
            except Exception as error:  # a tracker raises what it likes
                logger.warning("%s did not take the tables of step %d: %s", name, step, first_line(error))

    def _said(self, step: int) -> Iterator[Table]:
        self.rollouts.flush()
        if (path := self.rollouts.path(step)) is not None:
            yield candidate_rollouts(path)


def hardest_questions(events_file: Path) -> Table:
    """Of the replay buffer as it is now: the lowest accuracy in the last visit first; of these, the most visits."""
    inside: dict[str, dict[str, Any]] = {}
    for event in read_events(events_file, "admitted", "visited", "graduated", "evicted"):
        match event["type"]:
            case "admitted":
                inside[event["prompt_id"]] = event | {"visits": 0, "last": event["accuracy"]}
            case "visited" if event["prompt_id"] in inside:
                inside[event["prompt_id"]] |= {"visits": event["visits"], "last": event["accuracy"]}
            case "graduated" | "evicted":
                inside.pop(event["prompt_id"], None)
    hardest = sorted(inside.values(), key=lambda each: (each["last"], -each["visits"], each["step"]))[:MOST_QUESTIONS]
    rows = [
        [
            plain(each["prompt_id"]),
            plain(each["question"]),
            plain(each["source"]),
            each["step"],
            each["accuracy"],
            each["visits"],
            each["last"],
        ]
        for each in hardest
    ]
    columns = ("id", "question", "source", "entered in step", "accuracy at entry", "visits", "last accuracy")
    return Table("hardest_questions", columns, rows)


def candidate_rollouts(path: Path) -> Table:
    """Of a rollout file; no rows for one that is missing."""
    rows: list[list[str | float]] = []
    for group in _candidate_groups(path):
        prompt = "\n".join(message["content"] for message in group["prompt"])
        for right in (True, False):
            response = next((each for each in group["responses"] if (each["reward"] > 0) == right), None)
            if response is not None:
                texts = map(plain, (prompt, response["text"], response["answer"], group["ground_truth"]))
                rows.append([group["kind"], plain(group["prompt_id"]), *texts, response["reward"], group["accuracy"]])
    columns = ("kind", "id", "prompt", "response", "answer", "gold", "reward", "accuracy of the group")
    return Table("candidate_rollouts", columns, rows)


def _candidate_groups(path: Path) -> Iterator[dict[str, Any]]:
    left = {"bcq": GROUPS_OF_A_KIND, "ncq": GROUPS_OF_A_KIND}
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError:
        return
    with file:
        for line in file:
            if not any(f'"kind": "{kind}"' in line[:2000] for kind in left):
                continue
            group = json.loads(line)
            if left.get(group["kind"]):
                left[group["kind"]] -= 1
                yield group
            if not any(left.values()):
                return


def plain(text: Any) -> str:
    """One line of at most `TEXT_LIMIT` characters, and nothing that HTML or Markdown takes for a tag or a link."""
    line = str(text)
    if len(line) > TEXT_LIMIT:
        half = (TEXT_LIMIT - 20) // 2
        line = f"{line[:half]} [...] {line[-half:]}"
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in line).split())
    line = re.sub(r"<(?=[A-Za-z/!?])", "< ", line)[:TEXT_LIMIT]
    return re.sub(r"\](?=[(\[:])", "] ", line)[:TEXT_LIMIT]


def _to_wandb(wandb: Any, tables: Sequence[Table], step: int) -> None:
    wandb.log({f"zppo/{t.name}": wandb.Table(columns=list(t.columns), data=t.rows) for t in tables}, step=step)


def _to_mlflow(_: Any, tables: Sequence[Table], step: int) -> None:
    import mlflow

    for table in tables:
        data = {column: [row[i] for row in table.rows] for i, column in enumerate(table.columns)}
        mlflow.log_table(data, artifact_file=f"zppo/{table.name}/step_{step:06d}.json")


def _to_trackio(_: Any, tables: Sequence[Table], step: int) -> None:
    import pandas as pd
    import trackio

    frames = {f"zppo/{t.name}": pd.DataFrame(t.rows, columns=list(t.columns)) for t in tables}
    trackio.log({name: trackio.Table(dataframe=frame) for name, frame in frames.items()}, step=step)


def _to_tensorboard(tensorboard: Any, tables: Sequence[Table], step: int) -> None:
    """As blocks of code, in which Markdown reads nothing."""
    for table in tables:
        cells = [[f"    {name}: {cell}" for name, cell in zip(table.columns, row, strict=True)] for row in table.rows]
        text = "\n    \n".join("\n".join(lines) for lines in cells)
        tensorboard.writer.add_text(f"zppo/{table.name}", text, step)


_WRITERS: dict[str, Callable[[Any, Sequence[Table], int], None]] = {
    "wandb": _to_wandb,
    "mlflow": _to_mlflow,
    "trackio": _to_trackio,
    "tensorboard": _to_tensorboard,
}
