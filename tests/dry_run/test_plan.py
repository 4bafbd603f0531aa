"""The plan of a run: what would fail is found, all of it, and said in one line each."""

import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from recipe.zppo import launch
from recipe.zppo.config.hardware import GB, parse_hardware
from recipe.zppo.dry_run import command, counting, machine, planning
from recipe.zppo.dry_run.page import render
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight import models as model_files
from recipe.zppo.preflight import packages

from .conftest import PlannedRun


def test_hardware_is_nodes_accelerators_and_memory() -> None:
    hardware = parse_hardware("8x4x80")
    assert [node.accelerators for node in hardware.nodes] == [4] * 8
    assert hardware.memory == 80 * GB


@pytest.mark.parametrize("text", ["8x8", "8x8x80x1", "8x0x80", "eight", "8x8x-80", "8x8x80GB"])
def test_other_hardware_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^zppo.hardware: .* write it as 8x8x80"):
        parse_hardware(text)


def test_the_papers_layout_is_placed_per_node(run: PlannedRun) -> None:
    plan = run.plan()
    assert plan.problems == []
    assert plan.layout.by_node() == [(node, {"student": 6, "teacher": 2}) for node in range(8)]
    assert re.search(r"nodes 0-7 +each 6 student \(0-5\), 2 teacher \(6-7\)\n", render(plan))


def test_all_problems_are_found_at_once(run: PlannedRun) -> None:
    plan = run.plan(
        "data.train_files=none.parquet", "zppo.hardware=8x4x80", "trainer.save_freq=-1", "actor_rollout_ref.rollout.n=1"
    )
    keys = [problem.split(":")[0] for problem in plan.problems]
    assert keys == [
        "actor_rollout_ref.rollout.n",
        "zppo.export.hf_model",
        "data.train_files",
        "trainer.n_gpus_per_node",
    ]
    assert all("\n" not in problem for problem in plan.problems)
    assert all(problem in render(plan) for problem in plan.problems)


