"""A run's folder without a run: the project's own metrics, buffer and logs over rollouts that are drawn at random."""

import math
import random
from collections import Counter
from pathlib import Path

import yaml

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.rollout.pipeline import StepResult
from recipe.zppo.run.metrics import step_metrics, validation_counts
from recipe.zppo.run.metrics_log import MetricsLog
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.run.status import StatusFile
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
) -> Path:
    """All files of ``steps`` steps; each has 16 new questions, 4 replayed and two to four reformulated ones."""
    made = _SyntheticSteps(config or ZPPOConfig(), total_steps, seed, teacher_dies_at)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config_1.yaml").write_text(yaml.safe_dump({"zppo": made.config.model_dump(mode="json", warnings=False)}))
    log = MetricsLog(str(folder / "metrics.jsonl"))
    rollout_log = RolloutLog(str(folder / "rollouts"), None)
    status = StatusFile(str(folder / "status.json"))
    status.total_steps = total_steps
    log.resume(0)
    log.log(_validation(source, 0.203125), 0)
    for step in range(1, steps + 1):
        result = made.roll_out(step)
        metrics = made.metrics(result)
        if step == total_steps:
            metrics |= _validation(source, 0.8203125) | {"timing_s/testing": 3.0}
        log.log(metrics, step)
        rollout_log.write(result)
        status.write(step, "update")
    rollout_log.close()
    if steps == total_steps:
        _finish(folder, status, steps)
    log.finish()
    return folder


def _finish(folder: Path, status: StatusFile, step: int) -> None:
    status.write(step, "done")
    checkpoint = folder / f"global_step_{step}"
    (checkpoint / "actor").mkdir(parents=True)
    (checkpoint / "zppo_complete.json").write_text("{}")


class _SyntheticSteps:
    """Questions of a strength of their own, which all grow with the steps; the project's buffer and metrics."""

    def __init__(self, config: ZPPOConfig, total_steps: int, seed: int, teacher_dies_at: int):
        self.config, self.total_steps, self.teacher_dies_at = config, total_steps, teacher_dies_at
        self.rng = random.Random(seed)
        self.buffer = PromptReplayBuffer(capacity=40, threshold=0.5, seed=seed)
        self.strength: dict[str, float] = {}

    def roll_out(self, step: int) -> StepResult:
        names = [f"q{step}-{i}" for i in range(16)]
        self.strength |= {name: self.rng.choice([-4.0, -4.0, -4.0, -1.5, 0.0, 2.0]) for name in names}
        replayed = [entry.prompt_id for entry in self.buffer.sample(4)]
        questions = [_question(name, name in replayed) for name in names + replayed]
        plain = [_group(q, Kind.PLAIN, step, self._chance(q, step), self.rng) for q in questions]
        hard = sorted((g for g in plain if g.accuracy < 0.5), key=lambda g: g.accuracy)
        teacher = {g.question.prompt_id: _teacher(self.rng, step >= self.teacher_dies_at) for g in hard}
        return StepResult(
            step=step,
            plain=plain,
            reformulated=self._reformulated(hard, teacher, step),
            teacher=teacher,
            source_step=step,
            source_plain={g.question.prompt_id: g for g in plain},
            counts=self._counts(step),
            seconds={"plain": 1.5, "rollout": 2.0, "wait": 2.2, "teacher": 1.0, "exposed": 0.1},
        )

    def _chance(self, question: Question, step: int) -> float:
        return _sigmoid(self.strength[question.prompt_id] + step / self.total_steps * 3)

    def _reformulated(self, hard: list[Group], teacher: dict[str, TeacherAnswers], step: int) -> list[Group]:
        if self.config.distillation.mode == "off_policy":
            return [_teacher_group(g.question, step, teacher[g.question.prompt_id]) for g in hard]
        kinds = [Kind.NCQ, Kind.NCQ] if step >= self.teacher_dies_at else self.config.kinds
        return [_group(g.question, kind, step, CHANCES[kind], self.rng) for g in hard[:2] for kind in kinds]

    def _counts(self, step: int) -> Counter[str]:
        counts = Counter({"compression/teacher": 20, "compression/tail:answer_changed": 2})
        counts |= {"mixed/bcq_drop": int(step == 3 and Kind.BCQ in self.config.kinds)}
        counts |= {"summaries/asked_again": 2, "summaries/rejected_too_long": 2}
        counts |= {"hint/leak": step % 3, "hint/failed": int(step == 5)}
        counts |= {"teacher/0/asked": 9, "teacher/0/solved": 5, "teacher/1/asked": 4, "teacher/1/solved": 1}
        return counts

    def metrics(self, result: StepResult) -> dict[str, float]:
        step = result.step
        report = self.buffer.update(step, [(g.question.prompt_id, g.accuracy, g.question.row) for g in result.plain])
        metrics = step_metrics(result, report, self.buffer, self.config)
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


def _group(question: Question, kind: Kind, step: int, chance: float, rng: random.Random) -> Group:
    uid = f"{step}.{question.prompt_id}.{kind.value}"
    group = Group(uid, kind, question, step)
    for session in range(GROUP):
        reward = float(rng.random() < chance)
        group.rollouts.append(Rollout(session, f"{uid}_{session}_0", "text", reward, "1", 10, 22))
    if kind in (Kind.BCQ, Kind.NCQ):
        group.candidates = (Candidate("text", "student", False, "2", "teacher"),)
    if kind is Kind.BCQ:
        group.candidates += (Candidate("text", "teacher", True, "1", "teacher"),)
    return group


def _teacher_group(question: Question, step: int, answers: TeacherAnswers) -> Group:
    uid = f"{step}.{question.prompt_id}.teacher"
    rollouts = [Rollout(i, f"{uid}_{i}_0", "text", 1.0, "1", 10, r.num_tokens) for i, r in enumerate(answers.correct)]
    return Group(uid, Kind.TEACHER, question, step, rollouts)


def _teacher(rng: random.Random, dead: bool) -> TeacherAnswers:
    if dead:
        return TeacherAnswers(failed=4, error="connection refused\nby server 0")
    return TeacherAnswers(tuple(TeacherRollout("text", float(rng.random() < 0.9), 22) for _ in range(4)))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
