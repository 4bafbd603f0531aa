"""What a step did to the hard questions, as numbers under ``zppo/``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recipe.zppo.advantage import group_statistics
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.judge import Verdict, is_free_form
from recipe.zppo.methods import DEFAULT_KINDS, METHODS
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.step import is_off_policy, is_trivial
from recipe.zppo.types import Group, Kind, Rollout, StepResult, TeacherRollout


def step_metrics(result: StepResult, report: Any, buffer: PromptReplayBuffer, config: ZPPOConfig) -> dict[str, float]:
    """All ZPPO metrics of one step; a mean over nothing is left out.

    Keys: ``zppo/accuracy/*`` plain accuracy of new and replayed questions; ``zppo/hard_share``;
    ``zppo/reward/no_answer_share`` plain rollouts without an answer that can be read; ``zppo/reward/doubtful`` rewards
    on which the graders differ; ``zppo/{bcq,ncq}/*``; ``zppo/judge/*`` verdicts on
    answers of student and teacher; ``zppo/teacher/*`` on the hard questions; ``zppo/buffer/*``;
    ``zppo/batch/*`` shares of the batch (Fig. 5), of trivial groups and of positive advantages (Fig. 22);
    ``zppo/compression/*``; ``zppo/tokens/*``; ``zppo/time_s/*``.
    """
    metrics: dict[str, float | None] = {}
    metrics |= _plain_metrics(result, config.threshold)
    kinds = dict.fromkeys((*DEFAULT_KINDS, *config.kinds))
    for kind in kinds:
        groups = [group for group in result.reformulated if group.kind is kind]
        metrics |= METHODS[kind].metrics(groups, result.counts)
    metrics |= _teacher_metrics(result, config)
    for teacher in range(len(config.teacher_paths)) if config.teacher.more else ():
        for outcome in ("asked", "solved"):
            metrics[f"zppo/teacher/{teacher}/{outcome}"] = result.counts[f"teacher/{teacher}/{outcome}"]
    metrics |= _batch_metrics([group for group in result.groups if not is_off_policy(group)], config, kinds)
    metrics |= _count_metrics(result)
    if config.reward.grader == "paper":
        metrics["zppo/reward/doubtful"] = sum(rollout.doubtful for group in result.groups for rollout in group.rollouts)
    if config.judge.enable:
        metrics |= _judge_metrics(result, config.judge.route)
    metrics |= _time_metrics(result)
    if report is not None:
        metrics |= {f"zppo/buffer/{name}": value for name, value in buffer.metrics().items()}
        metrics["zppo/buffer/step_admitted"] = len(report.admitted)
        metrics["zppo/buffer/step_graduated"] = len(report.graduated)
        metrics["zppo/buffer/step_evicted"] = len(report.evicted)
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _plain_metrics(result: StepResult, threshold: float) -> dict[str, float | None]:
    new = [group for group in result.plain if not group.question.replayed]
    replayed = [group for group in result.plain if group.question.replayed]
    return {
        "zppo/accuracy/all": _accuracy(result.plain),
        "zppo/accuracy/new": _accuracy(new),
        "zppo/accuracy/replayed": _accuracy(replayed),
        "zppo/questions/new": len(new),
        "zppo/questions/replayed": len(replayed),
        "zppo/hard_share": _mean(group.accuracy < threshold for group in result.plain),
        "zppo/all_wrong_share": _mean(group.num_correct == 0 for group in result.plain),
        "zppo/reward/no_answer_share": _mean(
            not rollout.answer for group in result.plain for rollout in group.rollouts
        ),
    }


def _teacher_metrics(result: StepResult, config: ZPPOConfig) -> dict[str, float | None]:
    answers = list(result.teacher.values())
    asked = [answer for answer in answers if config.asks_teacher and (answer.rollouts or answer.failed)]
    hard = [group for group in result.source_plain.values() if group.accuracy < config.threshold]
    return {
        "zppo/teacher/asked": len(asked),
        "zppo/teacher/accuracy": _mean(rollout.correct for answer in asked for rollout in answer.rollouts),
        "zppo/teacher/solved_share": _mean(bool(answer.correct) for answer in asked),
        "zppo/teacher/failed_requests": sum(answer.failed for answer in asked),
        "zppo/teacher/late": result.counts["teacher/late"],
        "zppo/teacher/unused": result.counts["teacher/unused"],
        # Of the questions that the teacher was done with; what was cancelled as no longer needed is not counted.
        "zppo/bcq/eligible_share": _mean(bool(answer.correct) for answer in asked),
        "zppo/ncq/eligible_share": _mean(bool(group.wrong) for group in hard),
    }


def _batch_metrics(groups: list[Group], config: ZPPOConfig, kinds: Iterable[Kind]) -> dict[str, float | None]:
    easy = [g for g in groups if g.kind is Kind.PLAIN and g.accuracy >= config.threshold]
    rewards = [(rollout.reward, group.uid) for group in groups for rollout in group.rollouts]
    statistics = group_statistics(*map(np.array, zip(*rewards, strict=True)))
    return {
        "zppo/batch/groups": len(groups),
        "zppo/batch/easy_share": len(easy) / len(groups) if groups else None,
        **{
            f"zppo/batch/{kind.value}_share": _mean(group.kind is kind for group in groups)
            for kind in kinds
            if not METHODS[kind].off_policy
        },
        "zppo/batch/dropped_trivial": sum(map(is_trivial, groups)) if config.dynamic_sampling else None,
        "zppo/batch/trivial_group_share": statistics.trivial_group_share,
        "zppo/batch/positive_advantage_share": statistics.positive_advantage_share,
        "zppo/tokens/student": sum(r.num_tokens - r.num_given for group in groups for r in group.rollouts),
        "zppo/tokens/student_mean": _mean(rollout.num_tokens for group in groups for rollout in group.rollouts),
    }


def _count_metrics(result: StepResult) -> dict[str, float | None]:
    compressions = {k.removeprefix("compression/"): n for k, n in result.counts.items() if k.startswith("compression/")}
    total = sum(compressions.values())
    fall_backs = sum(n for name, n in compressions.items() if name.startswith("tail:"))
    metrics = {
        "zppo/compression/count": total,
        "zppo/compression/fall_back_share": fall_backs / total if total else None,
        "zppo/rollouts/failed": result.counts["rollouts/failed"],
        "zppo/questions/failed": result.counts["questions/failed"],
    }
    for name, count in result.counts.items():
        if name.startswith("summaries/"):
            metrics[f"zppo/compression/{name.removeprefix('summaries/')}"] = count
    for name, count in compressions.items():
        metrics[f"zppo/compression/{name.replace('tail:', 'fall_back_')}"] = count
    for reason in ("too_long", "timeout", "generation", "judge"):
        metrics[f"zppo/rollouts/failed_{reason}"] = result.counts[f"rollouts/{reason}"]
    answers = sum(r.num_tokens for answer in result.teacher.values() for r in answer.rollouts)
    metrics["zppo/tokens/teacher"] = answers + result.counts["tokens"] + result.counts["hint/tokens"]
    return metrics


def _judge_metrics(result: StepResult, route: str) -> dict[str, float | None]:
    """Verdicts on rollouts that are in the step's groups and answers, and rollouts lost for want of one."""
    groups = [*result.groups, *result.source_plain.values()]
    marked = {group.question.prompt_id for group in groups if is_free_form(group.question.data)}
    graded: list[tuple[str, Sequence[Rollout | TeacherRollout]]]
    graded = [(group.question.prompt_id, group.rollouts) for group in result.groups if not is_off_policy(group)]
    graded += [(prompt_id, answers.rollouts) for prompt_id, answers in result.teacher.items()]
    rollouts = [rollout for _, each in graded for rollout in each]
    verdicts = Counter(rollout.verdict for rollout in rollouts if rollout.verdict)
    free_form = verdicts.total()
    if route == "unresolved":
        free_form = sum(bool(rollout.verdict) for prompt_id, each in graded if prompt_id in marked for rollout in each)
    return {
        "zppo/judge/verdicts": verdicts.total(),
        "zppo/judge/free_form": free_form,
        "zppo/judge/unresolved": verdicts.total() - free_form,
        **{f"zppo/judge/{verdict}": verdicts[verdict] for verdict in Verdict},
        "zppo/judge/failed": result.counts["rollouts/judge"] + sum(a.unjudged for a in result.teacher.values()),
        "zppo/tokens/judge": sum(rollout.judge_tokens for rollout in rollouts),
    }


def _time_metrics(result: StepResult) -> dict[str, float | None]:
    seconds = result.seconds
    return {
        "zppo/time_s/plain": seconds["plain"],
        "zppo/time_s/generation": seconds["wait"],
        "zppo/time_s/teacher": seconds["teacher"],
        "zppo/time_s/teacher_exposed": seconds["exposed"],
        "zppo/time_s/teacher_hidden_share": 1 - seconds["exposed"] / seconds["teacher"] if seconds["teacher"] else None,
    }


def actor_metrics(output: dict[str, Any]) -> dict[str, Any]:
    """Metrics of the actor update under verl's names."""
    from verl.utils.metric import reduce_metrics
    from verl.utils.py_functional import rename_dict

    renamed = rename_dict(output, "actor/")
    if "actor/mfu" in renamed:
        renamed["perf/mfu/actor"] = renamed.pop("actor/mfu")
    return reduce_metrics(renamed)


def validation_counts(
    data_sources: Iterable[str], uids: Iterable[str], expected: Mapping[tuple[str, str], int] | None
) -> dict[str, int]:
    """Validation questions of each data source; ``expected`` names those as well of which every rollout failed."""
    seen = {(str(source), str(uid)) for source, uid in zip(data_sources, uids, strict=True)}
    counts = Counter(source for source, _ in seen | set(expected or ()))
    return {f"zppo/validation/{source}/questions": count for source, count in counts.items()}


def _accuracy(groups: list[Group]) -> float | None:
    return _mean(group.accuracy for group in groups)


def _mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return sum(values) / len(values) if values else None
