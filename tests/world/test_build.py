"""Building, caching and publishing, on a world of three pre-training steps."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from recipe.zppo.run.publish import hash_files
from recipe.zppo.world import WorldError, WorldPaths, build, build_world
from recipe.zppo.world.data import write_splits
from recipe.zppo.world.evaluate import measure_world, one_thread
from recipe.zppo.world.pretrain import pretrain, save
from tests.world.conftest import MINIATURE

ROOT = Path(__file__).parents[2]
QUIET = Console(quiet=True)


def test_the_files_are_what_verl_and_transformers_read(mini_world):
    frame = pd.read_parquet(mini_world.train_file)
    assert len(frame) == 32
    assert {"data_source", "prompt", "ability", "reward_model", "extra_info", "prompt_id"} == set(frame.columns)
    first = frame.iloc[0]
    assert first["data_source"] == "price_list" and first["reward_model"]["style"] == "rule"
    assert [dict(message)["role"] for message in first["prompt"]] == ["user"]
    assert "\\boxed" not in first["prompt"][0]["content"]
    everything = pd.concat(pd.read_parquet(mini_world.file(split)) for split in ("train", "val", "shifted"))
    assert everything["prompt_id"].is_unique
    for folder in (mini_world.student, mini_world.teacher):
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.config.vocab_size == len(tokenizer)
        assert model.config.tie_word_embeddings
        assert GenerationConfig.from_pretrained(folder).eos_token_id == tokenizer.eos_token_id
    meta = json.loads(mini_world.meta.read_text())
    assert 0 <= meta["measured"]["plain_accuracy"] <= 1
    assert set(meta["price_list"]["wrong_prices"]) < set(meta["price_list"]["prices"])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(mini_world, tmp_path, seed):
    mini = replace(MINIATURE, seed=seed)
    with one_thread():
        for name in ("student", "teacher"):
            save(*pretrain(mini, name, lambda *_: None), tmp_path / name)
    write_splits(mini, tmp_path)
    files, again = hash_files(mini_world.root, exclude=mini_world.meta), hash_files(tmp_path)
    assert files.keys() == again.keys()
    for name in ("student/model.safetensors", "teacher/model.safetensors", "train.parquet", "val.parquet"):
        assert (files[name] == again[name]) == (seed == 0)


def test_a_finished_world_is_found_and_not_touched(mini_world, monkeypatch):
    monkeypatch.setattr(build, "_build", lambda *_: pytest.fail("built again"))
    before = mini_world.meta.stat().st_mtime_ns
    assert build_world(mini_world.root, settings=MINIATURE) == mini_world
    assert mini_world.meta.stat().st_mtime_ns == before


@pytest.fixture
def pretend(monkeypatch):
    """Replaces the building by a stand-in, for tests of the caching alone; returns the seeds built."""
    built = []

    def fake(folder, settings, console):
        built.append(settings.seed)
        time.sleep(0.2)
        (folder / "data").write_text(str(settings.seed))
        meta = {"key": settings.key(), "files": hash_files(folder)}
        WorldPaths(folder).meta.write_text(json.dumps(meta))

    monkeypatch.setattr(build, "_build", fake)
    return built


def test_force_other_settings_and_damage_each_build_again(pretend, tmp_path):
    path = tmp_path / "deep" / "world"
    build_world(path)
    build_world(path)
    assert pretend == [0]
    build_world(path, force=True)
    build_world(path, seed=1)
    assert pretend == [0, 0, 1] and (path / "data").read_text() == "1"
    (path / "data").write_text("damaged")
    build_world(path, seed=1)
    (path / "data").unlink()
    build_world(path, seed=1)
    build_world(path, seed=1, difficulty="mild")
    assert pretend == [0, 0, 1, 1, 1, 1]
    assert sorted(p.name for p in path.parent.iterdir()) == [".world.lock", "world"]


def test_two_builders_at_once_build_once(pretend, tmp_path):
    threads = [threading.Thread(target=build_world, args=(tmp_path / "world",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pretend == [0]


@pytest.mark.parametrize("foreign", ["folder", "file"])
def test_what_is_not_a_world_is_never_overwritten(pretend, tmp_path, foreign):
    path = tmp_path / "thesis"
    if foreign == "folder":
        path.mkdir()
        (path / "chapter").write_text("years of work")
    else:
        path.write_text("years of work")
    with pytest.raises(WorldError, match="thesis"):
        build_world(path, force=True)
    assert not pretend
    assert (path / "chapter" if foreign == "folder" else path).read_text() == "years of work"


def test_an_empty_folder_is_filled(pretend, tmp_path):
    assert build_world(tmp_path).meta.is_file()


def test_a_killed_build_leaves_nothing_half_made(pretend, tmp_path):
    path = tmp_path / "world"
    code = "import sys; from recipe.zppo.world import build_world; build_world(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ['PYTHONPATH']}"}
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".world.building-*/student.log")):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not path.exists()
    build_world(path)
    assert pretend == [0]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".world.lock", "world"]


def test_pretraining_that_fails_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(build.sys, "executable", "/bin/false")
    with pytest.raises(WorldError, match=r"pre-training the (student|teacher) failed"):
        build_world(tmp_path / "world", settings=MINIATURE, console=QUIET)
    assert [p.name for p in tmp_path.iterdir()] == [".world.lock"]


def test_measuring_is_repeatable(mini_world):
    torch.manual_seed(1)
    measured = json.loads(mini_world.meta.read_text())["measured"]
    assert measure_world(mini_world, MINIATURE.measured_questions) == measured


def test_the_command_finds_the_world_it_built(pretend, tmp_path, monkeypatch, capsys):
    from recipe.zppo.world.__main__ import main

    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(sys, "argv", ["world", str(tmp_path / "file")])
    assert main() == 2
    assert capsys.readouterr().err.startswith("error: ")
