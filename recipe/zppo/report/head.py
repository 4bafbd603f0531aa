"""The ten numbers at the head of the page, each with what is healthy and whether this one is."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from recipe.zppo.run.folder import Row
from recipe.zppo.view import outcome
from recipe.zppo.view.health import ENTROPY_LEFT, FROM_ZERO, HEALTHY, Range, entropy_left
from recipe.zppo.view.held_out import Validation, validations

GOOD, LOOK, NONE = "good", "look", ""


@dataclass(frozen=True)
class Number:
    name: str
    value: str
    healthy: str
    state: str = NONE
    """`GOOD`, `LOOK` (worth a look), or `NONE`: it can't be said."""
    detail: str = ""


def ten_numbers(rows: Sequence[Row], steps: int, total_steps: int | None, state: str) -> list[Number]:
    """Of a run; a dash where it has no such number."""
    fate, teacher = outcome.buffer_fate(rows), outcome.teacher(rows)
    by_entry = outcome.buffer_fate_by_entry(rows)
    return [
        Number(
            "steps",
            f"{steps:,}" + (f" of {total_steps:,}" if total_steps else ""),
            "all of them",
            {"finished": GOOD, "stopped": LOOK}.get(state, NONE),
            state,
        ),
        _held_out(validations(rows)),
        _graduated(
            "graduated",
            fate,
            "the more the better; the paper's ZPPO 26.6%, GRPO† 14.3% (2B)",
            HEALTHY["zppo/buffer/graduation_rate"],
        ),
        _graduated("graduated from 0%", by_entry.get(0.0), "the paper's ZPPO 28%, GRPO† 4% (2B)", FROM_ZERO),
        _accuracy(rows, "bcq", "36 to 69% in the paper: near 100% the candidates give the answer away"),
        _accuracy(rows, "ncq", "1 to 35% in the paper"),
        _entropy(rows),
        _fall_backs(teacher),
        _failures(rows, teacher),
        _hidden(teacher),
    ]


def _held_out(validations: Sequence[Validation]) -> Number:
    healthy = "rises by more than noise"
    if not validations:
        return Number("held out", "–", healthy, detail="not measured")
    before, last = (fmean(validation.history[i].value for validation in validations) for i in (0, -1))
    sources = f"mean of {len(validations)} sources" if len(validations) > 1 else validations[0].source
    if all(validation.after is None for validation in validations):
        return Number("held out", f"{last:.1%}", healthy, detail=f"{sources}, measured once")
    z_scores = [z for validation in validations if (z := validation.z_score) is not None]
    state = NONE if not z_scores else LOOK if min(z_scores) < -1.96 else GOOD if last > before else NONE
    return Number("held out", f"{last:.1%}", healthy, state, f"{100 * (last - before):+.1f} points; {sources}")


def _graduated(name: str, fate: outcome.Fate | None, healthy: str, range_: Range) -> Number:
    if fate is None or fate.graduation_rate is None:
        return Number(name, "–", healthy, detail="no buffer" if fate is None else "none has left the buffer")
    left = fate.graduated + fate.evicted
    state = GOOD if fate.graduation_rate in range_ else LOOK
    return Number(name, f"{fate.graduation_rate:.1%}", healthy, state, f"{fate.graduated:,} of {left:,} that left")


def _accuracy(rows: Sequence[Row], kind: str, healthy: str) -> Number:
    name, built = f"{outcome.KINDS[kind]} right", outcome.reformulations(rows, kind)
    if built.accuracy is None:
        return Number(name, "–", healthy, detail="none built")
    state = GOOD if built.accuracy in HEALTHY[f"zppo/{kind}/accuracy"] else LOOK
    return Number(name, f"{built.accuracy:.1%}", healthy, state, f"of the answers in {built.groups:,} groups")


def _entropy(rows: Sequence[Row]) -> Number:
    healthy = "does not fall to 0; the paper's ZPPO rises to 1.2 nats, GRPO† 0.95"
    values = [row["actor/entropy"] for row in rows if "actor/entropy" in row]
    if not values:
        return Number("entropy", "–", healthy, detail="not measured")
    left = entropy_left(rows)
    state = NONE if left is None else GOOD if left in ENTROPY_LEFT else LOOK
    return Number("entropy", f"{values[-1]:.2f} nats", healthy, state, f"{values[0]:.2f} at first")


def _fall_backs(teacher: outcome.Teacher | None) -> Number:
    name, healthy = "summaries that fell back", "below 10%: a raw end of a response beside a summary is a cue"
    if teacher is None or not teacher.compressions:
        return Number(name, "–", healthy, detail="none made")
    count = sum(teacher.fall_backs.values())
    share = count / teacher.compressions
    return Number(
        name,
        f"{share:.1%}",
        healthy,
        GOOD if share in HEALTHY["zppo/compression/fall_back_share"] else LOOK,
        f"{count:,} of {teacher.compressions:,} candidates",
    )


def _failures(rows: Sequence[Row], teacher: outcome.Teacher | None) -> Number:
    rollouts, requests = int(outcome.total(rows, "zppo/rollouts/failed")), teacher.failed_requests if teacher else 0
    detail = f"{rollouts:,} rollouts, {requests:,} requests to the teacher"
    return Number("failures", f"{rollouts + requests:,}", "0", LOOK if rollouts + requests else GOOD, detail)


def _hidden(teacher: outcome.Teacher | None) -> Number:
    name, healthy = "teacher's time hidden", "above 80%: nobody waits for the teacher"
    if teacher is None or teacher.hidden_share is None:
        return Number(name, "–", healthy, detail="no teacher was asked" if teacher is None else "not measured")
    state = GOOD if teacher.hidden_share in HEALTHY["zppo/time_s/teacher_hidden_share"] else LOOK
    return Number(name, f"{teacher.hidden_share:.1%}", healthy, state, f"of {teacher.seconds:,.0f} s")
