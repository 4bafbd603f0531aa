"""A local run that is killed goes on to be the run that was never killed."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from recipe.zppo.errors import CheckpointError
from recipe.zppo.local.__main__ import main
from tests.local.conftest import overrides, read_metrics

# Hot: summaries are asked for again.
STEPS = ("trainer.total_training_steps=4", "zppo.teacher.temperature=1.8")
RESUMED = ("zppo.reformulation.schedule=next_step", *STEPS)


def story(folder) -> list:
    rows = read_metrics(folder)
    chosen = [{k: v for k, v in rows[s].items() if "time" not in k and "timing" not in k} for s in sorted(rows)]
    return [chosen, [(folder / f"rollouts/step_{step:06d}.jsonl").read_text() for step in (1, 2, 3, 4)]]


def asked_again(folder) -> float:
    return sum(row.get("zppo/compression/asked_again", 0) for row in read_metrics(folder).values())


def test_same_seed_same_run(train, tmp_path):
    for name in ("one", "two"):
        train(*STEPS, folder=name)
    assert story(tmp_path / "one") == story(tmp_path / "two")
    assert asked_again(tmp_path / "one")


def test_kill_9_and_resume(train, world, tmp_path):
    train(*RESUMED, folder="undisturbed")
    assert asked_again(tmp_path / "undisturbed")
    killed = tmp_path / "killed"
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.local.conftest"])  # a new Python for each would import for seconds
    arguments = (overrides(world, killed, *RESUMED), tmp_path / "log")
    begun = '{"step": 1, "stage": "generate"'
    reached = [
        lambda: (killed / "status.json").exists() and (killed / "status.json").read_text().startswith(begun),
        (killed / "rollouts/step_000002.jsonl").exists,
        (killed / "rollouts/step_000003.jsonl").exists,
    ]
    for point in (*reached, None):
        process = server.Process(target=_main, args=arguments)
        process.start()
        deadline = time.monotonic() + 120
        while point and not point():
            assert process.exitcode is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.01)
        if point:
            process.kill()
        process.join(300)
    assert process.exitcode == 0, (tmp_path / "log").read_text()[-3000:]
    assert story(killed) == story(tmp_path / "undisturbed")


def _main(arguments: list[str], log: Path) -> None:
    os.chdir(log.parent)
    with open(log, "a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.argv[1:] = arguments
    main()


def test_another_seed_or_method_is_refused(train):
    train()
    with pytest.raises(CheckpointError, match=r"zppo\.seed=0, now it is 1"):
        train("zppo.seed=1", "trainer.total_training_steps=3")
    with pytest.raises(CheckpointError, match=r"^zppo\.reformulation\.ncq: .* was written with True, now it is False"):
        train("zppo.reformulation.ncq=false", "trainer.total_training_steps=3")


def test_a_checkpoint_from_before_the_optimizer_had_a_name_is_of_fp32(train, tmp_path):
    train("trainer.total_training_steps=1")
    path = tmp_path / "run/local_state.pt"
    state = torch.load(path, weights_only=False)
    del state["identity"]["zppo.optimizer"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"^zppo\.optimizer: .* was written with fp32, now it is anyprecision;"):
        train("zppo.optimizer=anyprecision", "trainer.total_training_steps=2")
    assert set(train("trainer.total_training_steps=2").metrics()) == {1, 2}


def test_bf16_weights_with_kahan_summation_resume_exactly_and_with_their_optimizer_only(train, tmp_path):
    name, states = "zppo.optimizer=anyprecision", []
    for folder, steps in (("whole", (2,)), ("halves", (1, 2))):
        for step in steps:
            trainer = train(
                name, f"trainer.total_training_steps={step}", "actor_rollout_ref.actor.optim.lr=1e-3", folder=folder
            )
        state = trainer.learner.optimizer.state
        states.append([t for weight in trainer.learner.master.weights for t in (weight, *state[weight].values())])
    assert {tensor.dtype for tensor in states[0]} == {torch.bfloat16}
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
    with pytest.raises(
        CheckpointError, match=r"^zppo\.optimizer: .* was written with anyprecision, now it is fp32; set"
    ):
        train("trainer.total_training_steps=3", folder="halves")


def test_what_the_local_back_end_cannot_do_is_one_line(world, tmp_path):
    command = [sys.executable, "-m", "recipe.zppo.local", *overrides(world, tmp_path / "run")]
    command.append("actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("zppo:")]
    assert "recipe.zppo.local knows the paper's loss only" in line and "Traceback" not in done.stderr


def test_disable_forgets_the_run_before(train, tmp_path):
    train("trainer.total_training_steps=1")
    train("trainer.resume_mode=disable", "trainer.save_freq=-1", "trainer.total_training_steps=1")
    assert not (tmp_path / "run" / "local_state.pt").exists()


def test_the_exported_model_knows_its_end_token(train, tmp_path):
    train("zppo.export.hf_model=true", "trainer.total_training_steps=1")
    config = json.loads((tmp_path / "run" / "hf_model" / "generation_config.json").read_text())
    assert config["eos_token_id"] is not None
