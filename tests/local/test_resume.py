"""A local run that is killed goes on to be the run that was never killed."""

import copy
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from recipe.zppo.errors import CheckpointError, ExportError
from recipe.zppo.export.__main__ import main as export
from recipe.zppo.local.__main__ import main
from recipe.zppo.run.folder import RunFolder
from tests.event_lines import rebuilt_buffer
from tests.local.conftest import overrides, read_metrics
from tests.run.conftest import room_for

# Hot: summaries are asked for again.
STEPS = ("trainer.total_training_steps=4", "zppo.teacher.temperature=1.8")
RESUMED = ("zppo.reformulation.schedule=next_step", *STEPS)


def story(folder) -> list:
    rows = read_metrics(folder)
    chosen = [{k: v for k, v in rows[s].items() if "time" not in k and "timing" not in k} for s in sorted(rows)]
    texts = [(folder / f"rollouts/step_{step:06d}.jsonl").read_text() for step in (1, 2, 3, 4)]
    events = [event for event in RunFolder(folder).events() if event["type"] not in ("started", "measured")]
    return [chosen, texts, [{name: value for name, value in event.items() if name != "time"} for event in events]]


def asked_again(folder) -> float:
    return sum(row.get("zppo/compression/asked_again", 0) for row in read_metrics(folder).values())


def test_same_seed_same_run(train, tmp_path):
    for name in ("one", "two"):
        train(*STEPS, folder=name)
    assert story(tmp_path / "one") == story(tmp_path / "two")
    assert asked_again(tmp_path / "one")


