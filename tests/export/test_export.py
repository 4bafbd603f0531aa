"""Any checkpoint of a run as a model that transformers loads, or one line that says why not."""

import os
import resource
import shutil
import stat
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, LOCAL_STATE
from tests.export.conftest import TEMPLATE, Finished


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(folder)
    return {name: weight.detach() for name, weight in model.named_parameters()}


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], dtype: torch.dtype) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key].to(dtype)) for key in wanted)


def whole(finished: Finished, folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(finished.base)
    model.load_state_dict(finished.weights, strict=False)
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder, max_shard_size="300KB")
    finished.configs(folder)


def save(finished: Finished, kind: str) -> None:
    if kind == "verl":
        finished.verl(3)
    elif kind == "local":
        finished.local(3)
    elif kind == "bridge":
        actor = finished.folder / "global_step_3" / "actor"
        whole(finished, actor / "model" / "huggingface")
        (actor.parent / COMPLETE_FILE).touch()
    else:
        whole(finished, finished.folder / "hf_model")


@pytest.mark.parametrize("kind", ["verl", "local", "bridge", "hf_model"])
def test_every_kind_of_checkpoint_in_every_type(finished: Finished, zppo, kind: str) -> None:
    save(finished, kind)
    from_base = kind in ("verl", "local")
    if not from_base:
        finished.forget()
    name = "hf_model" if kind == "hf_model" else "step_3"
    for dtype in (torch.bfloat16, torch.float32) if from_base else (torch.float16, torch.float32):
        said = str(dtype).removeprefix("torch.")
        target = finished.folder / "export" / name
        assert str(target) in zppo(finished.folder, "--dtype", said, "--overwrite")
        found = weights(target)  # in the type that the config names
        assert same(found, finished.weights, dtype)
        assert {weight.dtype for file in target.glob("*.safetensors") for weight in load_file(file).values()} == {dtype}
    assert AutoTokenizer.from_pretrained(target).chat_template == TEMPLATE
    if from_base:
        generation = GenerationConfig.from_pretrained(target)
        assert (generation.eos_token_id, generation.temperature, generation.do_sample) == (3, 0.6, False)


def test_bfloat16_is_the_default_and_files_have_the_mode_of_new_ones(finished: Finished, zppo, tmp_path: Path) -> None:
    finished.verl(3)
    finished.forget()
    before = os.umask(0o027)
    try:
        zppo(finished.folder, "--to", tmp_path / "out")
    finally:
        os.umask(before)
    assert same(weights(tmp_path / "out"), finished.weights, torch.bfloat16)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {0o640} and stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_the_newest_checkpoint_or_the_one_that_is_named(finished: Finished, zppo) -> None:
    finished.verl(3)
    finished.verl(5)
    finished.forget()
    (finished.folder / "latest_checkpointed_iteration.txt").write_text("5")
    assert "global_step_5" in zppo(finished.folder)
    assert "global_step_3" in zppo(finished.folder, "--step", 3)
    finished.local(4)  # of a later run in the same folder
    os.utime(finished.folder / LOCAL_STATE, (2**31, 2**31))
    assert LOCAL_STATE in zppo(finished.folder, "--base", finished.base)


@pytest.mark.parametrize("alone", [False, True])
def test_lora_is_merged_and_its_adapter_lies_apart(finished: Finished, zppo, tmp_path: Path, alone: bool) -> None:
    """`alone`: the checkpoint has the adapter only (save_lora_only)."""
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(finished.base), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"])
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight.data, std=0.1)
    state = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    if alone:
        state = {name: weight for name, weight in state.items() if "lora_" in name}
    actor = finished.verl(3, state)
    (actor / "lora_train_meta.json").write_text('{"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}')
    target, adapter = tmp_path / "merged", tmp_path / "adapter"
    zppo(finished.folder, "--to", target, "--adapter", adapter, "--dtype", "float32")
    wanted = dict(model.merge_and_unload().named_parameters())
    found = weights(target)
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight.detach(), rtol=0, atol=1e-6)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(os.listdir(adapter))
    assert not (target / "lora_adapter").exists()
    assert AutoTokenizer.from_pretrained(target).chat_template == TEMPLATE
    if alone:
        finished.forget()
        said = zppo(finished.folder, "--to", tmp_path / "other", status=2)
        assert said.endswith("has the adapter alone; name the model it is of with --base")
        zppo(finished.folder, "--to", tmp_path / "other", "--base", finished.base)


# ---------------------------------------------------------------------- refused


def test_a_folder_that_is_none_of_a_run(finished: Finished, zppo, tmp_path: Path) -> None:
    assert "is not a folder; give" in zppo(tmp_path / "nowhere", status=2)
    (tmp_path / "other").mkdir()
    assert "is not the folder of a run" in zppo(tmp_path / "other", status=2)
    assert "has no checkpoint yet" in zppo(finished.folder, status=2)
    finished.verl(3)
    said = zppo(finished.folder / "global_step_3", status=2)
    assert said.endswith(f"is a checkpoint; give its run: {finished.folder} --step 3")


