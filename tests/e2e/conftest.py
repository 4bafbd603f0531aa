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
import torch

from recipe.zppo.run.events import EVENTS_FILE, read_events
from recipe.zppo.world.paths import WorldPaths
from tests import warm
from tests.local.conftest import overrides, read_metrics

LIMIT_S = 600
MARK = "ZPPO_TEST_RUN"

FAILING_REWARD = """
import json, os
from recipe.zppo.reward import compute_score as graded

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    path = os.path.join({run_dir!r}, "status.json")
    if not os.path.exists(path):  # tried before the start
        return graded(data_source, solution_str, ground_truth, extra_info)
    with open(path) as file:
        status = json.load(file)
    if [status["step"], status["stage"]] == {when}:
        raise KeyError("no such unit")
    return {otherwise}
"""


class Training:
    """One run of ``python -m verl.trainer.main_zppo`` in a folder of its own."""

    def __init__(self, world: WorldPaths, folder: Path):
        self.world, self.folder = world, folder
        folder.mkdir(parents=True, exist_ok=True)

    def overrides(self, *changes: str) -> list[str]:
        return overrides(
            self.world,
            self.run_dir,
            "data.val_max_samples=32",
            "actor_rollout_ref.model.use_remove_padding=true",
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",
            "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=1024",
            "actor_rollout_ref.rollout.full_determinism=true",
            "trainer.total_training_steps=3",
            *changes,
        )

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def spied(self, module: str = "tests.e2e.spy") -> dict[str, str]:
        """The environment of a run whose workers import this module, which leaves files in the run's folder."""
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ["PYTHONPATH"]])
        return {"VERL_USE_EXTERNAL_MODULES": module, "ZPPO_SPY_DIR": str(self.folder), "PYTHONPATH": path}

    def start(
        self, *changes: str, env: dict[str, str] | None = None, fork: bool = True
    ) -> warm.Started | subprocess.Popen:
        """Start it from another working directory, with its output in ``train.log``.

        ``fork``: of a process that has imported verl; else a new Python, as a user has it.
        """
        command, output = ("verl.trainer.main_zppo", self.overrides(*changes)), self.folder / "train.log"
        mark = uuid.uuid4().hex
        environment = os.environ | {MARK: mark} | (env or {})
        process: warm.Started | subprocess.Popen
        if fork:
            process = warm.Started(*command, self.folder, environment, output)
        else:
            log = open(output, "ab")  # noqa: SIM115 (the process keeps it)
            arguments = [sys.executable, "-m", command[0], *command[1]]
            process = subprocess.Popen(
                arguments, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        process.mark = mark
        return process

    def run(self, *changes: str, env: dict[str, str] | None = None, status: int = 0, fork: bool = True) -> str:
        """Run to the end; gives the log."""
        process = self.start(*changes, env=env, fork=fork)
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        log = self.log()
        assert code == status, f"exit status {code}\n{log[-5000:]}"
        return log

    def failing_reward(self, step: int, stage: str, otherwise: str) -> str:
        """The setting of a reward function that raises in this stage of this step, and gives ``otherwise`` before."""
        path = self.folder / "reward.py"
        path.write_text(FAILING_REWARD.format(run_dir=str(self.run_dir), when=[step, stage], otherwise=otherwise))
        return f"reward.custom_reward_function.path={path}"

    def last_words(self) -> str:
        """What the user reads at the end of a run that has failed."""
        last = [line for line in self.log().splitlines() if line.startswith("zppo:")][-1]
        assert "Traceback" not in last
        return last

    def log(self) -> str:
        return (self.folder / "train.log").read_text(errors="replace")

    def kill_at(self, step: int, stage: str, *changes: str) -> None:
        """Run until the status file says ``stage`` of ``step``, one that lasts, and kill -9 everything."""
        self._kill_when(lambda: (self.status().get("step"), self.status().get("stage")) == (step, stage), *changes)

    def kill_in_checkpoint(self, step: int, *changes: str) -> None:
        """Kill -9 everything when the model of ``step`` is saved and the checkpoint is not whole.

        verl waits there: its file of the data order is a pipe that nobody reads.
        """
        pipe, model = (self.run_dir / f"global_step_{step}" / name for name in ("data.pt", "actor/huggingface"))
        pipe.parent.mkdir(parents=True)
        os.mkfifo(pipe)
        self._kill_when(model.exists, *changes)
        pipe.unlink()

    def _kill_when(self, reached: Callable[[], bool], *changes: str) -> None:
        process = self.start(*changes)
        deadline = time.monotonic() + LIMIT_S
        while not reached() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        ended = process.poll()
        kill(process)
        assert ended is None and time.monotonic() < deadline, f"ended, or never got there\n{self.log()[-5000:]}"

    def status(self) -> dict:
        try:
            return json.loads((self.run_dir / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def metrics(self) -> dict[int, dict]:
        return read_metrics(self.run_dir)

    def weights(self, step: int) -> dict[str, torch.Tensor]:
        """Of the student in the checkpoint of this step."""
        file = self.run_dir / f"global_step_{step}/actor/model_world_size_1_rank_0.pt"
        state = torch.load(file, weights_only=False, map_location="cpu")
        return {name: weight.full_tensor() for name, weight in state.items()}

    def optimizer(self, step: int) -> dict[int, dict]:
        """Its state for each parameter."""
        file = self.run_dir / f"global_step_{step}/actor/optim_world_size_1_rank_0.pt"
        return torch.load(file, weights_only=False, map_location="cpu")["state"]

    def batch(self, step: int, *, padding: bool = False) -> list[dict]:
        """The rows that trained, with the kind of their group, as a spied run has left them."""
        rows = torch.load(self.folder / f"batch_{step}.pt", weights_only=False)
        return [row | {"kind": row["uid"].rsplit(".", 1)[-1]} for row in rows if padding or not row["padding"]]

    def num_updates(self, steps: tuple[int, ...]) -> tuple[list[int], int]:
        """Of each step, as the trainer asked for them, and of the whole run, as the optimizer counted them."""
        infos = [torch.load(self.folder / f"info_{step}.pt", weights_only=False) for step in steps]
        (total,) = {int(state["step"]) for state in self.optimizer(steps[-1]).values()}
        return [info["num_mini_batch"] for info in infos], total

    def rollouts(self, step: int) -> list[dict]:
        return [json.loads(line) for line in (self.run_dir / f"rollouts/step_{step:06d}.jsonl").open()]

    def events(self) -> list[dict]:
        """Of groups and buffer; what the teacher was asked in vain may hang on who was first."""
        types = ("rolled_out", "reformulated", "admitted", "visited", "graduated", "evicted")
        return list(read_events(self.run_dir / EVENTS_FILE, *types))


def check_parity(real: Training, *changes: str) -> None:
    """The local back end and the real stack are one algorithm: same seed, same three steps, token for token.

    What one name stands for in both is one number, but for means over micro-batches (docs/reference/metrics.md).
    """
    from recipe.zppo.config.compose import compose
    from recipe.zppo.config.validation import validate_zppo
    from recipe.zppo.local.trainer import LocalTrainer

    local = Training(real.world, real.folder / "local")
    config = compose(local.overrides(*changes))
    LocalTrainer(config, validate_zppo(config.zppo)).fit()
    assert local.events() == real.events()
    ours, theirs = local.metrics(), real.metrics()
    for step in (1, 2, 3):
        lines = local.rollouts(step)
        assert [group["uid"] for group in lines] == [group["uid"] for group in real.rollouts(step)]
        assert lines == real.rollouts(step)  # questions, candidates, responses, rewards, the teacher's answers
        for name in ("grad_norm", "entropy", "pg_loss", "loss", "lr", "pg_clipfrac_lower"):
            expected = pytest.approx(theirs[step][f"actor/{name}"], rel=1e-4, abs=1e-7)
            assert ours[step][f"actor/{name}"] == expected, (step, name)
        buffer = {name: value for name, value in theirs[step].items() if name.startswith("zppo/buffer/")}
        assert buffer == {name: ours[step][name] for name in buffer}
    for step in (step for step in (0, 3) if step in theirs):
        validated = {name: value for name, value in theirs[step].items() if name.startswith("val-core/")}
        assert validated or step
        assert validated == {name: ours[step][name] for name in validated}


def check_buffer_follows_plain_groups(training: Training, steps: tuple[int, ...]) -> None:
    inside: dict[str, int] = {}
    for step in steps:
        plain = [line for line in training.rollouts(step) if line["kind"] == "plain"]
        assert any(line["replayed"] for line in plain) == (step > 1)
        for line in plain:
            if line["replayed"]:
                assert line["prompt_id"] in inside
            if line["accuracy"] < 0.5:
                inside.setdefault(line["prompt_id"], step)
            else:
                inside.pop(line["prompt_id"], None)
        for prompt_id in list(inside)[: max(0, len(inside) - 12)]:
            del inside[prompt_id]
        assert training.metrics()[step]["zppo/buffer/size"] == len(inside) > 0


def cluster_address(process: warm.Started | subprocess.Popen) -> str:
    """Of the Ray cluster that the run has started; other tests may have clusters of theirs."""
    flag = "--gcs-address="
    for other in psutil.process_iter():
        if _mark(other) == str(process.mark):
            with contextlib.suppress(psutil.Error):
                for argument in other.cmdline():
                    if argument.startswith(flag):
                        return argument.removeprefix(flag)
    raise AssertionError("the run has no Ray cluster")


def kill(process: warm.Started | subprocess.Popen) -> None:
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