def test_kill_9_and_resume(train, world, tmp_path):
    whole = train(*RESUMED, folder="undisturbed")
    assert asked_again(tmp_path / "undisturbed")
    assert rebuilt_buffer(RunFolder(tmp_path / "undisturbed").events()) == list(whole.buffer)
    killed = tmp_path / "killed"
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.local.conftest"])  # a new Python for each would import for seconds
    arguments = (overrides(world, killed, *RESUMED), tmp_path / "log")
    reached = [
        (killed / "status.json").exists,
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
    starts = [event["step"] for event in RunFolder(killed).events("started")]
    assert len(starts) >= 2 and starts[0] == 0 and starts == sorted(starts)
    assert [event["step"] for event in RunFolder(killed).events("measured")] == [1, 2, 3, 4]


def _main(arguments: list[str], log: Path) -> None:
    os.chdir(log.parent)
    with open(log, "a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.argv[1:] = arguments
    sys.exit(main())


def test_another_seed_or_method_is_refused(train):
    train()
    with pytest.raises(CheckpointError, match=r"^zppo\.seed: .* was written with 0, now it is 1"):
        train("zppo.seed=1", "trainer.total_training_steps=3")
    with pytest.raises(CheckpointError, match=r"^zppo\.reformulation\.ncq: .* was written with True, now it is False"):
        train("zppo.reformulation.ncq=false", "trainer.total_training_steps=3")


def test_mended_rows_are_named_and_can_be_gone_on_with(train, world, tmp_path, capfd):
    """A file without ids; work is unfinished when the run stops (next_step)."""
    file, table = tmp_path / "data.parquet", pq.read_table(world.train_file).drop_columns(["prompt_id"])
    rows = table.slice(0, 32).to_pylist()
    run = (f"data.train_files={file}", "zppo.reformulation.schedule=next_step", "trainer.total_training_steps={}")

    def go_on(steps: int, changed: list[dict], *more: str):
        pq.write_table(pa.Table.from_pylist(changed, table.schema), file)
        return train(*(override.format(steps) for override in run), *more)

    buffer = go_on(2, rows).buffer
    (entry,) = buffer.sample(1)
    mended = copy.deepcopy(rows)
    mended[entry.reference]["reward_model"]["ground_truth"] = "mended"
    with pytest.raises(CheckpointError, match=rf"32 prompts; 1 of them changed \({file} row {entry.reference}\)\. Set"):
        go_on(3, mended)
    accept = "zppo.data.accept_changes=true"
    resumed = go_on(3, mended, accept)
    assert f"of the replay buffer 1 prompts are gone, {len(buffer) - 1} stay" in capfd.readouterr().err
    assert set(resumed.metrics()) == {1, 2, 3}
    fewer = go_on(4, mended[5:], accept)
    assert "5 of them are gone and 0 are new; going on with a new pass over the data" in capfd.readouterr().err
    assert all(fewer.questions.prompt_ids[e.reference] == e.prompt_id for e in fewer.buffer.sample(99))


def test_a_checkpoint_from_before_the_optimizer_had_a_name_is_of_fp32(train, world, tmp_path, capsys):
    train("trainer.total_training_steps=1")
    path = tmp_path / "run/local_state.pt"
    state = torch.load(path, weights_only=False)
    del state["identity"]["zppo.optimizer"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"^zppo\.optimizer: .* was written with fp32, now it is anyprecision;"):
        train("zppo.optimizer=anyprecision", "trainer.total_training_steps=2")
    assert set(train("trainer.total_training_steps=2").metrics()) == {1, 2}
    state = torch.load(path, weights_only=False)
    state["weights"][0] = state["weights"][0][:-1]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"^actor_rollout_ref\.model\.path: .* has weights of other shapes"):
        train("trainer.total_training_steps=3")
    del state["optimizer"], state["step"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"^{path} is damaged: it has no step, optimizer; start afresh"):
        train("trainer.total_training_steps=3")
    assert export([str(tmp_path / "run"), "--base", str(world.student)]) == 2
    assert f"{path} is not a state of recipe.zppo.local" in capsys.readouterr().err


@pytest.mark.parametrize(
    "optimizer",
    [
        "anyprecision",
        pytest.param(
            "stochastic", marks=pytest.mark.skipif(find_spec("torchao") is None, reason="torchao: the extra gpu has it")
        ),
    ],
)
def test_bf16_weights_resume_exactly_and_with_their_optimizer_only(train, tmp_path, optimizer):
    """With Kahan's sum, and rounded by chance."""
    name, states = f"zppo.optimizer={optimizer}", []
    for folder, steps in (("whole", (2,)), ("halves", (1, 2))):
        for step in steps:
            trainer = train(
                name, f"trainer.total_training_steps={step}", "actor_rollout_ref.actor.optim.lr=1e-3", folder=folder
            )
        state = trainer.learner.optimizer.state
        states.append([t for weight in trainer.learner.master.weights for t in (weight, *state[weight].values())])
    assert {tensor.dtype for tensor in states[0] if tensor.dim()} == {torch.bfloat16}
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
    with pytest.raises(
        CheckpointError, match=rf"^zppo\.optimizer: .* was written with {optimizer}, now it is fp32; set"
    ):
        train("trainer.total_training_steps=3", folder="halves")


def test_what_the_local_back_end_cannot_do_is_one_line(world, tmp_path):
    command = [sys.executable, "-m", "recipe.zppo.local", *overrides(world, tmp_path / "run")]
    command.append("actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("zppo:")]
    assert "loss_agg_mode: recipe.zppo.local has the paper's loss only" in line and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_at_the_checkpoint_or_the_export_is_one_line(train, tmp_path):
    """What was saved before stays, and the same command goes on."""
    steps, export = "trainer.total_training_steps={}", "zppo.export.hf_model=true"
    train(steps.format(1))
    state, model = tmp_path / "run" / "local_state.pt", tmp_path / "run" / "hf_model"
    before = state.read_bytes()
    with room_for(len(before) // 2), pytest.raises(CheckpointError, match=rf"^{state} can't be written \(.*has room"):
        train(steps.format(2))
    assert state.read_bytes() == before and not list(state.parent.glob("*.tmp"))
    assert set(train(steps.format(2), export).metrics()) == {1, 2}
    assert (model / "model.safetensors").is_file()
    shutil.rmtree(model)
    with room_for(500_000), pytest.raises(ExportError, match=rf"^{model} can't be written \(.*same command writes it"):
        train(steps.format(2), export)
    assert not list(state.parent.glob("*hf_model*"))


def test_disable_forgets_the_run_before(train, tmp_path):
    train("trainer.total_training_steps=1")
    train("trainer.resume_mode=disable", "trainer.save_freq=-1", "trainer.total_training_steps=1")
    assert not (tmp_path / "run" / "local_state.pt").exists()


def test_the_exported_model_knows_its_end_token(train, world, tmp_path):
    trainer = train("zppo.export.hf_model=true", "trainer.total_training_steps=1")
    exported = tmp_path / "run" / "hf_model"
    config = json.loads((exported / "generation_config.json").read_text())
    assert config["eos_token_id"] is not None
    # In the type that verl's stack exports, and readable by whoever may read new files.
    model = AutoModelForCausalLM.from_pretrained(exported)
    for found, trained in zip(model.parameters(), trainer.learner.master.weights, strict=True):
        assert torch.equal(found, trained.bfloat16())
    (tmp_path / "new").touch()
    assert {path.stat().st_mode for path in exported.iterdir()} == {(tmp_path / "new").stat().st_mode}
    # Of the state it is the same model.
    assert export([str(tmp_path / "run"), "--base", str(world.student)]) == 0
    for path in exported.iterdir():
        assert (tmp_path / "run/export/step_1" / path.name).read_bytes() == path.read_bytes(), path.name
