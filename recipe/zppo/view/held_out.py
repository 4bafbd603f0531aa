"""Held-out accuracy of a run, by data source, and how sure its change is."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from recipe.zppo.run.folder import Row

_NAME = re.compile(r"val-core/(.+)/(?:acc|reward)/mean@(\d+)")


@dataclass(frozen=True)
class Accuracy:
    """Held-out accuracy after ``step`` (0: before training). ``std_error`` is binomial over the questions."""

    step: int
    value: float
    std_error: float | None


@dataclass(frozen=True)
class Validation:
    """One data source of the validation set, measured at some steps of a run."""

    source: str
    questions: int | None
    samples: int
    """Responses to each question."""
    history: tuple[Accuracy, ...]

    @property
    def before(self) -> Accuracy:
        return self.history[0]

    @property
    def after(self) -> Accuracy | None:
        """None while there is one measurement only."""
        return self.history[-1] if len(self.history) > 1 else None

    @property
    def z_score(self) -> float | None:
        """Difference between first and last over its standard error (pooled); None if it cannot be told.

        The two measurements are taken as independent, and several responses to a question as one. Both overstate the
        noise: the questions are the same, and so are a question's luck and difficulty.
        """
        if self.after is None or not self.questions:
            return None
        pooled = min(max((self.before.value + self.after.value) / 2, 0.0), 1.0)
        std_error = math.sqrt(2 * pooled * (1 - pooled) / self.questions)
        difference = self.after.value - self.before.value
        return difference / std_error if std_error else 0.0


def validations(rows: Sequence[Row]) -> list[Validation]:
    """Every data source that was validated (verl's ``val-core/<source>/<acc or reward>/mean@<n>``)."""
    found: dict[tuple[str, int], list[tuple[int, float, float | None]]] = {}
    for row in rows:
        for key, value in row.items():
            if match := _NAME.fullmatch(key):
                questions = row.get(f"zppo/validation/{match[1]}/questions")
                found.setdefault((match[1], int(match[2])), []).append((int(row["step"]), value, questions))
    result = []
    for (source, samples), measured in sorted(found.items()):
        history = tuple(Accuracy(step, value, _binomial_error(value, n)) for step, value, n in measured)
        known = [n for _, _, n in measured if n]
        result.append(Validation(source, int(known[-1]) if known else None, samples, history))
    return result


def _binomial_error(value: float, questions: float | None) -> float | None:
    if not questions or not 0 <= value <= 1:
        return None
    return math.sqrt(value * (1 - value) / questions)
