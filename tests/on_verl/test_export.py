"""The final model, whichever engine trained it."""

import json
import os
import sys
from pathlib import Path

import pytest
from verl.model_merger import base_model_merger

from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "global_step_4"
    (folder / "actor").mkdir(parents=True)
    (folder / COMPLETE_FILE).write_text("{}")
    return folder


@pytest.fixture
def merges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stand-in for Python writes its arguments to; it makes the folder that verl's merger would."""
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {calls}\nmkdir -p "${{@: -1}}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return calls


@pytest.mark.parametrize(("strategy", "backend"), [("fsdp", "fsdp"), ("fsdp2", "fsdp"), ("megatron", "megatron")])
def test_the_merger_is_told_the_engine(checkpoint: Path, merges: Path, strategy: str, backend: str) -> None:
    assert export_hf_model(str(checkpoint.parent), strategy) == str(checkpoint.parent / "hf_model")
    called = merges.read_text().splitlines()
    assert called[:5] == ["-m", "verl.model_merger", "merge", "--backend", backend]
    assert called[5:7] == ["--local_dir", str(checkpoint / "actor")]


def test_what_megatron_bridge_saved_is_copied(checkpoint: Path, merges: Path) -> None:
    """verl's merger reads Megatron's own shards only, which verl does not write by default (use_mbridge)."""
    saved = Path(base_model_merger._default_hf_model_config_path("megatron", str(checkpoint / "actor")))
    saved.mkdir(parents=True)
    (saved / "config.json").write_text("{}")
    assert export_hf_model(str(checkpoint.parent), "megatron") and merges.exists()  # configs only: shards are elsewhere
    merges.unlink()
    (saved / "model-00001-of-00001.safetensors").write_text("weights")
    for _ in range(2):  # a second export replaces the first
        target = export_hf_model(str(checkpoint.parent), "megatron")
        assert sorted(os.listdir(target)) == ["config.json", "model-00001-of-00001.safetensors"]
    assert not merges.exists() and saved.is_dir()
    assert json.loads((Path(target) / "config.json").read_text()) == {}


def test_an_engine_that_the_merger_does_not_know(checkpoint: Path, merges: Path, caplog) -> None:
    assert export_hf_model(str(checkpoint.parent), "veomni") is None
    assert "does not read actor.strategy=veomni" in caplog.text and not merges.exists()
