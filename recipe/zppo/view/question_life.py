"""What happened to every hard question of a run, from its events: each time it was drawn, and how it left."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.groups import joined_groups

INSIDE, GRADUATED, IMPROVED, NEVER_IMPROVED, LEFT_OUT = "inside", "graduated", "improved", "never improved", "left out"
"""Fates. Improved and never improved ones were evicted (Fig. 24); left out: hard, in a run without a buffer."""


@dataclass(slots=True)
class Draw:
    """One time that the question was drawn: new, or from the buffer.

    Groups are those of `joined_groups`, as `with_texts` leaves them with what was shown and said in full.
    """

    step: int
    """That drew it. Its groups with candidates may be of the step after (``schedule=next_step``)."""
    plain: dict[str, Any]
    extra: list[dict[str, Any]] = field(default_factory=list)
    """BCQ, NCQ and the like."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why there is no group of a kind."""
    teacher: dict[str, Any] | None = None
    """`TeacherAnswered`"""

    @property
    def accuracy(self) -> float:
        return self.plain["accuracy"]

    @property
    def groups(self) -> list[dict[str, Any]]:
        return [self.plain, *self.extra]


@dataclass(slots=True)
class Life:
    prompt_id: str
    draws: list[Draw] = field(default_factory=list)
    """In the order of their steps."""
    fate: str = LEFT_OUT
    question: str = ""
    """Its beginning."""
    entry_step: int | None = None
    entry_accuracy: float | None = None
    """Of the last time that it entered the buffer."""
    left_step: int | None = None
    visits: int = 0
    """Drawn again since it entered."""

    @property
    def source(self) -> str:
        return self.draws[0].plain["source"] if self.draws else ""

    @property
    def ground_truth(self) -> str:
        return self.draws[0].plain["ground_truth"] if self.draws else ""


def lives(folder: RunFolder) -> list[Life]:
    """Of all questions that were ever hard, in the order in which they were first drawn; without texts."""
    found: dict[str, Life] = {}
    draws: dict[tuple[str, int], Draw] = {}
    for group in joined_groups(folder.events("rolled_out", "reformulated")):
        prompt_id, built = group["prompt_id"], group["built_in_step"]
        if group["kind"] == "plain":
            draws[prompt_id, built] = draw = Draw(built, group)
            found.setdefault(prompt_id, Life(prompt_id)).draws.append(draw)
        elif (prompt_id, built) in draws:
            draws[prompt_id, built].extra.append(group)
    hard = set()
    types = ("skipped", "teacher_answered", "admitted", "visited", "graduated", "evicted")
    for event in folder.events(*types):
        prompt_id = event["prompt_id"]
        life = found.setdefault(prompt_id, Life(prompt_id))
        hard.add(prompt_id)
        _apply(event, life, draws)
    hard |= {prompt_id for (prompt_id, _), draw in draws.items() if draw.extra}
    return [life for prompt_id, life in found.items() if prompt_id in hard]


def _apply(event: dict[str, Any], life: Life, draws: dict[tuple[str, int], Draw]) -> None:
    match event["type"]:
        case "skipped" if draw := draws.get((life.prompt_id, event["built_in_step"])):
            draw.skipped[event["kind"]] = event["reason"]
        case "teacher_answered" if draw := draws.get((life.prompt_id, event["built_in_step"])):
            draw.teacher = event
        case "admitted":
            life.fate, life.question, life.visits, life.left_step = INSIDE, event["question"], 0, None
            life.entry_step, life.entry_accuracy = event["step"], event["accuracy"]
        case "visited":
            life.visits = event["visits"]
        case "graduated":
            life.fate, life.left_step = GRADUATED, event["step"]
        case "evicted":
            life.fate, life.left_step = IMPROVED if event["improved"] else NEVER_IMPROVED, event["step"]


def with_texts(folder: RunFolder, chosen: Iterable[Life]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The groups of these questions, each with its line of the rollout file: what was shown and said in full.

    Every file is read once, and of it only these lines are parsed. A group whose file is missing is left out.
    """
    wanted: dict[int, dict[int, dict[str, Any]]] = {}
    for life in chosen:
        for draw in life.draws:
            for group in draw.groups:
                wanted.setdefault(group["step"], {})[group["line"]] = group
    for step, groups in sorted(wanted.items()):
        for number, line in folder.texts(step, groups):
            if line["uid"] == groups[number]["uid"]:
                yield groups[number], line
