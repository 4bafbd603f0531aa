"""What the questions of one step have set in motion, and how it is kept over a restart (``schedule=next_step``)."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import CheckpointError
from recipe.zppo.methods.every_question import EveryQuestion
from recipe.zppo.sanitize import sanitize
from recipe.zppo.streaming_selection import StreamingSelection
from recipe.zppo.types import Candidate, Group, Kind, PromptId, Question, Rollout, TeacherAnswers, TeacherRollout


@dataclass(slots=True)
class StepWork:
    """What the questions of one step have set in motion. With ``next_step`` it outlives the step."""

    step: int
    cap: int
    questions: dict[PromptId, Question]
    order: dict[str, int]
    selection: StreamingSelection | EveryQuestion
    asks_hard: bool
    """The teacher is asked about a question because it is hard."""
    plain: dict[str, Group] = field(default_factory=dict)
    teacher: dict[str, TeacherAnswers] = field(default_factory=dict)
    lost: list[tuple[Group, str]] = field(default_factory=list)
    """As in `StepResult`."""
    queue: asyncio.Queue[Group | None] = field(default_factory=asyncio.Queue)
    """Reformulated groups ready for rollout; None closes it."""
    compressed: dict[tuple[str, str, int], asyncio.Future[Candidate]] = field(default_factory=dict)
    """By (prompt id, source, index of the rollout)."""
    teacher_tasks: dict[PromptId, asyncio.Task] = field(default_factory=dict)
    unheard: dict[PromptId, tuple[TeacherAnswers, Counter[str]]] = field(default_factory=dict)
    """Answers, and what to count with them, about questions whose plain group still runs."""
    preparing: int = 0
    closed: bool = False
    expired: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the step that rolls these questions' reformulations out no longer waits for the teacher."""
    expiry: asyncio.Task | None = None
    num_new: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    teacher_counts: Counter[str] = field(default_factory=Counter)


# Settings on which work that is under way depends: with others it could not be taken up.
_KEYS = {
    "next_step": "zppo.reformulation.schedule",
    "group_size": "actor_rollout_ref.rollout.n",
    "threshold": "zppo.threshold",
    "reformulation_fraction": "zppo.reformulation.fraction",
    "kinds": "the kinds of zppo.reformulation (method=)",
}


def _settings(zppo: ZPPOConfig, group_size: int) -> dict[str, Any]:
    """Their values, by the names of `_KEYS`."""
    reformulation = zppo.reformulation
    values = (reformulation.schedule == "next_step", group_size, zppo.threshold, reformulation.fraction, zppo.kinds)
    return dict(zip(_KEYS, values, strict=True))


def pack(work: StepWork, zppo: ZPPOConfig, group_size: int) -> dict[str, Any]:
    """Plain data from which `unpack` takes the work up again: outcomes, finished teacher answers and candidates.

    Only texts from which a candidate can still be drawn are kept: wrong rollouts of hard questions, and correct ones
    of the teacher.
    """
    hard = {prompt_id for prompt_id, group in work.plain.items() if group.accuracy < zppo.threshold}
    return {
        "settings": _settings(zppo, group_size),
        "step": work.step,
        "num_new": work.num_new,
        "teacher_counts": dict(work.teacher_counts),
        "order": list(work.questions),
        "rows": {prompt_id: (question.row, question.replayed) for prompt_id, question in work.questions.items()},
        "plain": {
            prompt_id: [_packed(rollout, prompt_id in hard and not rollout.correct) for rollout in group.rollouts]
            for prompt_id, group in work.plain.items()
        },
        "teacher": {
            prompt_id: asdict(answers) | {"rollouts": [_packed(r, r.correct) for r in answers.rollouts]}
            for prompt_id, answers in work.teacher.items()
        },
        "compressed": [
            (key, asdict(future.result()) | {"text": str(future.result().text)})
            for key, future in work.compressed.items()
            if future.done() and not future.cancelled() and future.exception() is None
        ],
    }


def _packed(rollout: Rollout | TeacherRollout, with_text: bool) -> dict[str, Any]:
    return asdict(rollout) | ({} if with_text else {"text": ""})


def check_settings(state: dict[str, Any], zppo: ZPPOConfig, group_size: int) -> None:
    """
    Raises:
        CheckpointError: the checkpoint's pending reformulations were built under other settings.
    """
    for name, value in _settings(zppo, group_size).items():
        if state["settings"][name] != value:
            raise CheckpointError(
                f"{_KEYS[name]} differs from the run that wrote the checkpoint, which holds reformulated questions "
                "built under it; set it back, or start afresh with trainer.resume_mode=disable"
            )


def without(state: dict[str, Any] | None, rows: Mapping[PromptId, int]) -> dict[str, Any] | None:
    """What `pack` gave, of the questions of ``rows`` only, which have other rows now; None if nothing is left."""
    if state is None or not any(prompt_id in rows for prompt_id in state["order"]):
        return None

    def kept(part: dict[PromptId, Any]) -> dict[PromptId, Any]:
        return {prompt_id: value for prompt_id, value in part.items() if prompt_id in rows}

    return state | {
        "order": [prompt_id for prompt_id in state["order"] if prompt_id in rows],
        "rows": {name: (rows[name], replayed) for name, (_, replayed) in kept(state["rows"]).items()},
        "plain": kept(state["plain"]),
        "teacher": kept(state["teacher"]),
        "compressed": [(key, candidate) for key, candidate in state["compressed"] if key[0] in rows],
    }


def unpack(state: dict[str, Any], work: StepWork) -> None:
    """Put the outcomes of ``state`` into fresh ``work``. Needs a running event loop."""
    for name, count in state.get("teacher_counts", {}).items():
        if not name.startswith(("compression/", "hint/", "mixed/")):  # counted again when the prompts are made again
            work.teacher_counts[name] = count
    for prompt_id, rollouts in state["plain"].items():
        uid = f"{work.step}.{work.order[prompt_id]:05d}.plain"
        group = Group(uid, Kind.PLAIN, work.questions[prompt_id], work.step)
        group.rollouts = [Rollout(**rollout) for rollout in rollouts]
        work.plain[prompt_id] = group
    for prompt_id, answers in state["teacher"].items():
        rollouts = tuple(TeacherRollout(**rollout) for rollout in answers["rollouts"])
        work.teacher[prompt_id] = TeacherAnswers(**(answers | {"rollouts": rollouts}))
    loop = asyncio.get_running_loop()
    for key, candidate in state["compressed"]:
        future = loop.create_future()
        future.set_result(Candidate(**candidate | {"text": sanitize(candidate["text"])}))
        work.compressed[tuple(key)] = future
