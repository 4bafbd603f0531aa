"""A folder that verl's own merger wrote of a LoRA student: the untrained base, and the adapter in it."""

import os
import stat
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from recipe.zppo.on_verl.merge_adapter import main
from tests.tiny_models import make_qwen3, make_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = make_tokenizer()
    model = make_qwen3(len(tokenizer), num_hidden_layers=1)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]))
    torch.nn.init.normal_(adapted.base_model.model.model.layers[0].self_attn.q_proj.lora_B["default"].weight)
    adapted.save_pretrained(tmp_path / "model" / "lora_adapter")
    return tmp_path / "model"


def merge(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["merge_adapter", *map(str, arguments)])
    return main()


def query(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    return model.model.layers[0].self_attn.q_proj.weight.detach()


def test_the_adapter_is_added_once(folder: Path, monkeypatch, capsys) -> None:
    base = query(folder)
    assert merge(monkeypatch, folder) == 0
    merged = query(folder)
    assert not torch.equal(merged, base)
    assert {"tokenizer.json", "lora_adapter"} <= set(os.listdir(folder)) and os.listdir(folder.parent) == ["model"]
    new = folder.parent / "new"
    new.touch()
    assert (folder / "model.safetensors").stat().st_mode == new.stat().st_mode
    assert stat.S_ISREG((folder / "lora_adapter/adapter_model.safetensors").stat().st_mode)
    assert merge(monkeypatch, folder) == 2
    assert capsys.readouterr().err.endswith(f"zppo: {folder} is merged already; its adapter must not be added twice\n")
    assert torch.equal(query(folder), merged)


def test_what_can_not_be_merged_is_one_line(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        merge(monkeypatch)
    assert capsys.readouterr().err.startswith("zppo: the following arguments are required: folder; ")
    assert merge(monkeypatch, tmp_path) == 2
    said = f"zppo: {tmp_path} has no lora_adapter/adapter_config.json, so there is nothing to merge\n"
    assert capsys.readouterr().err == said
    before = query(folder)
    capsys.readouterr()
    (folder / "config.json").unlink()
    assert merge(monkeypatch, folder) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("zppo: ")
    assert sorted(os.listdir(tmp_path)) == ["model"] and before is not None


def test_files_that_are_cut_off_or_of_another_model(folder: Path, monkeypatch, capsys) -> None:
    adapter, base = folder / "lora_adapter/adapter_model.safetensors", folder / "model.safetensors"
    whole = adapter.read_bytes()

    def refused() -> str:
        assert merge(monkeypatch, folder) == 2
        assert os.listdir(folder.parent) == ["model"]
        return capsys.readouterr().err.splitlines()[-1]

    said = f"zppo: {folder}: base and lora_adapter can't be added: "
    adapter.write_bytes(whole[:-8])
    assert refused().startswith(f"{said}SafetensorError: ")
    tokens, other = len(make_tokenizer()), folder.parent / "model"
    make_qwen3(tokens, num_hidden_layers=1, num_attention_heads=8).save_pretrained(other)
    adapter.write_bytes(whole)
    assert refused().startswith(f"{said}RuntimeError: size mismatch for ")
    base.write_bytes(base.read_bytes()[:-8])
    assert refused().startswith(f"{said}SafetensorError: ")
