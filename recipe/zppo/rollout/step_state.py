"""What the questions of one step have set in motion, and how it is kept over a restart (``schedule=next_step``)."""

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import CheckpointError
from recipe.zppo.methods import METHODS, Method
from recipe.zppo.methods.every_question import EveryQuestion
from recipe.zppo.sanitize import sanitize
from recipe.zppo.streaming_selection import StreamingSelection
from recipe.zppo.types import Candidate, Group, Kind, Question, Rollout, TeacherAnswers, TeacherRollout


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    group_size: int
    teacher_rollouts: int
    threshold: float
    reformulation_fraction: float
    kinds: tuple[Kind, ...]
    """Extra groups, `ZPPOConfig.kinds`."""
    next_step: bool
    seed: int
    rollout_timeout_s: float
    """Limit for one group of rollouts."""
    step_timeout_s: float
    """Limit for all generation of a step."""
    teacher_step_timeout_s: float
    """How long a step waits for teacher work once its plain groups are complete; what is late counts as no answer."""
    prefix_fraction: float = 0.4
    num_teachers: int = 1
    """Asked in turn until one is right."""

    @property
    def off_policy(self) -> Kind | None:
        """The kind whose responses are not the student's, with which every question has such a group."""
        return next((kind for kind in self.kinds if METHODS[kind].off_policy), None)

    @property
    def helped(self) -> Method | None:
        """The method that needs somebody's correct response: who that is, it says."""
        return next((METHODS[kind] for kind in self.kinds if METHODS[kind].needs_help), None)

    @classmethod
    def of(cls, config: DictConfig, zppo: ZPPOConfig) -> "PipelineSettings":
        """Of a composed config."""
        return cls(
            group_size=config.actor_rollout_ref.rollout.n,
            teacher_rollouts=zppo.teacher.n_rollouts,
            threshold=zppo.threshold,
            reformulation_fraction=zppo.reformulation.fraction,
            kinds=zppo.kinds,
            next_step=zppo.reformulation.schedule == "next_step",
            seed=zppo.seed,
            rollout_timeout_s=zppo.timeouts.rollout_s,
            step_timeout_s=zppo.timeouts.step_s,
            teacher_step_timeout_s=zppo.teacher.step_timeout_s,
            prefix_fraction=zppo.reformulation.prefix_fraction,
            num_teachers=max(1, len(zppo.teacher_paths)),
        )


@dataclass(slots=True)
class StepWork:
    """What the questions of one step have set in motion. With ``next_step`` it outlives the step."""

    step: int
    cap: int
    questions: dict[str, Question]
    order: dict[str, int]
    selection: StreamingSelection | EveryQuestion
    plain: dict[str, Group] = field(default_factory=dict)
    teacher: dict[str, TeacherAnswers] = field(default_factory=dict)
    queue: asyncio.Queue[Group | None] = field(default_factory=asyncio.Queue)
    """Reformulated groups ready for rollout; None closes it."""
    compressed: dict[tuple[str, str, int], asyncio.Future[Candidate]] = field(default_factory=dict)
    """By (prompt id, source, index of the rollout)."""
    teacher_tasks: dict[str, asyncio.Task] = field(default_factory=dict)
    preparing: int = 0
    closed: bool = False
    expired: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the step that rolls these questions' reformulations out no longer waits for the teacher."""
    expiry: asyncio.Task | None = None
    num_new: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    teacher_counts: Counter[str] = field(default_factory=Counter)


# Settings on which work that is under way depends: with others it could not be taken up.
_KEPT = {
    "next_step": "zppo.reformulation.schedule",
    "group_size": "actor_rollout_ref.rollout.n",
    "threshold": "zppo.threshold",
    "reformulation_fraction": "zppo.reformulation.fraction",
    "kinds": "the kinds of zppo.reformulation (method=)",
}


def pack(work: StepWork, settings: PipelineSettings) -> dict[str, Any]:
    """Plain data from which `unpack` takes the work up again: outcomes, finished teacher answers and candidates.

    Only texts from which a candidate can still be drawn are kept: wrong rollouts of hard questions, and correct ones
    of the teacher.
    """
    hard = {prompt_id for prompt_id, group in work.plain.items() if group.accuracy < settings.threshold}
    return {
        "settings": {name: getattr(settings, name) for name in _KEPT},
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


def check_settings(state: dict[str, Any], settings: PipelineSettings) -> None:
    """
    Raises:
        CheckpointError: the checkpoint's pending reformulations were built under other settings.
    """
    for name, key in _KEPT.items():
        if state["settings"][name] != getattr(settings, name):
            raise CheckpointError(
                f"{key} differs from the run that wrote the checkpoint, which holds reformulated questions built under "
                "it; set it back, or start afresh with trainer.resume_mode=disable"
            )


def unpack(state: dict[str, Any], work: StepWork) -> None:
    """Put the outcomes of ``state`` into fresh ``work``. Needs a running event loop."""
    for name, count in state.get("teacher_counts", {}).items():
        if not name.startswith(("compression/", "hint/")):  # counted again when the prompts are made again
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
