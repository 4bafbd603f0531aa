"""A run's folder without a run: the project's own metrics, buffer and logs over rollouts that are drawn at random."""

import math
import random
from collections import Counter
from pathlib import Path

import yaml

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.methods import METHODS
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.rollout.pipeline import StepResult
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.metrics import step_metrics, validation_counts
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.status import StatusFile
from recipe.zppo.sanitize import sanitize
from recipe.zppo.step import StepOutcome, training_groups
from recipe.zppo.types import Candidate, Group, Kind, Question, Rollout, TeacherAnswers, TeacherRollout

GROUP = 8
VAL_QUESTIONS = 256
CHANCES = {Kind.BCQ: 0.4, Kind.NCQ: 0.15, Kind.HINT: 0.45, Kind.PREFIX: 0.6}


def write_run(
    folder: Path,
    *,
    config: ZPPOConfig | None = None,
    steps: int = 12,
    total_steps: int = 12,
    seed: int = 0,
    teacher_dies_at: int = 99,
    source: str = "price_list",
    new: int = 16,
    replayed: int = 4,
    reformulated: int = 2,
    text: str = "text",
) -> Path:
    """All files of ``steps`` steps; each has so many ``new`` and ``replayed`` questions and ``reformulated`` ones of
    them, in as many groups as there are kinds. At the paper's scale they are 384, 96 and 48. ``text`` is what everybody
    says.
    """
    made = _SyntheticSteps(
        config or ZPPOConfig(), total_steps, seed, teacher_dies_at, (new, replayed, reformulated), text
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config_1.yaml").write_text(yaml.safe_dump({"zppo": made.config.model_dump(mode="json", warnings=False)}))
    log = MetricsLog(str(folder / "metrics.jsonl"))
    events = EventLog(str(folder / "events.jsonl"))
    rollout_log = RolloutLog(str(folder / "rollouts"), None)
    status = StatusFile(str(folder / "status.json"))
    status.total_steps = total_steps
    for each in (log, events):
        each.resume(0)
        each.log(_validation(source, 0.203125), 0)
    for step in range(1, steps + 1):
        result = made.roll_out(step)
        outcome = made.learn(result)
        events.step(outcome, made.config)
        metrics = made.metrics(outcome)
        if step == total_steps:
            metrics |= _validation(source, 0.8203125) | {"timing_s/testing": 3.0}
        rollout_log.write(result)
        for each in (log, events):
            each.log(metrics, step)
        status.write(step, "update")
    rollout_log.close()
    if steps == total_steps:
        _finish(folder, status, steps)
        events.checkpointed(steps)
    log.finish()
    events.finish()
    return folder


def _finish(folder: Path, status: StatusFile, step: int) -> None:
    status.write(step, "done")
    checkpoint = folder / f"global_step_{step}"
    (checkpoint / "actor").mkdir(parents=True)
    (checkpoint / "zppo_complete.json").write_text("{}")


class _SyntheticSteps:
    """Questions of a strength of their own, which all grow with the steps; the project's buffer and metrics."""

    def __init__(
        self,
        config: ZPPOConfig,
        total_steps: int,
        seed: int,
        teacher_dies_at: int,
        sizes: tuple[int, int, int],
        text: str,
    ):
        self.config, self.total_steps, self.teacher_dies_at = config, total_steps, teacher_dies_at
        self.new, self.replayed, self.reformulated = sizes
        self.rng, self.text = random.Random(seed), text
        self.buffer = PromptReplayBuffer(capacity=5 * self.new // 2, threshold=0.5, seed=seed)
        self.strength: dict[str, float] = {}

    def roll_out(self, step: int) -> StepResult:
        names = [f"q{step}-{i}" for i in range(self.new)]
        self.strength |= {name: self.rng.choice([-4.0, -4.0, -4.0, -1.5, 0.0, 2.0]) for name in names}
        replayed = [entry.prompt_id for entry in self.buffer.sample(self.replayed)]
        questions = [_question(name, name in replayed) for name in names + replayed]
        plain = [self._group(q, Kind.PLAIN, step, self._chance(q, step)) for q in questions]
        hard = sorted((g for g in plain if g.accuracy < 0.5), key=lambda g: g.accuracy)
        teacher = {g.question.prompt_id: self._teacher(step >= self.teacher_dies_at) for g in hard}
        return StepResult(
            step=step,
            plain=plain,
            reformulated=self._reformulated(hard, teacher, step),
            teacher=teacher,
            asked=tuple(teacher),
            source_step=step,
            source_plain={g.question.prompt_id: g for g in plain},
            counts=self._counts(step),
            seconds={"plain": 1.5, "rollout": 2.0, "wait": 2.2, "teacher": 1.0, "exposed": 0.1},
        )

    def _chance(self, question: Question, step: int) -> float:
        return _sigmoid(self.strength[question.prompt_id] + step / self.total_steps * 3)

    def _reformulated(self, hard: list[Group], teacher: dict[str, TeacherAnswers], step: int) -> list[Group]:
        if self.config.distillation.mode == "off_policy":
            return [self._teacher_group(g.question, step, teacher[g.question.prompt_id]) for g in hard]
        kinds = [Kind.NCQ] if step >= self.teacher_dies_at else self.config.kinds
        chosen = hard[: self.reformulated]
        return [self._group(g.question, kind, step, CHANCES[kind], g) for g in chosen for kind in kinds]

    def _group(self, question: Question, kind: Kind, step: int, chance: float, plain: Group | None = None) -> Group:
        uid = f"{step}.{question.prompt_id}.{kind.value}"
        group = Group(uid, kind, question, step)
        for session in range(GROUP):
            right = self.rng.random() < chance
            answer = "1" if right else "2"
            group.rollouts.append(Rollout(session, f"{uid}_{session}_0", self.text, float(right), answer, 10, 22))
        if kind in (Kind.BCQ, Kind.NCQ):
            group.candidates = (Candidate(sanitize(self.text), "student", False, "2", "teacher"),)
        if kind is Kind.BCQ:
            group.candidates += (Candidate(sanitize(self.text), "teacher", True, "1", "teacher"),)
        group.prompt = METHODS[kind].messages(group, plain) if kind in METHODS else question.messages
        return group

    def _teacher_group(self, question: Question, step: int, answers: TeacherAnswers) -> Group:
        uid = f"{step}.{question.prompt_id}.teacher"
        rollouts = [
            Rollout(i, f"{uid}_{i}_0", self.text, 1.0, "1", 10, r.num_tokens) for i, r in enumerate(answers.correct)
        ]
        return Group(uid, Kind.TEACHER, question, step, rollouts)

    def _teacher(self, dead: bool) -> TeacherAnswers:
        if dead:
            return TeacherAnswers(failed=4, error="connection refused\nby server 0")
        rewards = [float(self.rng.random() < 0.9) for _ in range(4)]
        return TeacherAnswers(
            tuple(TeacherRollout(self.text, each, 22, answer="1" if each else "3") for each in rewards)
        )

    def _counts(self, step: int) -> Counter[str]:
        counts = Counter({"compression/teacher": 20, "compression/tail:answer_changed": 2})
        counts |= {"mixed/bcq_drop": int(step == 3 and Kind.BCQ in self.config.kinds)}
        counts |= {"summaries/asked_again": 2, "summaries/rejected_too_long": 2}
        counts |= {"hint/leak": step % 3, "hint/failed": int(step == 5)}
        counts |= {"teacher/0/asked": 9, "teacher/0/solved": 5, "teacher/1/asked": 4, "teacher/1/solved": 1}
        return counts

    def learn(self, result: StepResult) -> StepOutcome:
        outcomes = [(g.question.prompt_id, g.accuracy, g.question.row) for g in result.plain]
        report = self.buffer.update(result.step, outcomes)
        return StepOutcome(result, training_groups(result.groups, self.config.kinds, dynamic_sampling=False), report)

    def metrics(self, outcome: StepOutcome) -> dict[str, float]:
        step = outcome.result.step
        metrics = step_metrics(outcome.result, outcome.report, self.buffer, self.config)
        if self.config.distillation.mode != "none":
            metrics["actor/distillation/loss"] = 0.5 / step
        metrics |= {"actor/entropy": 0.5 + 0.2 * step / self.total_steps, "actor/pg_loss": self.rng.gauss(0, 0.01)}
        metrics |= {"timing_s/gen": 2.2, "timing_s/old_log_prob": 0.4, "timing_s/update_actor": 1.2}
        return metrics | {"timing_s/step": 4.0 + 0.1 * (step % 2)}


def _validation(source: str, accuracy: float) -> dict[str, float]:
    metrics = {f"val-core/{source}/acc/mean@1": accuracy, f"val-aux/{source}/reward/mean@1": accuracy}
    uids = [str(i) for i in range(VAL_QUESTIONS)]
    return metrics | validation_counts([source] * VAL_QUESTIONS, uids, None)


def _question(name: str, replayed: bool) -> Question:
    data = {"raw_prompt": [{"role": "user", "content": name}], "reward_model": {"ground_truth": "1"}}
    return Question(name, 0, replayed, data)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