def test_cpus_for_which_verl_would_wait_without_end(run: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """TransferQueue's 9 processes keep one CPU each, each accelerator 3, and actors start where one is free."""
    here = [machine.Accelerator(str(i), 80 * GB, 80 * GB) for i in range(8)]
    monkeypatch.setattr(machine, "accelerators", lambda: here)
    monkeypatch.setattr(packages, "find_spec", lambda name: object())
    changes = ("zppo.hardware=null", "trainer.nnodes=1", "+ray_kwargs.ray_init.num_gpus=8")
    for cpus in (33, 34):
        problems = run.plan(*changes, f"ray_kwargs.ray_init.num_cpus={cpus}").problems
        assert [problem for problem in problems if "CPUs" in problem] == (
            [
                "ray_kwargs.ray_init.num_cpus: this machine has 33 CPUs and the run keeps 34 = 3 x 8 accelerators + 10 "
                "for TransferQueue and for starting actors; lower "
                "transfer_queue.backend.SimpleStorage.num_data_storage_units, or let Ray count more CPUs than there are"
            ]
            if cpus == 33
            else []
        )
    fewer = "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"
    assert run.plan(*changes, "ray_kwargs.ray_init.num_cpus=27", fewer).problems == []


def test_kernels_are_looked_for_here_only_if_the_run_is_here(run: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a model that is not on this machine, but known: packed, it would be trained wrongly without them."""
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    packed = ("actor_rollout_ref.model.path=Qwen/Qwen3.5-2B", "actor_rollout_ref.model.use_remove_padding=true")
    elsewhere = run.plan(*packed, "zppo.dry_run=true")
    assert not any("flash-linear-attention" in problem for problem in elsewhere.problems)
    assert any("flash-linear-attention" in line for line in elsewhere.not_checked)
    here = run.plan(*packed, "zppo.hardware=null")
    assert any(problem.startswith("actor_rollout_ref.model.use_remove_padding: Qwen") for problem in here.problems)


def test_adapters_are_planned_where_no_vllm_is(run: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "find_spec", lambda name: None)
    plan = run.plan("actor_rollout_ref.model.lora_rank=8")
    assert plan.problems == []
    assert "vLLM, which serves the student's adapters: not installed here" in plan.not_checked
    (too_large,) = run.plan("actor_rollout_ref.model.lora_rank=1024").problems
    assert too_large.startswith("actor_rollout_ref.model.lora_rank: vLLM serves adapters of rank 512 at most, got 1024")


def test_a_config_that_is_no_config_has_its_problem_too(run: PlannedRun) -> None:
    plan = run.plan("zppo.threshold=7")
    assert plan.problems == ["zppo.threshold: 7.0 is out of range; it must be greater than 0.0 and at most 1.0"]
    assert "would not run" in render(plan)


@pytest.mark.parametrize(
    "change", ["data.train_batch_size=0", "data.train_batch_size=many", "actor_rollout_ref.rollout.n=null"]
)
def test_what_can_not_be_counted_is_left_out(run: PlannedRun, change: str) -> None:
    plan = run.plan(change)
    (problem,) = (line for line in plan.problems if line.startswith(f"{change.partition('=')[0]}: "))
    assert "must be a whole number" in problem
    assert "not checked: numbers that presume on what has failed\n" in render(plan)


PAPER = ("actor_rollout_ref.model.path=Qwen/Qwen3.5-2B", "zppo.teacher.path=Qwen/Qwen3.5-27B-FP8")


def test_the_papers_run_is_planned_to_the_end(run: PlannedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    plan = run.plan(*PAPER, "data.train_batch_size=384", "data.train_files=far://off")
    assert plan.problems == []
    assert plan.batch.rows == plan.batch.padded == 576 * 8
    assert plan.training_memory.estimate < plan.memory == 80 * GB
    assert set(plan.serving_memory) == {("student", "Qwen/Qwen3.5-2B"), ("teacher", "Qwen/Qwen3.5-27B-FP8")}
    assert all(found.sequences >= 8 for found in plan.serving_memory.values())
    assert any("steps: the training files are remote" in line for line in plan.not_checked)
    page = render(plan, width=100)
    tables = [line for line in page.splitlines() if line[0] == " "]
    assert len(tables) > 20 and all(len(line) <= 100 for line in tables)
    assert page.endswith("would run\n")


def test_memory_is_warned_of_and_stops_nothing(run: PlannedRun, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    plan = run.plan(*PAPER, "zppo.hardware=8x8x24")
    assert plan.problems == []
    (line,) = (line for line in plan.warnings if "does not hold the teacher's weights" in line)
    assert line.startswith("zppo.teacher.inference.gpu_memory_utilization: ")
    assert command.may_start(run.config(*PAPER, "trainer.nnodes=8", "zppo.hardware=8x8x24"))
    assert f"zppo: warning: {line}" in capsys.readouterr().err


def test_the_config_stays_as_it_is(run: PlannedRun) -> None:
    config = run.config("zppo.hardware=1x8x80")
    before = OmegaConf.to_yaml(config)
    planning.plan(config)
    assert OmegaConf.to_yaml(config) == before


def test_before_a_run_problems_stop_it_and_a_line_says_what_it_does(run: PlannedRun, capsys) -> None:
    assert command.may_start(run.config("zppo.hardware=1x8x80"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == ("zppo: plan: 2 steps, 8 updates, at most 2.36 M tokens; 6 student + 2 teacher on each of 1 node(s)")
    assert not command.may_start(run.config("zppo.hardware=1x7x80"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("zppo: trainer.n_gpus_per_node: ") and "do not fit" in line


def test_without_accelerators_a_run_starts_without_a_word(run: PlannedRun, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ("trainer.device=cpu", "ray_kwargs.ray_init.num_cpus=34", "+ray_kwargs.ray_init.num_gpus=8")
    assert command.may_start(run.config(*changes))
    assert capsys.readouterr().err == ""


def test_the_command_prints_a_page_and_its_status_says_whether_it_would_run(run: PlannedRun) -> None:
    command = [
        sys.executable,
        "-m",
        "verl.trainer.main_zppo",
        *run.overrides("zppo.dry_run=true", "zppo.hardware=1x7x80"),
    ]
    done = subprocess.run(command, cwd=run.folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(f"Plan of: {sys.executable} -m verl.trainer.main_zppo data.train_files=")
    assert re.search(r"\nChosen\n  method +zppo\n  platform +gpu\n  preset +paper\n", done.stdout)
    assert "problem: trainer.n_gpus_per_node: " in done.stdout and done.stdout.endswith("would not run: 1 problem\n")


def test_a_dry_run_that_would_run_has_status_0(run: PlannedRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.launch(run.config("zppo.dry_run=true", "zppo.hardware=1x8x80")) == 0
    assert capsys.readouterr().out.endswith("would run\n")


def test_on_the_cpu_it_says_what_is_meaningful(run: PlannedRun) -> None:
    plan = run.plan("trainer.device=cpu")
    assert plan.problems == [] and plan.training_memory is None
    assert "not checked: accelerators' memory: platform=cpu has none\n" in render(plan)


def test_a_teacher_that_is_served_elsewhere_takes_no_accelerator(run: PlannedRun) -> None:
    plan = run.plan("zppo.teacher.base_url=http://teacher:8000/v1", "zppo.teacher.path=big", "zppo.hardware=8x6x80")
    assert plan.problems == []
    assert plan.layout.by_node()[0] == (0, {"student": 6})
    assert "served elsewhere (zppo.teacher.base_url), and was not asked" in render(plan)


def test_a_run_is_not_stopped_by_a_plan_that_can_not_be_made(run: PlannedRun, capsys, monkeypatch) -> None:
    monkeypatch.setattr(counting, "disk_of", lambda *_: 1 / 0)
    assert command.may_start(run.config("zppo.hardware=1x8x80"))
    assert "warning: the run could not be planned: ZeroDivisionError" in capsys.readouterr().err


def test_accelerators_that_stay_idle_are_said(run: PlannedRun) -> None:
    plan = run.plan(*PAPER, "trainer.nnodes=1")
    line = "trainer.nnodes: 56 of 64 accelerators stay idle; trainer.nnodes=8 would use all nodes"
    fewer = run.plan(*PAPER, "trainer.nnodes=1", "trainer.n_gpus_per_node=1")
    assert f"{line.replace('56', '61')}, more in trainer.n_gpus_per_node all 8 of each" in fewer.warnings
    assert line in plan.warnings and f"warning: {line}" in render(plan)
    assert not any("idle" in warning for warning in run.plan(*PAPER).warnings)
    plan = run.plan(*PAPER, "trainer.n_gpus_per_node=4")
    assert "trainer.nnodes: 16 of 64 accelerators stay idle; raise trainer.n_gpus_per_node" in plan.warnings
