"""End-to-end runs of the real command on the embedded world."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from recipe.zppo.world.build import build_world
from recipe.zppo.world.paths import WorldPaths

LIMIT_S = 600
MARK = "ZPPO_TEST_RUN"


@pytest.fixture(scope="session")
def world() -> WorldPaths:
    """The world in the user's cache, built on first use."""
    return build_world()


class Training:
    """One run of ``python -m verl.trainer.main_zppo`` in a folder of its own."""

    def __init__(self, world: WorldPaths, folder: Path):
        self.world, self.folder = world, folder
        folder.mkdir(parents=True, exist_ok=True)

    def command(self, *overrides: str) -> list[str]:
        world = self.world
        return [
            *(sys.executable, "-m", "verl.trainer.main_zppo", "platform=cpu"),
            f"data.train_files={world.train_file}",
            f"data.val_files={world.val_file}",
            "data.val_max_samples=32",
            "data.train_batch_size=8",
            "data.max_prompt_length=32",
            "data.max_response_length=32",
            f"actor_rollout_ref.model.path={world.student}",
            "actor_rollout_ref.actor.optim.lr=1.5e-4",
            "actor_rollout_ref.model.use_remove_padding=true",
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
            "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=1024",
            "actor_rollout_ref.rollout.n=4",
            "actor_rollout_ref.rollout.max_model_len=512",
            "actor_rollout_ref.rollout.full_determinism=true",
            f"zppo.teacher.path={world.teacher}",
            "zppo.teacher.n_rollouts=2",
            "zppo.replay.fraction=0.5",
            "zppo.replay.capacity=12",
            "zppo.reformulation.fraction=0.5",
            "zppo.reformulation.max_candidate_tokens=32",
            "zppo.compression.max_tokens=48",
            f"trainer.default_local_dir={self.folder}/run",
            "trainer.total_training_steps=3",
            "trainer.save_freq=1",
            "trainer.test_freq=-1",
            "trainer.val_before_train=false",
            *overrides,
        ]

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def start(self, *overrides: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start it in a session of its own, from another working directory, with its output in ``train.log``."""
        log = open(self.folder / "train.log", "ab")  # noqa: SIM115 (the process keeps it)
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            self.command(*overrides),
            cwd=self.folder,
            env=os.environ | {MARK: mark} | (env or {}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        process.mark = mark
        return process

    def run(self, *overrides: str, env: dict[str, str] | None = None, status: int = 0) -> str:
        """Run to the end; gives the log."""
        process = self.start(*overrides, env=env)
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        log = self.log()
        assert code == status, f"exit status {code}\n{log[-5000:]}"
        return log

    def log(self) -> str:
        return (self.folder / "train.log").read_text(errors="replace")

    def kill_at(self, step: int, stage: str, *overrides: str) -> None:
        """Run until the status file says ``stage`` of ``step`` and kill -9 everything."""
        process = self.start(*overrides)
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            status = self.status()
            if (status.get("step"), status.get("stage")) == (step, stage):
                kill(process)
                return
            assert process.poll() is None, f"ended before {stage} of step {step}\n{self.log()[-5000:]}"
            time.sleep(0.005)
        kill(process)
        raise AssertionError(f"never reached {stage} of step {step}\n{self.log()[-3000:]}")

    def status(self) -> dict:
        try:
            return json.loads((self.run_dir / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def metrics(self) -> dict[int, dict]:
        lines = (self.run_dir / "metrics.jsonl").read_text().splitlines()
        return {entry["step"]: entry for entry in map(json.loads, lines)}

    def rollouts(self, step: int) -> list[dict]:
        return [json.loads(line) for line in (self.run_dir / f"rollouts/step_{step:06d}.jsonl").open()]


def cluster_address(process: subprocess.Popen) -> str:
    """Of the Ray cluster that the run has started; other tests may have clusters of theirs."""
    flag = "--gcs-address="
    for other in psutil.process_iter():
        if _mark(other) == str(process.mark):
            with contextlib.suppress(psutil.Error):
                for argument in other.cmdline():
                    if argument.startswith(flag):
                        return argument.removeprefix(flag)
    raise AssertionError("the run has no Ray cluster")


def kill(process: subprocess.Popen) -> None:
    """kill -9 the driver and all that it has started, Ray's daemons too: their environment carries the run's mark."""
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    for _ in range(20):
        running = [other for other in psutil.process_iter() if _mark(other) == str(process.mark)]
        if not running:
            return
        for other in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()
        time.sleep(0.2)
    raise AssertionError(f"still running: {running}")


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return None


@pytest.fixture
def training(world: WorldPaths, tmp_path: Path) -> Callable[[str], Training]:
    return lambda name: Training(world, tmp_path / name)
