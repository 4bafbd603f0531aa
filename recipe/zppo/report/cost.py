"""Tokens that a run has written, and an estimate of the FLOPs that they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recipe.zppo.config.model_config import UnknownShapeError
from recipe.zppo.config.model_shape import shape_of
from recipe.zppo.run.folder import Row, RunFolder
from recipe.zppo.view import outcome

RULE = (
    "2 FLOPs for each parameter of the text model and token that is written or scored, 6 for one that is learnt from. "
    "Prompts, attention over long contexts and images are left out, so these are lower bounds."
)


@dataclass(frozen=True)
class Cost:
    name: str
    tokens: int
    flops: float | None
    """None where the model's size can't be told."""


def costs(folder: RunFolder, rows: Sequence[Row]) -> list[Cost]:
    """By who wrote or read the tokens; what a run has none of is left out."""
    student, teacher = _student(folder), _parameters(folder.setting("zppo.teacher.path", None))
    written = {name: int(outcome.total(rows, f"zppo/tokens/{name}")) for name in ("student", "teacher", "judge")}
    mode = folder.setting("zppo.distillation.mode", "none")
    learnt = written["teacher"] if mode == "off_policy" else written["student"]
    parts = [
        ("student's rollouts", written["student"], 2, student),
        ("updates of the student", learnt, 6, student),
        ("teacher: rollouts, summaries, hints", written["teacher"], 2, teacher),
        ("teacher: scores of the student's rollouts", written["student"] if mode == "on_policy" else 0, 2, teacher),
        ("teacher: verdicts", written["judge"], 2, teacher),
    ]
    return [
        Cost(name, tokens, factor * size * tokens if size else None) for name, tokens, factor, size in parts if tokens
    ]


def _student(folder: RunFolder) -> int | None:
    started: dict[str, Any] = next(reversed(folder.starts()), {})
    model = started.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    return _parameters(path or folder.setting("actor_rollout_ref.model.path", None))


def _parameters(path: Any) -> int | None:
    """Of the text model."""
    if not isinstance(path, str) or not path:
        return None
    try:
        shape = shape_of(path)
    except UnknownShapeError:
        return None
    return shape.parameters - shape.vision_parameters
