"""Plain verl on the CPU, end to end: `python -m verl.trainer.main_ppo` with GRPO, and a pool of teacher servers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipe.cpu.forks import py_executable

ROOT = Path(__file__).resolve().parents[2]
FORKED = py_executable(["verl.trainer.main_ppo", "recipe.cpu.hf_server"])
CONFIG = (
    f"hydra.searchpath=[file://{ROOT}/verl/trainer/config]",
    f"ray_kwargs.ray_init.runtime_env.py_executable='{FORKED}'",
)

REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return float(len(solution_str) % 2)
"""


def run(*command: str, cwd: Path, timeout: int = 240) -> str:
    """Standard output and error of a run on the CPU platform; the whole of it is shown where it fails."""
    env = {**os.environ, "VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    env |= {"TORCHDYNAMO_DISABLE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    # With the package installed its plug-in registers recipe.cpu; from a bare checkout this does.
    env |= {
        "PYTHONPATH": f"{ROOT}:{cwd}:{os.environ['PYTHONPATH']}",
        "VERL_USE_EXTERNAL_MODULES": "register_recipe_cpu",
    }
    (cwd / "register_recipe_cpu.py").write_text("import recipe.cpu\nrecipe.cpu.register()\n")
    result = subprocess.run(
        [sys.executable, *command],
        env=env,
        cwd=cwd,
        timeout=timeout,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert result.returncode == 0, result.stdout[-20000:]
    return result.stdout


@pytest.mark.e2e
def test_grpo_with_two_ranks_and_a_reference_model(tmp_path, qwen3_path):
    """Two trainer ranks, two rollout replicas, a forward-only reference model, a checkpoint; two steps."""
    import pandas as pd

    rows = [
        {
            "data_source": "toy",
            "prompt": [{"role": "user", "content": f"{i % 40} + {i % 7} = ?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i)},
            "extra_info": {"index": i},
        }
        for i in range(16)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "data.parquet")
    (tmp_path / "reward.py").write_text(REWARD)
    output = run(
        "-m",
        "verl.trainer.main_ppo",
        *CONFIG,
        *("+platform=cpu", "+platform_engine=cpu_dp"),
        f"data.train_files={tmp_path}/data.parquet",
        f"data.val_files={tmp_path}/data.parquet",
        "data.train_batch_size=8",
        "data.max_prompt_length=32",
        "data.max_response_length=16",
        f"actor_rollout_ref.model.path={qwen3_path}",
        "actor_rollout_ref.actor.optim.lr=1e-3",
        "actor_rollout_ref.actor.use_kl_loss=true",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.rollout.temperature=0.8",
        "algorithm.adv_estimator=grpo",
        f"reward.custom_reward_function.path={tmp_path}/reward.py",
        "reward.custom_reward_function.name=compute_score",
        "trainer.n_gpus_per_node=2",
        "trainer.logger=[console]",
        "trainer.total_training_steps=2",
        "trainer.val_before_train=false",
        "trainer.save_freq=2",
        f"trainer.default_local_dir={tmp_path}/checkpoint",
        cwd=tmp_path,
    )
    steps = [
        dict(re.findall(r"(\S+?):(\S+)", line)) for line in output.splitlines() if "step:" in line and "loss" in line
    ]
    assert len(steps) == 2, output[-20000:]
    for step in steps:
        # The second step's responses come from synchronised weights: agreement shows that the sync is complete.
        assert float(step["training/rollout_probs_diff_max"]) < 1e-5
        assert float(step["training/rollout_probs_diff_valid"]) == 1
        assert float(step["actor/grad_norm"]) > 0
    assert float(steps[1]["actor/kl_loss"]) > 0
    saved = tmp_path / "checkpoint" / "global_step_2" / "actor"
    assert {p.name for p in saved.glob("model_*.pt")} == {f"model_world_size_2_rank_{r}.pt" for r in range(2)}


TEACHER = """
import asyncio, json, sys
import ray
from hydra import compose, initialize_config_module
from omegaconf import open_dict

model, out = sys.argv[1:3]
with initialize_config_module("verl.trainer.config", version_base=None):
    config = compose("ppo_trainer", overrides=sys.argv[3:] + [
        "+platform=cpu", "distillation.enabled=true", "distillation.n_gpus_per_node=2", "distillation.nnodes=1",
        f"distillation.teacher_models.teacher_model.model_path={model}",
        "distillation.teacher_models.teacher_model.inference.name=hf",
        "distillation.teacher_models.teacher_model.inference.dtype=float32",
        "distillation.teacher_models.teacher_model.inference.tensor_model_parallel_size=1",
        "distillation.teacher_models.teacher_model.inference.prompt_length=32",
        "distillation.teacher_models.teacher_model.inference.response_length=16",
        "distillation.teacher_models.teacher_model.inference.max_model_len=128",
    ])
import verl
from omegaconf import OmegaConf
ray.init(num_cpus=8, num_gpus=2, include_dashboard=False, object_store_memory=10**8,
         runtime_env=OmegaConf.to_container(config.ray_kwargs.ray_init.runtime_env))
from verl.experimental.teacher_loop.teacher_model import MultiTeacherModelManager
from verl.single_controller.ray.base import RayResourcePool

pool = RayResourcePool([2], use_gpu=True, max_colocate_count=3, name_prefix="teacher_pool")
client = MultiTeacherModelManager(config=config, resource_pool=pool).get_client()["default"]


async def main():
    def ask(prompt, **params):
        return client.generate("r", prompt_ids=prompt, sampling_params={"temperature": 1.0, **params})

    answers = await asyncio.gather(*[ask([9, 10 + i], max_tokens=40, seed=i, logprobs=True) for i in range(32)])
    again = await asyncio.gather(*[ask([9, 10 + i], max_tokens=40, seed=i, logprobs=True) for i in range(3)])
    errors = []
    for prompt, params in (([9] * 128, {}), ([9], {"min_p": 0.3})):
        try:
            await ask(prompt, **params)
        except Exception as error:
            errors.append(str(error))
    json.dump(dict(answers=[a.model_dump() for a in answers], again=[a.token_ids for a in again], errors=errors),
              open(out, "w"))

asyncio.run(main())
"""


@pytest.mark.e2e
def test_a_pool_of_teacher_servers_answers(tmp_path, qwen3_path):
    """verl's own teacher manager, two replicas that load their weights from the path, beyond response_length."""
    (tmp_path / "teacher.py").write_text(TEACHER)
    out = tmp_path / "out.json"
    run("teacher.py", str(qwen3_path), str(out), *CONFIG, cwd=tmp_path)
    result = json.loads(out.read_text())
    answers = result["answers"]
    assert result["again"] == [answer["token_ids"] for answer in answers[:3]]
    # response_length is cut to 1 by verl's distillation config; max_tokens is what counts.
    assert max(len(answer["token_ids"]) for answer in answers) == 40
    assert all(len(answer["token_ids"]) == len(answer["log_probs"]) for answer in answers)
    assert all(answer["stop_reason"] == "completed" for answer in answers)
    assert "128 tokens" in result["errors"][0] and "min_p" in result["errors"][1]
