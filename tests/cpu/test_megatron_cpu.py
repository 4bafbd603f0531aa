"""verl's Megatron engine on the CPU: `platform=cpu model_engine=megatron`. Skipped where Megatron is not installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .test_register import python

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("megatron") is None or importlib.util.find_spec("megatron.bridge") is None,
    reason="Megatron-Core and its bridge are not installed: make megatron-cpu-check",
)


def llama_path(folder: Path, tokenizer) -> str:
    """An untied head and shared keys, where the world's Qwen3 has a tied one and norms of queries and keys."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.08,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("model", "ranks", "tensor_parallel", "layout"),
    [("qwen3", 1, 1, "padded"), ("qwen3", 2, 2, "packed"), ("llama", 2, 2, "padded"), ("llama", 2, 1, "packed")],
)
def test_it_computes_what_fsdp_computes(model, ranks, tensor_parallel, layout, tmp_path, qwen3_path, tokenizer):
    """Log-probs, gradients of verl's loss, weights by name; a checkpoint gives back weights and optimiser exactly."""
    student = qwen3_path if model == "qwen3" else llama_path(tmp_path / "llama", tokenizer)
    out = tmp_path / "found.json"
    script = str(Path(__file__).with_name("megatron_ranks.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"]
    command += [script, str(out), str(tensor_parallel), layout, str(student)]
    environment = os.environ | {"VERL_PLATFORM": "cpu", "TORCHDYNAMO_DISABLE": "1"}
    environment |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-8000:]
    found = json.loads(out.read_text())
    assert found["weights"] == 0
    assert found["log_probs"] < 2e-5
    for megatron, fsdp in found["grad_norms"]:
        assert megatron == pytest.approx(fsdp, rel=1e-4)
    # Adam makes whole steps of what is rounding noise, in weights whose gradients are all but zero.
    assert found["updated_weights"] < 0.1 * found["moved"]
    assert found["loaded_weights"] == 0
    assert found["update_after_loading"] == 0
    assert found["schedule"] == [4, 4]


def test_transformer_engine_is_there_for_the_bridges_import_only():
    """Fails when Megatron-Bridge imports without TransformerEngine: drop `import_bridge`'s stand-in."""
    if importlib.util.find_spec("transformer_engine") is not None:
        pytest.skip("TransformerEngine is installed")
    code = """
try: import megatron.bridge
except ModuleNotFoundError as error: print("missing", error.name)
"""
    assert python(code).splitlines()[-1] == "missing transformer_engine"
    code = """
import recipe.cpu; recipe.cpu.use_cpu()
import verl.workers.engine
from recipe.cpu.megatron_engine import import_bridge
import_bridge(); import_bridge()
import importlib.util, sys
print(importlib.util.find_spec("transformer_engine"), "megatron.bridge" in sys.modules)
"""
    assert python(code).splitlines()[-1] == "None True"


def test_verl_still_hands_no_betas_to_megatron():
    """Fails when it does: drop the check of betas in recipe/zppo/preflight/optimizer.py."""
    code = """
from verl.utils.megatron.optimizer import init_megatron_optim_config
from verl.workers.config import McoreOptimizerConfig
made = init_megatron_optim_config(McoreOptimizerConfig(lr=1e-6, betas=(0.8, 0.95)))
print(made.adam_beta1, made.adam_beta2)
"""
    assert python(code, VERL_PLATFORM="cpu").splitlines()[-1] == "0.9 0.999"


def train(world, folder: Path, *changes: str) -> dict[int, dict]:
    """Run the real command to its end; its metrics by step."""
    from tests.local.conftest import overrides, read_metrics

    settings = overrides(world, folder / "run", "model_engine=megatron", *changes)
    command = [sys.executable, "-m", "verl.trainer.main_zppo", *settings]
    with open(folder / "train.log", "a") as log:
        status = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, timeout=600).returncode
    assert status == 0, (folder / "train.log").read_text(errors="replace")[-8000:]
    return read_metrics(folder / "run")


def check_steps(steps: dict[int, dict], numbers: list[int]) -> None:
    assert [step for step, row in steps.items() if "actor/grad_norm" in row] == numbers
    for step in numbers:
        # The trainer's log-probs against those of the servers, whose weights Megatron-Bridge has exported.
        assert steps[step]["training/rollout_probs_diff_max"] < 1e-4
        assert steps[step]["actor/grad_norm"] > 0
        assert steps[step]["zppo/rollouts/failed"] == 0


@pytest.mark.e2e
def test_zppo_trains_resumes_and_exports(world, tmp_path):
    """Two steps on one rank, packed; a third after a restart; the exported model is the checkpoint's."""
    packed = "actor_rollout_ref.model.use_remove_padding=true"
    check_steps(train(world, tmp_path, packed), [1, 2])
    steps = train(world, tmp_path, packed, "trainer.total_training_steps=3")
    check_steps(steps, [1, 2, 3])
    assert sum(row.get("zppo/bcq/count", 0) + row.get("zppo/ncq/count", 0) for row in steps.values()) > 0

    command = [sys.executable, "-m", "recipe.zppo.export", str(tmp_path / "run"), "--to", str(tmp_path / "exported")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    exported = load_file(tmp_path / "exported/model.safetensors")
    saved = load_file(tmp_path / "run/global_step_3/actor/model/huggingface/model.safetensors")
    first = load_file(Path(world.student) / "model.safetensors")
    assert exported.keys() == saved.keys()
    assert all(torch.equal(exported[name], saved[name].to(exported[name].dtype)) for name in saved)
    assert any(not torch.equal(first[name], saved[name]) for name in first.keys() & saved.keys())


@pytest.mark.e2e
def test_zppo_trains_with_tensor_parallel_ranks(world, tmp_path):
    two = ("trainer.n_gpus_per_node=2", "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2")
    check_steps(train(world, tmp_path, *two, "trainer.total_training_steps=3"), [1, 2, 3])