def test_a_step_that_is_not_there_or_half_written(finished: Finished, zppo) -> None:
    (finished.verl(9).parent / COMPLETE_FILE).unlink()
    assert "half-written (global_step_9 has no" in zppo(finished.folder, status=2)
    assert zppo(finished.folder, "--step", 7, status=2).endswith("has no checkpoint of this step; there is none")
    finished.verl(3)
    finished.local(5)
    assert zppo(finished.folder, "--step", 7, status=2).endswith("has no checkpoint of this step; there are: 3, 5")
    said = zppo(finished.folder, "--step", 9, status=2)
    assert "global_step_9 is half-written" in said and said.endswith("of whole checkpoints there are: 3, 5")
    assert "--step: invalid int value: 'x'" in zppo(finished.folder, "--step", "x", status=2)


def test_a_type_that_there_is_not_or_that_does_not_hold_the_weights(finished: Finished, zppo) -> None:
    assert "invalid choice: 'fp8' (choose from 'bfloat16'" in zppo(finished.folder, "--dtype", "fp8", status=2)
    name = "model.layers.0.mlp.up_proj.weight"
    finished.verl(3, finished.weights | {name: finished.weights[name] + 1e6})
    assert zppo(finished.folder, "--dtype", "float16", status=2).startswith(f"{name} is not finite in float16; take")


def test_what_is_there_is_not_lost(finished: Finished, zppo, tmp_path: Path) -> None:
    finished.forget()
    actor, target = finished.verl(3), tmp_path / "models" / "out"
    target.mkdir(parents=True)  # an empty one will do
    zppo(finished.folder, "--to", target)
    before = (target / "model.safetensors").read_bytes()
    assert "a model is there already; replace it with --overwrite" in zppo(finished.folder, "--to", target, status=2)
    target.rename(target.with_name(".out.old-0"))  # as a killed export does with what it replaces
    assert "a model is there already; replace it with --overwrite" in zppo(finished.folder, "--to", target, status=2)
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").touch()
    assert "something else than a model" in zppo(finished.folder, "--to", other, "--overwrite", status=2)
    for own in (finished.folder, tmp_path, actor):
        assert "name another one" in zppo(finished.folder, "--to", own, "--overwrite", status=2)
    shard = actor / "model_world_size_1_rank_0.pt"
    shard.write_bytes(shard.read_bytes()[:1000])
    said = zppo(finished.folder, "--to", target, "--overwrite", status=2)
    assert said.startswith(f"no export of {actor.parent} to {target}: ")
    shard.unlink()
    (actor / "model_world_size_2_rank_1.pt").touch()  # another node's
    assert "model_world_size_1_rank_0.pt is not there; shards that other nodes saved" in zppo(
        finished.folder, "--to", target, "--overwrite", status=2
    )
    assert (target / "model.safetensors").read_bytes() == before
    assert os.listdir(target.parent) == ["out"]


def test_files_that_are_no_checkpoints(finished: Finished, zppo) -> None:
    (finished.folder / LOCAL_STATE).write_bytes(b"PK half a file")
    assert "local_state.pt can't be read: " in zppo(finished.folder, status=2)
    torch.save(["something else"], finished.folder / LOCAL_STATE)
    assert zppo(finished.folder, status=2).endswith("is not a state of recipe.zppo.local")
    (finished.folder / LOCAL_STATE).unlink()
    shutil.rmtree(finished.verl(3) / "huggingface")
    (finished.folder / "global_step_3/actor/model_world_size_1_rank_0.pt").unlink()
    assert "actor has no weights; actor_rollout_ref.actor.checkpoint.save_contents" in zppo(finished.folder, status=2)


def test_a_local_run_needs_the_model_it_began_from(finished: Finished, zppo, tmp_path: Path) -> None:
    finished.local(3)
    finished.forget()
    assert zppo(finished.folder, status=2).endswith("which model it began from; name it with --base")
    assert "no export of" in zppo(finished.folder, "--base", tmp_path / "gone", status=2)
    zppo(finished.folder, "--base", finished.base)
    finished.weights = dict(list(finished.weights.items())[1:])
    finished.local(3)
    said = zppo(finished.folder, "--base", finished.base, "--overwrite", status=2)
    assert said.endswith(f"are not of {finished.base}; name their model with --base")


def test_a_disk_that_takes_nothing(finished: Finished, zppo, tmp_path: Path) -> None:
    finished.verl(3)
    (tmp_path / "file").touch()
    assert "can't be written to (" in zppo(finished.folder, "--to", tmp_path / "file" / "out", status=2)
    assert "can't be written to (" in zppo(finished.folder, "--to", "/proc/zppo/out", status=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as on a full disk
    try:
        said = zppo(finished.folder, "--to", tmp_path / "out", status=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.startswith("no export of") and "File too large" in said
    assert not [name for name in os.listdir(tmp_path) if "out" in name]


def test_an_adapter_is_asked_for_where_there_is_none(finished: Finished, zppo, tmp_path: Path) -> None:
    finished.verl(3)
    said = zppo(finished.folder, "--to", tmp_path / "out", "--adapter", tmp_path / "adapter", status=2)
    assert said == "--adapter: the checkpoint has no LoRA adapter"
    assert sorted(os.listdir(tmp_path)) == ["run"]


@pytest.mark.parametrize("adapter", ["out", "out/lora", "out/../out", "."])
def test_an_adapter_does_not_lie_in_the_model(finished: Finished, zppo, tmp_path: Path, adapter: str) -> None:
    finished.verl(3)
    place = tmp_path / "models"
    said = zppo(finished.folder, "--to", place / "out", "--adapter", place / adapter, status=2)
    assert said.startswith(f"--adapter {(place / adapter).resolve()}: this is --to {place / 'out'}, or one lies in the")
    assert not place.exists()
