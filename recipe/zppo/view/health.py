"""Which numbers of a run are healthy, and warnings with what to do: for watch, summary and the report alike.

Plain functions over the rows of `RunFolder.metrics`. docs/reference/metrics.md has the ranges, and says where they come
from; docs/guides/troubleshooting.md has the warnings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median, variance

from recipe.zppo.methods.candidate_questions import FORMS
from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome
from recipe.zppo.view.cue_audit import MIN_QUESTIONS, WARN_ABOVE, is_cue
from recipe.zppo.view.interval import Proportion


@dataclass(frozen=True)
class Range:
    """Shares that are healthy, the ends included; None where there is no end."""

    least: float | None = None
    most: float | None = None

    def __contains__(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.least is None:
            return f"at most {self.most:.4g}"
        return f"at least {self.least:.4g}" if self.most is None else f"{self.least:.4g} to {self.most:.4g}"


HEALTHY = {
    "zppo/bcq/accuracy": Range(0.2, 0.9),
    "zppo/ncq/accuracy": Range(0.005, 0.9),
    "zppo/buffer/graduation_rate": Range(least=0.143),
    "zppo/compression/fall_back_share": Range(most=0.1),
    "zppo/time_s/teacher_hidden_share": Range(least=0.8),
    "actor/pg_clipfrac": Range(most=0.2),
}
"""By metric. docs/reference/metrics.md has the same ranges."""

FROM_ZERO = Range(least=0.04)
"""Graduation rate of the questions that entered without one right answer."""

ENTROPY_LEFT = Range(least=0.25)
"""Of the entropy of the first step."""

RECENT = 20
"""Steps back from the last one that a warning is about, unless it says otherwise."""

WORSE = 3.0
"""Standard errors by which new questions are answered worse than at first."""

ZERO_STEPS = 3
"""Steps in a row without one right answer that are worth a warning."""

MOST_FAILED = 0.1
"""Failed requests to the teacher, or late answers, for each question that it was asked."""

FEWEST = 20
"""Evictions, candidates or groups from which a warning about their share is given."""


@dataclass(frozen=True)
class Concern:
    """A warning: what was seen, against which bound, and what to do about it."""

    name: str
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}. {self.remedy}."


def warnings(rows: Sequence[Row]) -> list[Concern]:
    """All that hold after the last of ``rows``, in a fixed order; none for a healthy run."""
    steps = [row for row in rows if row["step"] >= 1]
    return [concern for check in _CHECKS if (concern := check(steps)) is not None]


def entropy_left(rows: Sequence[Row]) -> float | None:
    """Median of the last five steps over the first step; None if it was not measured."""
    values = [row["actor/entropy"] for row in rows if "actor/entropy" in row]
    return median(values[-5:]) / values[0] if values and values[0] > 0 else None


def _rewards(rows: Sequence[Row]) -> Concern | None:
    last = [row for row in rows if "zppo/accuracy/all" in row][-ZERO_STEPS:]
    if len(last) < ZERO_STEPS or any(row["zppo/accuracy/all"] for row in last):
        return None
    unread = last[-1].get("zppo/reward/no_answer_share")
    answers = "" if unread is None else f"; {unread:.0%} of the last answers can't be read"
    return Concern(
        "rewards all zero",
        f"no right answer in {ZERO_STEPS} steps in a row{answers}",
        "Read some responses in rollouts/. If they are right, zppo.answer or the reward function does not read them; "
        "if they are cut, raise data.max_response_length; else the questions are too hard for this student",
    )


def _worse(rows: Sequence[Row]) -> Concern | None:
    shares = [row["zppo/accuracy/new"] for row in rows if "zppo/accuracy/new" in row]
    first, last = shares[:RECENT], shares[-RECENT:]
    if len(shares) < 2 * RECENT:
        return None
    std_error = math.sqrt((variance(first) + variance(last)) / RECENT)
    if mean(first) - mean(last) <= WORSE * std_error:
        return None
    return Concern(
        "student getting worse",
        f"{mean(last):.1%} of the answers to new questions are right in the last {RECENT} steps, {mean(first):.1%} in "
        f"the first {RECENT}, more than {WORSE:.0f} standard errors apart",
        "A few updates move the policy too far: lower actor_rollout_ref.actor.optim.lr, or give an update more "
        "questions (data.train_batch_size). If the data get harder by design, it is none",
    )


def _teacher(rows: Sequence[Row]) -> Concern | None:
    recent = rows[-RECENT:]
    asked = outcome.total(recent, "zppo/teacher/asked")
    failed = outcome.total(recent, "zppo/teacher/failed_requests")
    late = outcome.total(recent, "zppo/teacher/late")
    if max(failed, late) <= MOST_FAILED * asked:
        return None
    return Concern(
        "teacher failing",
        f"{failed:.0f} failed requests and {late:.0f} late answers for {asked:.0f} questions in the last {len(recent)} "
        f"steps, more than 1 for {1 / MOST_FAILED:.0f} questions",
        "Look at the last cause in python -m recipe.zppo.summary, and whether the teacher's servers answer; the run "
        "goes on with NCQs alone. For late answers raise zppo.teacher.step_timeout_s",
    )


def _buffer(rows: Sequence[Row]) -> Concern | None:
    recent = [row for row in rows if "zppo/buffer/size" in row][-RECENT:]
    evicted = outcome.total(recent, "zppo/buffer/step_evicted")
    if len(recent) < RECENT or evicted < FEWEST or outcome.total(recent, "zppo/buffer/step_graduated"):
        return None
    return Concern(
        "buffer full and nothing graduating",
        f"{evicted:.0f} evicted and none graduated in the last {RECENT} steps",
        "The hard questions are out of this student's reach: give it easier ones, a higher learning rate, or more "
        "visits (zppo.replay.capacity, zppo.replay.fraction)",
    )


def _entropy(rows: Sequence[Row]) -> Concern | None:
    left = entropy_left(rows)
    if left is None or left in ENTROPY_LEFT:
        return None
    return Concern(
        "entropy collapsing",
        f"{left:.0%} of the first step's, below {ENTROPY_LEFT.least:.0%}",
        "The student says the same each time, and groups become trivial: lower actor_rollout_ref.actor.optim.lr, "
        "raise actor_rollout_ref.actor.clip_ratio_high, or go back to an earlier checkpoint",
    )


def _clipping(rows: Sequence[Row]) -> Concern | None:
    values = [row["actor/pg_clipfrac"] for row in rows[-RECENT:] if "actor/pg_clipfrac" in row]
    share, healthy = sum(values) / len(values) if values else 0.0, HEALTHY["actor/pg_clipfrac"]
    if share in healthy:
        return None
    return Concern(
        "clip fraction high",
        f"{share:.0%} of the tokens in the last {len(values)} steps gave no gradient, above {healthy.most:.0%}",
        "The policy moves too far within a step: lower actor_rollout_ref.actor.optim.lr or zppo.updates_per_step",
    )


def _fall_backs(rows: Sequence[Row]) -> Concern | None:
    recent, name = rows[-RECENT:], "zppo/compression/fall_back_share"
    share = outcome.weighted_mean(recent, name, "zppo/compression/count")
    if share is None or outcome.total(recent, "zppo/compression/count") < FEWEST or share in HEALTHY[name]:
        return None
    counts = {key: outcome.total(recent, key) for row in recent for key in row if key.startswith(name[:-5])}
    counts.pop(name, None)
    worst = max(counts, key=counts.__getitem__, default="").removeprefix(name[:-5]).replace("_", " ")
    return Concern(
        "summaries falling back",
        f"{share:.0%} of the candidates in the last {len(recent)} steps, above {HEALTHY[name].most:.0%}"
        f"{f'; mostly: {worst}' if worst else ''}",
        "A response's own end beside a summary is a cue. See zppo/compression/rejected_*; a teacher that can't "
        "summarise needs more tokens or tries (zppo.compression), or zppo.compression.mode=truncate for both",
    )


def _given_away(rows: Sequence[Row]) -> Concern | None:
    recent, most, name = rows[-RECENT:], HEALTHY["zppo/bcq/accuracy"].most, "zppo/bcq/"
    found = []
    for form in FORMS:
        weight = f"{name}form_{form}"
        share, groups = outcome.weighted_mean(recent, f"{name}accuracy_{form}", weight), outcome.total(recent, weight)
        if share is not None and most is not None and groups >= FEWEST and share > most:
            found.append(f"{share:.0%} of the answers to BCQs of form '{form}' are right, above {most:.0%}")
    mixed = int(outcome.total(rows, f"{name}form_mixed"))
    if mixed >= MIN_QUESTIONS:
        summary = outcome.total(rows, f"{name}mixed_summary_right") / mixed
        if is_cue(Proportion(max(summary, 1 - summary), mixed)):
            which, share = ("summary", summary) if summary > 0.5 else ("response's own end", 1 - summary)
            shown = f"the {which} is right in {share:.0%} of {mixed}, above {WARN_ABOVE:.0%}"
            found.append(f"where BCQs show one of each form, {shown}")
    if not found:
        return None
    return Concern(
        "candidates give the answer away",
        "; ".join(found),
        "Run python -m recipe.zppo.cue_audit; zppo.compression.mixed_forms=drop shows two candidates of one form only",
    )


_CHECKS: tuple[Callable[[Sequence[Row]], Concern | None], ...] = (
    _rewards,
    _worse,
    _teacher,
    _buffer,
    _entropy,
    _clipping,
    _fall_backs,
    _given_away,
)
