"""The real command refuses a bad configuration in one line, with status 2, before Ray starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray.exceptions import OutOfMemoryError, RayTaskError

from recipe.zppo.errors import ConfigError, plain_message
from recipe.zppo.on_verl.causes import find_zppo_error, out_of_memory
from tests import warm
from tests.runnable import Run, row, write_rows


def main_zppo(cwd: Path, *arguments: str, fork: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command in `cwd`; Ray, if it were started, would leave its session folder in `cwd`/ray."""
    module, temporary = "verl.trainer.main_zppo", {"RAY_TMPDIR": str(cwd / "ray")}
    if fork:
        done = warm.run(module, *arguments, folder=cwd, timeout=120, **temporary)
    else:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=cwd, env=os.environ | temporary, capture_output=True, text=True, timeout=120)
    assert not (cwd / "ray").exists()
    return done


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("zppo.thresold=0.4", "zppo: zppo.thresold: unknown key; did you mean zppo.threshold?"),
        (
            "actor_rollout_ref.actor.loss_agg_mode=sum",
            "zppo: verl does not accept the configuration: Invalid loss_agg_mode: sum",
        ),
    ],
)
def test_refusal(run: Run, override: str, message: str) -> None:
    done = main_zppo(run.folder, *run.overrides(override), fork="loss_agg_mode" not in override)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("zppo: ")]
    assert len(lines) == 1 and lines[0].startswith(message)
    assert "Traceback" not in done.stderr + done.stdout


def test_a_run_on_the_cpu_is_refused_alike(run: Run) -> None:
    write_rows(run.data, [row(i, prompt_id="same") for i in range(16)])
    done = main_zppo(run.folder, *run.overrides("platform=cpu"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "repeats prompt_id='same'" in done.stderr


def test_help_comes_in_any_directory(tmp_path: Path) -> None:
    helped = main_zppo(tmp_path, "--help=full")
    assert helped.returncode == 0
    assert "platform: cpu, cpu_vllm, gpu, local_gpu" in helped.stdout and "train_batch_size: 384" in helped.stdout


def test_a_config_of_the_user_may_inherit_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [zppo_trainer, _self_]\nzppo: {seed: 5}\n")
    mine = ("--config-dir", str(tmp_path), "--config-name", "mine")
    shown = main_zppo(tmp_path, "zppo.replay.weights=visits", *mine, "--cfg", "job", "zppo.replay.capacity=77")
    assert shown.returncode == 0, shown.stderr
    for text in ("seed: 5", "train_batch_size: 384", "capacity: 77", "weights: visits", "trainer_mode: zppo"):
        assert text in shown.stdout


def test_an_error_of_ours_is_found_below_the_layers_that_wrap_it() -> None:
    inner = ConfigError("the cause")
    outer = RuntimeError("wrapped")
    outer.cause = inner  # as ray.exceptions.RayTaskError carries it
    outermost = RuntimeError("wrapped again")
    outermost.__cause__ = outer
    assert find_zppo_error(outermost) is inner
    assert plain_message(inner) == "ConfigError: the cause"
    assert find_zppo_error(RuntimeError("other")) is None


def test_a_node_without_memory_is_said_in_one_line() -> None:
    """As Ray has it: the error of a task, whose cause says which node had how much."""
    cause = OutOfMemoryError(
        "3 worker(s) were killed. Memory on the node (IP: 1.2.3.4) was 22.37GB used / 23.54GB (0.95)"
    )
    error = RayTaskError("run", "a traceback", cause).as_instanceof_cause()
    assert find_zppo_error(error) is None
    message = out_of_memory(error)
    assert message.startswith("a node ran out of main memory (22.37GB used / 23.54GB) and Ray ended workers there")
    assert "\n" not in message
    assert out_of_memory(RuntimeError("other")) is None


RAISES_IN_A_WORKER = """
import ray
from recipe.zppo.errors import ConfigError, plain_message
from recipe.zppo.on_verl.causes import find_zppo_error

@ray.remote(num_cpus=0)
class Inner:
    def fail(self):
        raise ConfigError("row 7 is the cause")

@ray.remote(num_cpus=0)
class Outer:
    def run(self):
        ray.get(Inner.remote().fail.remote())

ray.init(num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False)
try:
    ray.get(Outer.remote().run.remote(), timeout=100)
except Exception as error:
    print(plain_message(find_zppo_error(error)))
"""


@pytest.mark.e2e
def test_an_error_of_ours_crosses_two_ray_actors_as_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", RAISES_IN_A_WORKER], capture_output=True, text=True, timeout=200)
    assert done.stdout.splitlines()[-1:] == ["ConfigError: row 7 is the cause"], done.stderr[-2000:]
