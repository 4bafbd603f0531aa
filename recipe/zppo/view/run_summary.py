"""What a run did, as one record: of its events and status."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.processes import started_at
from recipe.zppo.view import health, outcome
from recipe.zppo.view.doubtful import Doubtful, doubtful_rewards
from recipe.zppo.view.held_out import Validation, validations
from recipe.zppo.view.title import method_name

NOISE_Z = 1.96
"""Standard errors beyond which a difference counts as more than noise (95%, two-sided)."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that is shown; ``as_dict`` is the form of ``--json``."""

    run: str
    method: str | None
    """As the paper calls it; None for a run from before its configuration was kept."""
    state: str
    """finished, under way, or stopped."""
    stage: str | None
    steps: int
    total_steps: int | None
    warnings: list[health.Concern]
    held_out: list[Validation]
    buffer: outcome.Fate | None
    buffer_by_entry_accuracy: dict[float, outcome.Fate]
    reformulations: dict[str, outcome.Reformulations]
    """By kind: BCQ and NCQ always, others where the run has built them. Keys of their own in ``as_dict``."""
    distillation: outcome.Distillation | None
    left_out: outcome.LeftOut | None
    teacher: outcome.Teacher | None
    teacher_error: str | None
    """Cause of a failed teacher request, if there was one."""
    teachers: dict[int, outcome.TeacherShare]
    """Each of several teachers; empty if there is one."""
    judge: outcome.Judge | None
    doubtful: Doubtful | None
    """Rewards that the careful grader would have given otherwise, under the paper's; None if there are none."""
    rollouts_failed: int
    step_time: outcome.StepTime | None
    student_tokens: int
    teacher_tokens: int
    places: dict[str, str]

    @classmethod
    def of(cls, folder: RunFolder) -> "Summary":
        """Raises `RunFolderError` if the folder has no metrics."""
        rows = folder.require_metrics()
        status = folder.status() or {}
        teacher = outcome.teacher(rows)
        kinds = outcome.kinds(rows)
        total_steps = status.get("total_steps")
        return cls(
            run=str(folder.path),
            method=method_name(folder),
            state=state_of(status),
            stage=str(status["stage"]) if "stage" in status else None,
            steps=int(rows[-1]["step"]),
            total_steps=total_steps if isinstance(total_steps, int) else None,
            warnings=health.warnings(rows),
            held_out=validations(rows),
            buffer=outcome.buffer_fate(rows),
            buffer_by_entry_accuracy=outcome.buffer_fate_by_entry(rows),
            reformulations={kind: outcome.reformulations(rows, kind) for kind in dict.fromkeys(("bcq", "ncq", *kinds))},
            distillation=outcome.distillation(rows),
            left_out=outcome.left_out(rows),
            teacher=teacher,
            teacher_error=_teacher_error(folder) if teacher and teacher.failed_requests else None,
            teachers=outcome.teachers(rows),
            judge=outcome.judge(rows),
            doubtful=doubtful_rewards(folder, rows),
            rollouts_failed=int(outcome.total(rows, "zppo/rollouts/failed")),
            step_time=outcome.step_time(rows),
            student_tokens=int(outcome.total(rows, "zppo/tokens/student")),
            teacher_tokens=int(outcome.total(rows, "zppo/tokens/teacher")),
            places={name: str(path) for name, path in folder.places().items()},
        )

    def as_dict(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        content |= dict.fromkeys(outcome.KINDS) | content.pop("reformulations")
        for held_out, validation in zip(content["held_out"], self.held_out, strict=True):
            after, z_score = validation.after, validation.z_score
            held_out["before"] = dataclasses.asdict(validation.before)
            held_out["after"] = dataclasses.asdict(after) if after else None
            held_out["z_score"] = z_score
            held_out["more_than_noise"] = None if z_score is None else abs(z_score) > NOISE_Z
        if self.buffer is not None:
            content["buffer"]["graduation_rate"] = self.buffer.graduation_rate
        for entry, fate in self.buffer_by_entry_accuracy.items():
            content["buffer_by_entry_accuracy"][entry]["graduation_rate"] = fate.graduation_rate
        return content


def state_of(status: dict[str, Any]) -> str:
    """finished, under way, or stopped, from what status.json says."""
    if status.get("stage") == "done":
        return "finished"
    pid, since = status.get("pid"), status.get("since")
    if isinstance(pid, int) and isinstance(since, (int, float)):
        started = started_at(pid)
        if started is not None and started <= since + 1:  # else the number belongs to another process by now
            return "under way"
    return "stopped"


def _teacher_error(folder: RunFolder) -> str | None:
    """The last cause that was noted."""
    errors = [event["error"] for event in folder.events("teacher_answered") if event["error"]]
    return " ".join(errors[-1].split()) if errors else None
