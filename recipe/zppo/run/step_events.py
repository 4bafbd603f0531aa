"""What a step was, as events (`recipe.zppo.run.events`)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from recipe.zppo.compression import folded_answer
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.methods import METHODS
from recipe.zppo.methods.candidate_questions import form_of
from recipe.zppo.prompts import question_text
from recipe.zppo.replay_buffer import BufferEntry, UpdateReport
from recipe.zppo.run.events import TEXT_LIMIT
from recipe.zppo.step import StepOutcome
from recipe.zppo.types import Candidate, Group, Kind, Question, Rollout, StepResult, TeacherAnswers, TeacherRollout

REASONS = {
    "cap": "eligible, but behind the most that a step reformulates (rho_aug)",
    "teacher_wrong": "no response of the teacher was right",
    "teacher_failed": "the teacher gave no response",
    "teacher_not_asked": "the teacher was not asked, or its answer not waited for: behind the cap either way",
    "no_solution": "the data have no worked solution",
    "nothing_to_show": "of two forms of candidates, or the hint would not do",
    "does_not_fit": "too long for the context",
    "failed": "no rollouts came",
}
"""Of `Skipped`, and what they mean."""

Place = Callable[[int], str]
"""File and row of a row of the training data."""


def step_events(outcome: StepOutcome, config: ZPPOConfig, place: Place | None = None) -> Iterator[Any]:
    """All events (`Event`) of a step but its metrics, in an order that does not depend on what was finished first."""
    result, trained = outcome.result, {group.uid for group in outcome.trained}
    common = {"step": result.step, "built_in_step": result.source_step}
    for line, group in enumerate(result.groups):
        if group.kind is Kind.PLAIN:
            yield _rolled_out(group, result, line, group.uid in trained, place)
    for prompt_id in result.asked:
        yield {"type": "teacher_asked", **common, "prompt_id": prompt_id}
    for prompt_id in result.asked:
        answers = result.teacher.get(prompt_id)
        if answers is not None and (answers.rollouts or answers.failed):
            yield _answered(prompt_id, answers, common)
    yield from _skipped(result, config, common)
    for line, group in enumerate(result.groups):
        if group.kind is not Kind.PLAIN:
            yield _reformulated(group, result.step)
            yield _rolled_out(group, result, line, group.uid in trained, place)
    if outcome.report is not None:
        questions = {group.question.prompt_id: group.question for group in result.plain}
        yield from buffer_events(outcome.report, result.step, questions)


def buffer_events(report: UpdateReport, step: int, questions: Mapping[Any, Question]) -> Iterator[Any]:
    """What an update did, in an order that rebuilds the buffer."""
    for entry in report.visited:
        accuracy = entry.visits[-1][1]
        yield {
            "type": "visited", "step": step, "prompt_id": _id(entry), "accuracy": accuracy, "visits": len(entry.visits)
        }  # fmt: skip
    for entry in report.admitted:
        question = questions[entry.prompt_id]
        yield {
            "type": "admitted",
            "step": step,
            "prompt_id": _id(entry),
            "row": int(entry.reference),
            "accuracy": entry.entry_accuracy,
            "source": source_of(question),
            "question": cut(question_text(question.messages)),
        }
    for entry in report.graduated:
        yield {"type": "graduated", **_left(entry, step)}
    for entry in report.evicted:
        yield evicted(entry, step, "capacity")


def evicted(entry: BufferEntry, step: int, reason: str) -> Any:
    improved = any(accuracy > entry.entry_accuracy for _, accuracy in entry.visits)
    return {"type": "evicted", **_left(entry, step), "improved": improved, "reason": reason}


def follows(answer: str, candidates: tuple[Candidate, ...]) -> list[int]:
    """Which candidates give this answer. A summary may give another one than its response: the summary is read."""
    given = folded_answer(answer)
    shown = [folded_answer(candidate.shown_answer or candidate.answer) for candidate in candidates]
    return [place for place, answer in enumerate(shown) if given and answer == given]


def source_of(question: Question) -> str:
    return str(question.data.get("data_source") or "")


def media_of(question: Question) -> list[str]:
    """image or video, for each in the messages."""
    contents = [message["content"] for message in question.messages if not isinstance(message["content"], str)]
    return [part["type"] for parts in contents for part in parts if part["type"] != "text"]


def cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]} [... {len(text) - TEXT_LIMIT} characters]"


def _rolled_out(group: Group, result: StepResult, line: int, trained: bool, place: Place | None) -> Any:
    question, media = group.question, media_of(group.question)
    return {
        "type": "rolled_out",
        "step": result.step,
        "built_in_step": group.step,
        "uid": group.uid,
        "prompt_id": question.prompt_id,
        "kind": group.kind.value,
        "replayed": question.replayed,
        "row": question.row,
        "source": source_of(question),
        "ground_truth": cut(str(question.data.get("reward_model", {}).get("ground_truth", ""))),
        "accuracy": group.accuracy,
        "responses": [_response(rollout, group.candidates) for rollout in group.rollouts],
        "failures": [cut(f"{failure.reason}: {failure.detail}") for failure in group.failures],
        "trained": trained,
        "line": line,
        **({"media": media} if media else {}),
        **({"place": place(question.row)} if media and place else {}),
    }


def _response(rollout: Rollout, candidates: tuple[Candidate, ...]) -> dict[str, Any]:
    return {
        "reward": rollout.reward,
        "answer": cut(rollout.answer),
        "num_tokens": rollout.num_tokens,
        **({"num_given": rollout.num_given} if rollout.num_given else {}),
        **({"verdict": rollout.verdict} if rollout.verdict else {}),
        **({"doubtful": True} if rollout.doubtful else {}),
        **({"follows": follows(rollout.answer, candidates)} if candidates else {}),
    }


def _reformulated(group: Group, step: int) -> Any:
    return {
        "type": "reformulated",
        "step": step,
        "built_in_step": group.step,
        "uid": group.uid,
        "prompt_id": group.question.prompt_id,
        "kind": group.kind.value,
        "candidates": [
            {
                "source": candidate.source,
                "correct": candidate.correct,
                "answer": cut(candidate.answer),
                "shown_answer": cut(candidate.shown_answer),
                "compression": candidate.compression,
                **({"rejected": list(candidate.rejected)} if candidate.rejected else {}),
            }
            for candidate in group.candidates
        ],
        **({"form": form_of(group.candidates)} if group.candidates else {}),
    }


def _answered(prompt_id: str, answers: TeacherAnswers, common: dict[str, int]) -> Any:
    def response(rollout: TeacherRollout) -> dict[str, Any]:
        said = {"reward": rollout.reward, "answer": cut(rollout.answer or ""), "num_tokens": rollout.num_tokens}
        return said | ({"verdict": rollout.verdict} if rollout.verdict else {})

    return {
        "type": "teacher_answered",
        **common,
        "prompt_id": prompt_id,
        "teacher": answers.teacher,
        "responses": [response(rollout) for rollout in answers.rollouts],
        "failed": answers.failed,
        "error": cut(answers.error),
    }


def _skipped(result: StepResult, config: ZPPOConfig, common: dict[str, int]) -> Iterator[Any]:
    """Hard questions without one of the run's groups, and questions of which every rollout failed."""
    lost = {(group.question.prompt_id, group.kind): (group.step, reason) for group, reason in result.lost}
    built = {(group.question.prompt_id, group.kind) for group in result.groups}
    for prompt_id, group in result.source_plain.items():
        for kind in config.kinds:
            due = METHODS[kind].off_policy or group.accuracy < config.threshold
            if due and (prompt_id, kind) not in built and (prompt_id, kind) not in lost:
                lost[prompt_id, kind] = group.step, _why(kind, prompt_id, result)
    for (prompt_id, kind), (built_in_step, reason) in lost.items():
        yield {
            "type": "skipped",
            "step": common["step"],
            "built_in_step": built_in_step,
            "prompt_id": prompt_id,
            "kind": kind.value,
            "reason": reason,
        }


def _why(kind: Kind, prompt_id: str, result: StepResult) -> str:
    """Of `REASONS`, for a hard question of which the group was not begun."""
    answers, method = result.teacher.get(prompt_id), METHODS[kind]
    if not method.needs_help or (answers is not None and answers.correct):
        return "cap"
    if answers is None:
        return "teacher_not_asked"
    if not method.asks_teacher:
        return "no_solution"
    return "teacher_wrong" if answers.rollouts else "teacher_failed"


def _left(entry: BufferEntry, step: int) -> dict[str, Any]:
    return {
        "step": step,
        "prompt_id": _id(entry),
        "entry_step": entry.entry_step,
        "entry_accuracy": entry.entry_accuracy,
        "visits": len(entry.visits),
    }


def _id(entry: BufferEntry) -> str:
    return str(entry.prompt_id)
