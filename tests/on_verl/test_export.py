"""The final model of a run: which command writes it, and what is said where it can't be written."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "global_step_4"
    (folder / "actor").mkdir(parents=True)
    (folder / COMPLETE_FILE).write_text("{}")
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stand-in for Python writes its arguments to."""
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > {calls}\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    return calls


def test_the_last_checkpoint_replaces_what_an_earlier_export_left(checkpoint: Path, calls: Path) -> None:
    run = checkpoint.parent
    assert export_hf_model(str(run), "fsdp2") == str(run / "hf_model")
    command = ["-m", "recipe.zppo.export", str(run), "--step", "4", "--to", str(run / "hf_model"), "--overwrite"]
    assert calls.read_text().splitlines() == command
    (checkpoint / "actor" / "lora_train_meta.json").touch()
    export_hf_model(str(run), "fsdp")
    assert calls.read_text().splitlines() == [*command, "--adapter", str(run / "lora_adapter")]


def test_a_failure_says_why_and_what_to_run_by_hand(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = checkpoint.parent
    assert export_hf_model(str(run), "fsdp") is None
    (record,) = caplog.records
    assert "actor has no weights; actor_rollout_ref.actor.checkpoint.save_contents left them out" in record.getMessage()
    by_hand = shlex.split(record.getMessage().partition("by hand: ")[2])
    assert by_hand[1:4] == ["-m", "recipe.zppo.export", str(run)]
    assert sorted(os.listdir(run)) == ["global_step_4"]


def test_an_engine_that_the_merger_does_not_know(checkpoint: Path, calls: Path, caplog) -> None:
    assert export_hf_model(str(checkpoint.parent), "veomni") is None
    assert "does not read actor.strategy=veomni" in caplog.text and not calls.exists()


def test_without_a_checkpoint(tmp_path: Path, calls: Path, caplog) -> None:
    assert export_hf_model(str(tmp_path), "fsdp") is None
    assert "no checkpoint in" in caplog.text and not calls.exists()


def test_an_export_that_is_killed_leaves_nothing(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    run, python = checkpoint.parent, tmp_path / "python"
    monkeypatch.setattr("recipe.zppo.on_verl.export._TIMEOUT_S", 0.5)
    monkeypatch.setattr(sys, "executable", str(python))
    building = [run / f".{name}.building-1" for name in ("hf_model", "lora_adapter")]
    python.write_text(f"#!/bin/bash\nmkdir {building[0]} {building[1]}\nexec sleep 60\n")
    python.chmod(0o755)
    (run / ".hf_model.building-0").mkdir()  # of a start before
    assert export_hf_model(str(run), "fsdp") is None
    assert sorted(os.listdir(run)) == ["global_step_4", "python"]
