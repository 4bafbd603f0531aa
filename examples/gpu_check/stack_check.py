r"""Whether the whole stack works on this machine's GPUs: ``python examples/gpu_check/stack_check.py [--device cpu]``.

For a clone in an environment with the extra `gpu` and the tests' packages, and two GPUs: one for the student's FSDP and
vLLM, one for the teacher's pool. A random Qwen3.5 of a few thousand weights sees pictures and text:

1. `zppo.dry_run=true`, and the memory that the plan expects;
2. two steps with a checkpoint;
3. the same command for three steps, which goes on from it;
4. what each GPU had used at most, beside the plan.

With `--device cpu` the same on `platform=cpu`, where there is no GPU's memory to compare. Exit status: 0 all passed, 1
something failed, 2 nothing could be checked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def make_inputs(folder: Path) -> list[str]:
    """Two models and their questions; the overrides that name them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.e2e.test_train_images import questions
    from tests.media.conftest import save_qwen3_5

    files = []
    for name, rows in zip(("seen", "text"), questions(), strict=True):
        rows = [row for row in rows if not row.get("videos")]  # vLLM is refused them, see docs/guides/images.md
        files.append(str(folder / f"{name}.parquet"))
        pq.write_table(pa.Table.from_pylist(rows), files[-1])
    for seed, name in enumerate(("student", "teacher")):
        (folder / name).mkdir(exist_ok=True)
        save_qwen3_5(folder / name, seed=seed)
    return [
        *(f"data.train_files=[{','.join(files)}]", f"data.val_files={files[0]}", "data.val_max_samples=4"),
        *(f"actor_rollout_ref.model.path={folder}/student", f"zppo.teacher.path={folder}/teacher"),
        f"reward.custom_reward_function.path={ROOT}/tests/media/graded_by_hash.py",
    ]


SETTINGS = (
    *("preset=tiny", "data.train_batch_size=8", "data.max_prompt_length=512", "data.max_response_length=16"),
    *("actor_rollout_ref.rollout.n=4", "actor_rollout_ref.rollout.max_model_len=2048", "zppo.teacher.n_rollouts=2"),
    *("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192", "zppo.compression.max_tokens=48"),
    *("actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=8192", "zppo.reformulation.max_candidate_tokens=32"),
    *("zppo.reformulation.fraction=1.0", "zppo.replay.fraction=0.5", "zppo.replay.capacity=12"),
    # Linear attention packs sequences only with a kernel that not every machine has.
    *("actor_rollout_ref.model.use_remove_padding=false", "actor_rollout_ref.model.use_fused_kernels=false"),
    *("trainer.save_freq=2", "trainer.test_freq=-1", "trainer.total_epochs=10", "trainer.logger=[console]"),
)


def platform(device: str) -> list[str]:
    if device == "cpu":
        return ["platform=cpu"]
    # Few and small servers: the models are tiny, and vLLM takes a share of the GPU whatever the model.
    share = ["actor_rollout_ref.rollout.gpu_memory_utilization=0.3", "zppo.teacher.n_gpus_per_node=1"]
    return ["platform=gpu", "trainer.n_gpus_per_node=1", *share]


class Watch(threading.Thread):
    """The most bytes that `nvidia-smi` shows as used on each GPU."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most: dict[str, int] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        from recipe.zppo.dry_run.machine import accelerators

        while not self._ended.wait(1.0):
            for each in accelerators():
                self.most[each.index] = max(self.most.get(each.index, 0), each.total - each.free)

    def stop(self) -> dict[str, int]:
        self._ended.set()
        self.join()
        return self.most


def train(overrides: Sequence[str], steps: int, log: Path, seconds: float) -> tuple[str, bool]:
    """A line about the run, and whether it came to its end."""
    command = [sys.executable, "-m", "verl.trainer.main_zppo", *overrides, f"trainer.total_training_steps={steps}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    started = time.monotonic()
    with log.open("w") as file:
        try:
            status = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, timeout=seconds, cwd=log.parent, env=environment
            ).returncode
        except subprocess.TimeoutExpired:
            return f"no end after {seconds:.0f} s, see {log}", False
    took = time.monotonic() - started
    return f"{took:.0f} s, status {status}" + ("" if status == 0 else f", see {log}"), status == 0


def expected(overrides: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """GB by what the plan counts, and its problems and warnings."""
    from recipe.zppo.config.compose import compose
    from recipe.zppo.dry_run.planning import plan
    from recipe.zppo.preflight.platform import set_platform

    config = compose([*overrides, "trainer.total_training_steps=3", "zppo.dry_run=true"])
    set_platform(config)
    planned = plan(config, join=False)
    found = {}
    if planned.training_memory:
        found["update"] = planned.training_memory.estimate / 1e9
    for (who, _), memory in planned.serving_memory.items():
        found[f"{who}'s server"] = (memory.budget + memory.resident) / 1e9
    return found, [*(f"problem: {line}" for line in planned.problems), *planned.warnings]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--work", type=Path, help="folder of models, runs and logs; by default one that is removed")
    parser.add_argument("--minutes", type=float, default=20, help="for each of the two runs")
    parser.add_argument("--out", type=Path, default=Path("stack_check.json"))
    options = parser.parse_args(arguments)
    import torch

    if options.device == "cuda" and torch.cuda.device_count() < 2:
        print(
            f"stack_check: PyTorch sees {torch.cuda.device_count()} GPU(s), and student and teacher take one each; "
            "--device cpu tries the same without",
            file=sys.stderr,
        )
        return 2
    rows: list[dict[str, Any]] = []

    def say(name: str, said: str, passed: bool, **figures: Any) -> bool:
        rows.append({"name": name, "passed": passed, "said": said, **figures})
        print(f"{name:12} {'passed' if passed else 'failed':8} {said}", flush=True)
        temporary = options.out.with_name(options.out.name + ".tmp")
        temporary.write_text(json.dumps({"device": options.device, "checks": rows}, indent=1) + "\n")
        temporary.replace(options.out)
        return passed

    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        run = work / "run"
        overrides = [*platform(options.device), *SETTINGS, *make_inputs(work), f"trainer.default_local_dir={run}"]
        planned, remarks = expected(overrides)
        problems = [line for line in remarks if line.startswith("problem: ")]
        gigabytes = ", ".join(f"{name} {size:.1f} GB" for name, size in planned.items()) or "no GPU's memory to plan"
        if not say("dry run", "; ".join(problems) or gigabytes, not problems, planned_gb=planned, remarks=remarks):
            return 1
        watch = Watch()
        if options.device == "cuda":
            watch.start()
        for name, steps in (("two steps", 2), ("resumed", 3)):
            if not say(name, *train(overrides, steps, work / f"{name}.log".replace(" ", "_"), options.minutes * 60)):
                return 1
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        trained = [row["step"] for row in metrics if "actor/grad_norm" in row]
        say("steps", f"metrics of steps {trained}", trained == [1, 2, 3])
        kinds = {
            json.loads(line)["kind"]
            for file in (run / "rollouts").glob("*.jsonl")
            for line in file.read_text().splitlines()
        }
        say("groups", ", ".join(sorted(kinds)), {"plain", "bcq", "ncq"} <= kinds)
        model = run / "hf_model" / "config.json"
        say("export", str(model), model.is_file())
        if options.device == "cuda":
            used = {f"GPU {index}": most / 1e9 for index, most in watch.stop().items()}
            said = ", ".join(f"{name} {size:.1f} GB" for name, size in used.items())
            say("memory", f"at most {said}; planned: {gigabytes}", True, used_gb=used, planned_gb=planned)
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
