"""What a step costs beside generation, log-probs and updates, at the paper's scale, part by part, on one core.

    python -m benchmarks.bench_overhead [--buffer-size 10000 10000000] [--step-seconds 300] [--no-ray]

384 new, 96 replayed and 96 reformulated prompts, 8 rollouts each of 12,288 tokens, 960 teacher rollouts; see
`paper_step`. Everything is the code that trains; only the servers are missing. Two sums are compared with 5% of a step:

- what the step waits for: the trainer's process and what slows it down from a thread;
- all of it, with the work that agent-loop workers do in parallel while others generate, as if on this one core.

The paper's step is 1,422 s (ZPPO 2B: 79 hours for 200 rollout steps); a shorter one is shown beside it. What verl
itself does in the trainer's process is listed and not summed. Exit status 1 if a sum is over 5% of the paper's step.
"""

from __future__ import annotations

import argparse
import random
import sys

import torch
from rich.console import Console

from benchmarks.measure import Parts, print_table
from benchmarks.paper_step import PAPER_STEP_S, RESPONSE_TOKENS, Texts, draw_step
from benchmarks.parts_buffer import measure_buffer
from benchmarks.parts_ray import measure_ray
from benchmarks.parts_step import (
    measure_estimator,
    measure_pipeline,
    measure_questions,
    measure_records,
    measure_selection,
)
from benchmarks.parts_verl import measure_verl
from benchmarks.parts_workers import measure_candidates, measure_grading, measure_responses

LIMIT = 0.05
SAVE_FREQ = 20
AGENT_WORKERS = 8


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--buffer-size", type=int, nargs="+", default=[10_000, 10_000_000])
    arguments.add_argument("--step-seconds", type=float, default=300.0, help="of the second step shown")
    arguments.add_argument("--no-ray", action="store_true", help="leave out what needs a local Ray")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    parts, console = Parts(), Console(width=200)
    for size in options.buffer_size:
        measure_buffer(parts, draw_step(Texts(random.Random(size)), characters=100), size, SAVE_FREQ)

    texts = Texts(random.Random(0))
    tokenizer = texts.tokenizer()
    sample = texts.draw(100_000)
    characters = round(RESPONSE_TOKENS * len(sample) / len(tokenizer.encode(sample)))
    step = draw_step(texts, characters)
    measure_questions(parts, step, tokenizer)
    measure_selection(parts, step)
    result = measure_pipeline(parts, step, SAVE_FREQ)
    measure_estimator(parts, step)
    measure_records(parts, result)
    measure_responses(parts, step, tokenizer)
    measure_grading(parts, step)
    measure_candidates(parts, step, tokenizer)
    measure_verl(parts)
    if not options.no_ray:
        measure_ray(parts, step)

    steps = {f"{PAPER_STEP_S:,.0f} s": PAPER_STEP_S, f"{options.step_seconds:g} s": options.step_seconds}
    print_table(parts, steps, console)
    return _verdict(parts, steps, console)


def _verdict(parts: Parts, steps: dict[str, float], console: Console) -> int:
    """All buffers measured are in the sums; a run has one."""
    waited = parts.seconds_a_step("trainer", "background")
    workers = parts.seconds_a_step("workers")
    console.print(
        f"\nverl's own, not in the sums: {parts.seconds_a_step('verl'):.1f} s\n"
        f"in the workers: {workers:.1f} s, {workers / AGENT_WORKERS:.1f} s each in verl's default of {AGENT_WORKERS}"
    )
    exceeded = []
    for name, seconds in steps.items():
        for what, total in (("the step waits for", waited), ("all of it on one core:", waited + workers)):
            share = total / seconds
            console.print(f"step of {name}: {what} {total:.1f} s = {share:.2%} (limit {LIMIT:.0%})")
            exceeded += [(name, what)] if share >= LIMIT else []
    for name, what in exceeded:
        console.print(f"over the limit: step of {name}, {what}")
    return int(any(steps[name] == PAPER_STEP_S for name, _ in exceeded))


if __name__ == "__main__":
    sys.exit(main())
