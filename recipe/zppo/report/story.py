"""What a run is, in sentences: finished, under way or stopped, begun how often, with which method."""

from collections.abc import Iterator, Sequence
from typing import Any

from recipe.zppo.run.folder import Row, RunFolder

NO_BUFFER = (
    "It has no replay buffer, so no question graduates: hard questions are those below the threshold when drawn."
)


def what_it_is(folder: RunFolder, rows: Sequence[Row], state: str, distilled: bool) -> Iterator[str]:
    """
    Args:
        rows: its metrics.
        state: see `recipe.zppo.view.run_summary.state_of`.
        distilled: it learns from the teacher's probabilities or responses.
    """
    steps, status = (int(rows[-1]["step"]) if rows else 0), folder.status() or {}
    yield _progress(steps, status, state)
    if steps == 1:
        yield "One step has been made: what is a line over many steps is a point here."
    starts = [event["step"] for event in folder.events("started")]
    if len(starts) > 1:
        later = ", ".join(map(str, dict.fromkeys(starts[1:])))
        yield f"It was begun {len(starts)} times, and went on from step {later}. Steps made twice are here once."
    elif starts and starts[0]:
        yield f"It goes on from step {starts[0]} of another folder: what was before is in that folder's report."
    if distilled:
        yield "It is a distillation: the loss is a divergence from the teacher, and there are no BCQs or NCQs."
    if steps and not any("zppo/buffer/size" in row for row in rows):
        yield NO_BUFFER


def _progress(steps: int, status: dict[str, Any], state: str) -> str:
    total = status.get("total_steps")
    made = f"{steps} of {total} steps" if isinstance(total, int) else f"{steps} step{'s' * (steps != 1)}"
    where = f"in step {status.get('step')}, stage '{status.get('stage')}'" if status.get("stage") else "nowhere yet"
    if state == "finished":
        return f"Finished: {made}."
    if state == "under way":
        return f"Under way: {made}; now {where}." if steps else f"Under way: no step is finished yet; now {where}."
    if not steps:
        return f"Stopped before its first step was finished; last seen {where}."
    return f"Stopped: {made}; last seen {where}. The same command goes on from the last checkpoint."
