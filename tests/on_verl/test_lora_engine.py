"""A LoRA student in verl's engine on two ranks: what goes to servers, to a checkpoint, to the exported model."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from recipe.zppo.export.__main__ import main
from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE
from tests import warm
from tests.tiny_models import make_qwen3, make_tokenizer

WORLD = 2
SCALE = 8 / 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the ranks left, seen_<rank>.pt checkpoint/; a student with an own output layer, and an adapter."""
    folder = tmp_path_factory.mktemp("lora")
    tokenizer = make_tokenizer()
    student = make_qwen3(len(tokenizer), tie_word_embeddings=False, num_hidden_layers=2)
    student.save_pretrained(folder / "student")
    adapted = get_peft_model(student, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # zeros, so far
            torch.nn.init.normal_(parameter.data, std=0.1)
    adapted.save_pretrained(folder / "adapter")
    tokenizer.save_pretrained(folder / "student")
    script = str(Path(__file__).with_name("lora_ranks.py"))
    done = warm.run(script, WORLD, folder, folder=folder, timeout=240, VERL_PLATFORM="cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def seen(folder) -> list[dict]:
    return [torch.load(folder / f"seen_{rank}.pt", weights_only=False) for rank in range(WORLD)]


def policy(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """W + alpha / r * B A, from peft's names to those of the student."""
    whole = {}
    for name, weight in weights.items():
        if "lora_" in name:
            continue
        stem = name.removesuffix(".base_layer.weight")
        if stem != name:
            weight = (
                weight + SCALE * weights[f"{stem}.lora_B.default.weight"] @ weights[f"{stem}.lora_A.default.weight"]
            )
        whole[name.removeprefix("base_model.model.").replace(".base_layer", "")] = weight
    return whole


def test_training_goes_on_from_an_adapter(folder, seen):
    adapter = load_file(folder / "adapter/adapter_model.safetensors")
    loaded = {name.replace(".default", ""): weight for name, weight in seen[0]["before"].items() if "lora_" in name}
    assert loaded.keys() == adapter.keys()
    assert all(torch.equal(weight, adapter[name]) for name, weight in loaded.items())


def test_servers_get_base_plus_adapter_in_full_precision_and_the_trainer_keeps_its_weights(seen):
    want = policy(seen[0]["before"])
    assert sum("lora_A" in name for name in seen[0]["before"]) == 4
    for rank in seen:
        assert rank["peft_config"] is None
        assert rank["sent"].keys() == want.keys()
        for name, weight in rank["sent"].items():
            torch.testing.assert_close(weight, want[name], rtol=0, atol=1e-6)
        assert all(torch.equal(weight, rank["after"][name]) for name, weight in rank["before"].items())


def test_verls_own_merge_still_rounds(seen):
    """Why recipe.cpu.engines has one: when this fails, verl sends float32 itself."""
    assert {weight.dtype for weight in seen[0]["verls"].values()} == {torch.bfloat16}


def test_a_checkpoint_brings_the_adapter_back_and_only_it_trains(seen):
    for rank in seen:
        assert all(torch.equal(weight, rank["resumed"][name]) for name, weight in rank["before"].items())
        assert rank["trainable"] == {name for name in rank["before"] if "lora_" in name}


def test_the_export_is_the_merged_policy(folder, seen):
    run = folder / "run"
    checkpoint = run / "global_step_1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "actor").symlink_to(folder / "checkpoint")
    (checkpoint / COMPLETE_FILE).touch()
    assert export_hf_model(str(run), "fsdp2") == str(run / "hf_model")
    exported = AutoModelForCausalLM.from_pretrained(run / "hf_model", dtype=torch.float32).state_dict()
    want = policy(seen[0]["before"])
    assert exported.keys() == want.keys()
    for name, weight in want.items():
        # bfloat16 has 8 bits: of the base, of A and B, and of the sum.
        torch.testing.assert_close(exported[name], weight, rtol=2**-7, atol=2**-6 * weight.abs().max().item())
    base = AutoModelForCausalLM.from_pretrained(folder / "student", dtype=torch.bfloat16).state_dict()
    changed = {name for name, weight in exported.items() if not torch.equal(weight, base[name].float())}
    assert changed == {name for name in want if any(part in name for part in ("q_proj", "down_proj"))}
    assert (run / "lora_adapter/adapter_config.json").is_file()
    assert not (run / "hf_model/lora_adapter").exists()
    assert main([str(run), "--dtype", "float32"]) == 0
    whole = AutoModelForCausalLM.from_pretrained(run / "export/step_1").state_dict()
    for name, weight in want.items():
        torch.testing.assert_close(whole[name], weight, rtol=0, atol=1e-6)
