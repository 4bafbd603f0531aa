"""Step time and its generation part of the schedules, on the real stack on the CPU, in one run.

    python -m benchmarks.bench_schedule [--world DIR] [--steps 8] [--rounds 1] [--out DIR]

Trains on the embedded world, one run after the other: `plain only` (reformulation off: GRPO with replay), `same_step`
with each `zppo.teacher.ask`, `next_step`. Every second round goes through them backwards, so that what else the
machine does weighs on all alike. Shown are medians over the steps after the first two, as ratios to `plain only`;
`rest` is what is neither generation, log-probs, update, weight sync nor checkpoint. `teacher tokens` are of rollouts
and summaries that came to an end. A round takes about 8 minutes on two idle cores.

Generation on a CPU is bound by arithmetic, where one more group costs as much as any other. On GPUs a batch is bound by
its longest response; `bench_schedule_sim` shows that case.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recipe.zppo.world.build import build_world
from recipe.zppo.world.paths import WorldPaths

VARIANTS = {
    "plain only": ["zppo.reformulation.enable=false"],
    "same_step": [],
    "same_step, in_reach": ["zppo.teacher.ask=in_reach"],
    "same_step, ahead": ["zppo.teacher.ask=ahead"],
    "next_step": ["zppo.reformulation.schedule=next_step"],
}
WARM_UP_STEPS = 2
RUN_TIMEOUT_S = 900
_GENERATION, _STEP = "zppo/time_s/generation", "timing_s/step"
_NOT_REST = ("gen", "old_log_prob", "update_actor", "update_weights", "save_checkpoint")


def train(world: WorldPaths, folder: Path, steps: int, overrides: list[str]) -> list[dict]:
    """The metrics of each step after the warm-up.

    Raises:
        RuntimeError: the run failed; the end of its log is in the message.
    """
    folder.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "verl.trainer.main_zppo", "platform=cpu"),
        f"actor_rollout_ref.model.path={world.student}",
        f"zppo.teacher.path={world.teacher}",
        f"data.train_files={world.train_file}",
        f"data.val_files={world.val_file}",
        *("data.train_batch_size=16", "data.max_prompt_length=32", "data.max_response_length=32"),
        *("actor_rollout_ref.actor.optim.lr=1.5e-4", "actor_rollout_ref.rollout.max_model_len=512"),
        *("zppo.replay.capacity=40", "zppo.reformulation.max_candidate_tokens=32", "zppo.compression.max_tokens=32"),
        *("trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"),
        *("trainer.logger=[console]", "zppo.export.hf_model=false"),
        f"trainer.total_training_steps={steps}",
        f"trainer.default_local_dir={folder}",
        *overrides,
    ]
    log = folder / "train.log"
    with open(log, "w") as file:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        result = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=environment, timeout=RUN_TIMEOUT_S
        )
    if result.returncode:
        raise RuntimeError(f"{' '.join(overrides)} failed:\n" + "\n".join(log.read_text().splitlines()[-30:]))
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["step"] > WARM_UP_STEPS and _STEP in line]


def summarise(metrics: list[dict]) -> dict[str, float]:
    """Medians in seconds, and means of what is a count or share."""
    rest = [line[_STEP] - sum(line.get(f"timing_s/{name}", 0.0) for name in _NOT_REST) for line in metrics]
    hidden = [line[key] for line in metrics if (key := "zppo/time_s/teacher_hidden_share") in line]
    return {
        "step": statistics.median(line[_STEP] for line in metrics),
        "generation": statistics.median(line[_GENERATION] for line in metrics),
        "rest": statistics.median(rest),
        "groups": statistics.mean(line["zppo/batch/groups"] for line in metrics),
        "tokens": statistics.mean(line["zppo/tokens/teacher"] for line in metrics),
        "hidden": statistics.mean(hidden) if hidden else float("nan"),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--world", help="folder of the embedded world; built if it is not there")
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--out", help="folder for the runs; by default a temporary one")
    options = arguments.parse_args()
    if options.steps <= WARM_UP_STEPS:
        arguments.error(f"--steps must be above {WARM_UP_STEPS}, the steps that are left out")

    console = Console(width=120)
    world = build_world(options.world, console=console)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(options.out or temporary).resolve()
        metrics: dict[str, list[dict]] = {name: [] for name in VARIANTS}
        for turn in range(options.rounds):
            for name in reversed(VARIANTS) if turn % 2 else VARIANTS:
                console.print(f"training {options.steps} steps: {name}")
                folder = out / f"{name.replace(', ', '_').replace(' ', '_')}_{turn}"
                metrics[name] += train(world, folder, options.steps, VARIANTS[name])
        rows = {name: summarise(metrics[name]) for name in VARIANTS}
    base = rows["plain only"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("schedule")
    for column in (
        "step",
        "ratio",
        "generation",
        "ratio",
        "rest",
        "of step",
        "groups",
        "teacher hidden",
        "teacher tokens",
    ):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        hidden = "" if row["hidden"] != row["hidden"] else f"{row['hidden']:.0%}"
        table.add_row(
            name,
            f"{row['step']:.2f} s",
            f"{row['step'] / base['step']:.2f}",
            f"{row['generation']:.2f} s",
            f"{row['generation'] / base['generation']:.2f}",
            f"{row['rest']:.2f} s",
            f"{row['rest'] / row['step']:.1%}",
            f"{row['groups']:.1f}",
            hidden,
            f"{row['tokens']:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
