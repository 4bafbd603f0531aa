"""What the event log costs at the paper's scale, in time and on the disk: ``python -m benchmarks.bench_events``.

A step of `paper_step`: 576 groups of 8 responses of 12,288 tokens, 240 questions put to the teacher, a buffer that
takes in and gives out. Measured on one core: making and writing a step's events, which the step waits for; reading a
log of 200 steps as watch and summary do (metrics), as the audit does (groups) and as the report does (lives); and
reading one question's texts. Exit status 1 if writing takes 1% of a step of 400 s.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.paper_step import FRACTION, THRESHOLD, Texts, draw_step
from recipe.zppo.config.method_keys import ReplayConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.metrics import step_metrics
from recipe.zppo.run.rollout_log import RolloutLog
from recipe.zppo.sanitize import sanitize
from recipe.zppo.step import StepOutcome
from recipe.zppo.types import Candidate, Kind, StepResult
from recipe.zppo.view.question_life import lives, with_texts

STEPS, STEP_S, LIMIT = 200, 400.0, 0.01
CHARACTERS = 41_000
"""Of a response of 12,288 tokens (`bench_overhead` measures them)."""


def draw_outcome(texts: Texts, buffer: PromptReplayBuffer, step: int, characters: int) -> StepOutcome:
    drawn = draw_step(texts, characters, step)
    plain = {group.question.prompt_id: group for group in drawn.plain}
    for group in drawn.reformulated:
        wrong = plain[group.question.prompt_id].wrong
        shown = wrong[:1] if group.kind is Kind.BCQ else wrong
        group.candidates = tuple(
            Candidate(sanitize("a summary"), "student", False, each.answer, "teacher", shown_answer=each.answer)
            for each in shown
        )
    result = StepResult(
        step,
        drawn.plain,
        drawn.reformulated,
        Counter(),
        {"plain": 0.0, "wait": 0.0, "teacher": 0.0, "exposed": 0.0},
        drawn.teacher,
        step,
        plain,
        tuple(drawn.teacher),
    )
    outcomes = [(group.question.prompt_id, group.accuracy, group.question.row) for group in drawn.plain]
    return StepOutcome(result, result.groups, buffer.update(step, outcomes))


@contextmanager
def told(what: str) -> Iterator[list[float]]:
    started = time.process_time()
    seconds: list[float] = []
    yield seconds
    seconds.append(time.process_time() - started)
    print(f"{what:<60}{seconds[0]:8.3f} s", flush=True)


def main() -> int:
    config = ZPPOConfig(replay=ReplayConfig(fraction=FRACTION), threshold=THRESHOLD)
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(path)
        texts, buffer = Texts(random.Random(0)), PromptReplayBuffer(2_000, THRESHOLD, 0)
        log = EventLog(str(folder.events_file))
        log.resume(0)
        outcome = draw_outcome(texts, buffer, 1, CHARACTERS)
        metrics = step_metrics(outcome.result, outcome.report, buffer, config)
        with told("a step: its events") as seconds:
            log.step(outcome, config)
            log.log(metrics, 1)
        size = folder.events_file.stat().st_size
        rollouts = RolloutLog(os.path.join(path, "rollouts"), config.logging.text_limit)
        rollouts.write(outcome.result)
        rollouts.close()
        kinds = Counter(event["type"] for event in folder.events())
        print(f"{sum(kinds.values())} events, {size / 1e6:.2f} MB: {json.dumps(kinds)}")
        for step in range(2, STEPS + 1):
            outcome = draw_outcome(texts, buffer, step, 100)
            log.step(outcome, config)
            log.log(metrics, step)
        print(f"{STEPS} steps: {folder.events_file.stat().st_size / 1e6:.0f} MB")
        with told("resume: the log is copied up to the checkpoint"):
            log.resume(STEPS)
        with told("watch, summary, plots: metrics"):
            assert len(folder.metrics()) == STEPS
        with told("audit: groups"):
            assert sum(1 for _ in folder.groups()) == STEPS * len(outcome.result.groups)
        with told("report: lives"):
            found = lives(folder)
        first = next(life for life in found if life.draws[0].extra)
        file = Path(path, "rollouts/step_000001.jsonl")
        with told(f"texts of one question out of {file.stat().st_size / 1e6:.0f} MB"):
            assert list(with_texts(folder, [first]))
    share = seconds[0] / STEP_S
    print(f"writing is {share:.3%} of a step of {STEP_S:g} s (limit {LIMIT:.0%}); {len(found)} hard questions")
    return int(share >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
