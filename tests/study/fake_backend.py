"""Training without training: a backend that writes the files of a run, from its overrides alone.

What it does can be steered by overrides of the run, under ``+fake.``, so that every worker process sees it:
``fail_at``, ``die_at`` and ``wait_at`` (a step; until the file ``mend`` exists), ``stop_at`` (ends early, and says
nothing), ``validate_from`` (a step).
"""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

from recipe.zppo.study.backends import Job
from recipe.zppo.study.overrides import effective
from tests.event_lines import measured


class FakeBackend:
    def train(self, job: Job) -> None:
        values = {key: value.strip("'") for key, value in effective(job.overrides).items()}
        options = {key.removeprefix("fake."): value for key, value in values.items() if key.startswith("fake.")}
        method, seed, total = values["method"], int(values["zppo.seed"]), int(values["trainer.total_training_steps"])
        folder = Path(values["trainer.default_local_dir"])
        assert folder == job.folder and total == job.steps
        print(f"training {method}")
        with open(folder / "attempts", "a") as file:
            file.write(f"{os.getpid()}\n")
        path = folder / "events.jsonl"
        done = len(path.read_text().splitlines()) if path.exists() else 0
        with open(path, "a", buffering=1) as file:
            for step in range(done, total + 1):
                mended = "mend" in options and Path(options["mend"]).exists()
                while str(step) == options.get("wait_at") and not Path(options["mend"]).exists():
                    time.sleep(0.02)
                if str(step) == options.get("fail_at") and not mended:
                    raise RuntimeError("the fake disk is full\nsecond line")
                if str(step) == options.get("die_at") and not mended:
                    os.kill(os.getpid(), signal.SIGKILL)
                if str(step) == options.get("stop_at"):
                    return
                row = metrics(method, seed, step, total)
                if step < int(options.get("validate_from", 0)):
                    row = {name: value for name, value in row.items() if "val" not in name}
                if len(row) > 1:
                    file.write(measured([row]))

    def stop(self) -> None:
        pass


class NotingBackend:
    """Notes who has trained."""

    def train(self, job: Job) -> None:
        (job.folder / "pid").write_text(str(os.getpid()))

    def stop(self) -> None:
        pass


class BrokenBackend(NotingBackend):
    """Can't be made in a worker."""

    def __init__(self) -> None:
        if multiprocessing.parent_process() is not None:
            raise RuntimeError("no such device")


def metrics(method: str, seed: int, step: int, total: int) -> dict[str, float]:
    """Of one step; the same for the same arguments, whatever process asks."""
    noise = random.Random(hashlib.md5(f"{method}{seed}".encode()).hexdigest())
    gain = {"zppo": 0.5, "grpo_replay": 0.2}.get(method, 0.3) + noise.uniform(-0.05, 0.05)
    row: dict[str, float] = {"step": step}
    if step in (0, total // 2, total):
        for source, bonus, questions in (("price_list", 0.0, 256), ("price_list_shifted", -0.1, 128)):
            row[f"val-core/{source}/acc/mean@1"] = 0.2 + bonus + gain * step / total
            row[f"zppo/validation/{source}/questions"] = questions
    if step == 0:
        return row
    row |= {
        "timing_s/step": 2.0 if method == "zppo" else 1.0,
        "timing_s/processor": 1.6 if method == "zppo" else 0.8,
        "zppo/batch/positive_advantage_share": 0.3 + gain / 10,
        "zppo/tokens/student": 1000,
        "zppo/tokens/teacher": 0 if method.startswith("grpo") and "cq" not in method else 100,
    }
    if method != "grpo":
        row |= {
            "zppo/buffer/size": 40,
            "zppo/buffer/admissions": 10 * step,
            "zppo/buffer/graduations": (3 if method == "zppo" else 1) * step,
            "zppo/buffer/evictions": 6 * step,
            "zppo/buffer/admissions/from_0.0": 5 * step,
            "zppo/buffer/graduations/from_0.0": step,
            "zppo/buffer/evictions/from_0.0": 4 * step,
        }
    return row
