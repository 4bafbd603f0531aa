"""A plan for machines that have data and models which are not here, and hours from what it is told."""

import dataclasses
import re

import pytest

from recipe.zppo.config.hardware import GB
from recipe.zppo.config.model_shape import shape_of
from recipe.zppo.config.run_keys import PlanConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.dry_run.hours import PAPER_HOURS, papers_hours, stated_hours
from recipe.zppo.dry_run.page import render
from recipe.zppo.dry_run.workload import Workload

from .conftest import PlannedRun

STUDENT, TEACHER = "actor_rollout_ref.model.path", "zppo.teacher.path"
ABSENT = ("data.train_files=/lustre/train.parquet", "data.val_files=/lustre/val.parquet")
MODELS = (f"{STUDENT}=/lustre/Qwen3.5-2B", f"{TEACHER}=/lustre/Qwen3.5-27B-FP8")
PAPER = (*ABSENT, *MODELS, "data.train_batch_size=384", "zppo.plan.questions=77000")


def test_without_data_and_models_the_papers_run_is_planned(run: PlannedRun) -> None:
    plan = run.plan(*PAPER)
    assert plan.problems == [] and plan.workload.steps == 200
    named = ["data.train_files", "data.val_files", "student", "teacher"]
    left_out = {line.partition(":")[0]: line for line in plan.not_checked}
    assert all("is not on this machine" in left_out[key] for key in named)
    assert "steps are counted from zppo.plan.questions=77000" in left_out["data.train_files"]
    assert plan.student.source == "known shapes, by the folder's name" and plan.student.parameters > 2e9
    page = render(plan, 120)
    assert "77,000 questions (zppo.plan.questions)" in page and "200 steps, 800 updates" in page
    papers = "79 for 200 steps (23.7 minutes a step): 5,056 GPU-hours on 64"
    assert papers in page
    for other in ("actor_rollout_ref.model.lora_rank=8", "zppo.teacher.path=/lustre/Qwen3.5-9B"):
        assert papers not in render(run.plan(*PAPER, other), 120)


def test_a_folder_that_is_not_here_is_not_asked_of_the_hub(run: PlannedRun) -> None:
    """As the launch scripts name it: `data/zppo_77k` could be a data set of that name. A pattern is looked up."""
    changes = (
        "data.train_files=data/zppo_77k",
        f"data.val_files={run.folder}/tr*.parquet",
        "zppo.plan.questions=77000",
    )
    plan = run.plan(*changes)
    assert plan.problems == [] and plan.val_rows.rows == 16
    assert any(line.startswith("data.train_files: data/zppo_77k is not on this machine") for line in plan.not_checked)


def test_files_that_are_here_are_checked_all_the_same(run: PlannedRun) -> None:
    run.data.write_text("no parquet")
    (problem,) = run.plan("zppo.plan.questions=77000", ABSENT[1]).problems
    assert problem.startswith("data.train_files: ") and "can't be read" in problem


def test_without_a_number_of_questions_data_must_be_there(run: PlannedRun) -> None:
    (problem, *_) = run.plan(*ABSENT).problems
    assert problem == "data.val_files: /lustre/val.parquet does not exist"


def test_a_folder_without_data_is_one_problem(run: PlannedRun) -> None:
    """And the other key's folder is looked at all the same."""
    (run.folder / "empty").mkdir()
    (run.folder / "held_out").mkdir()
    (run.folder / "held_out" / "val.parquet").write_bytes(run.data.read_bytes())
    folders = (f"data.train_files={run.folder}/empty", f"data.val_files={run.folder}/held_out")
    plan = run.plan(*folders)
    assert [line for line in plan.problems if line.startswith("data.")] == [
        f"data.train_files: the folder {run.folder}/empty has no train*.parquet"
    ]
    assert plan.val_rows.rows == 16
    plan = run.plan(f"data.val_files={run.folder}/empty")
    assert [line for line in plan.problems if line.startswith("data.")] == [
        f"data.val_files: the folder {run.folder}/empty has no val*.parquet or test*.parquet"
    ]


def test_questions_that_do_not_give_the_steps_are_a_problem(run: PlannedRun) -> None:
    plan = run.plan(*PAPER, "trainer.total_training_steps=300")
    (problem,) = plan.problems
    assert problem.startswith(
        "trainer.total_training_steps: 300 steps of 384 prompts are more than the 200 that 77000 "
    )


def test_a_model_that_is_not_here_is_a_problem_of_a_run_here(run: PlannedRun) -> None:
    assert (
        f"{STUDENT}: the folder /lustre/Qwen3.5-2B does not exist" in run.plan(*MODELS, "zppo.hardware=null").problems
    )


def test_room_on_this_disk_says_nothing_of_another_machine(run: PlannedRun) -> None:
    folder = run.folder / "none" / "yet"
    plan = run.plan(*PAPER, f"trainer.default_local_dir={folder}")
    assert plan.disk.place == str(run.folder)  # the nearest that exists
    assert not any("are free" in line for line in plan.warnings)
    assert any(line.startswith(f"room in trainer.default_local_dir={folder}") for line in plan.not_checked)
    assert re.search(r"free\s+on\s+the\s+disk\s+of\s+this\s+machine,\s+at", render(plan, 120))


# ---- hours

WORK = Workload(
    steps=200, updates_per_step=4, prompts=384, replayed=96, extra_groups=96, group_size=8, response=12_288,
    teacher_rollouts=1920, teacher_response=12_288, summaries=2304, summary=512,
)  # fmt: skip
TWO_B = shape_of("Qwen/Qwen3.5-2B")


def test_hours_by_stated_rates() -> None:
    told = PlanConfig(prompt_tokens=500, response_tokens=3000, generation_tokens_per_s=2000, training_tokens_per_s=5000)
    found = stated_hours(told, WORK, 4096, student=48, teacher=16, accelerators=64)
    assert found.step * 3600 == pytest.approx(4608 * 3000 / (48 * 2000) + 4608 * 3500 / (48 * 5000))
    assert found.basis == (
        "rates that were stated, in tokens a second and GPU: generation 2,000 (the teacher keeps up), training 5,000; "
        "prompts of 500 (mean) and responses of 3,000 (mean)"
    )
    slow = told.model_copy(update={"teacher_tokens_per_s": 100.0})
    teacher = (1920 * 3000 + 2304 * 512) / (16 * 100)
    found = stated_hours(slow, WORK, 4096, student=48, teacher=16, accelerators=64)
    assert found.step * 3600 == pytest.approx(teacher + 4608 * 3500 / (48 * 5000))
    longest = PlanConfig(generation_tokens_per_s=2000, training_tokens_per_s=5000)
    found = stated_hours(longest, WORK, 4096, student=48, teacher=16, accelerators=64)
    assert found.step * 3600 == pytest.approx(4608 * 12_288 / (48 * 2000) + 4608 * 16_384 / (48 * 5000))
    assert "(longest)" in found.basis


@pytest.mark.parametrize("told", [{}, {"generation_tokens_per_s": 1}, {"training_tokens_per_s": 1}])
def test_no_rate_is_made_up(told: dict) -> None:
    assert stated_hours(PlanConfig(**told), WORK, 4096, 48, 16, 64) is None


def test_the_papers_hours_are_those_of_its_runs_only() -> None:
    """Wall-clock hours at 0.8, 2, 4, 9B: GRPO 61/69/75/90, GRPO† 61/69/76/93, ZPPO 68/79/92/110."""
    assert [list(hours.values()) for hours in PAPER_HOURS.values()] == [
        [61, 69, 75, 90],
        [61, 69, 76, 93],
        [68, 79, 92, 110],
    ]
    zppo, machines = ZPPOConfig(), (64, 48, 16, 80 * GB)
    paper = (WORK, 4096, TWO_B, machines)
    assert papers_hours(zppo, *paper).step * 200 == pytest.approx(79)
    assert papers_hours(zppo, WORK, 4096, shape_of("Qwen/Qwen3.5-9B"), machines).step * 200 == pytest.approx(110)
    plain = zppo.model_validate({"reformulation": {"enable": False}})
    assert "steps of GRPO† on" in papers_hours(plain, *paper).basis
    others = [
        (WORK, 2048, TWO_B, machines),
        (dataclasses.replace(WORK, updates_per_step=16), 4096, TWO_B, machines),
        (WORK, 4096, TWO_B, (8, 6, 2, 80 * GB)),
        (WORK, 4096, TWO_B, (64, 56, 8, 80 * GB)),
        (WORK, 4096, TWO_B, (64, 48, 16, 141 * GB)),
        (WORK, 4096, shape_of("Qwen/Qwen3.5-27B-FP8"), machines),
        (WORK, 4096, None, machines),
    ]
    assert [papers_hours(zppo, *other) for other in others] == [None] * 7
    hint = zppo.model_validate({"reformulation": {"hint": True, "bcq": False, "ncq": False}})
    assert papers_hours(hint, *paper) is None


def test_a_price_needs_hours_and_they_need_rates(run: PlannedRun) -> None:
    other = (*PAPER, "data.max_response_length=8192", "zppo.plan.price_per_gpu_hour=2.5")
    page = render(run.plan(*other), 120)
    assert "not known: give zppo.plan.generation_tokens_per_s and zppo.plan.training_tokens_per_s" in page
    assert "formula" in page and "2.5" not in page.partition("\nFiles")[0].partition("Hours")[2]
    told = ("zppo.plan.generation_tokens_per_s=1000", "zppo.plan.training_tokens_per_s=1000")
    plan = run.plan(*other, *told)
    (hours,) = plan.hours
    spent = hours.step * 200 * 64
    assert f"{spent:,.0f} GPU-hours on 64; {spent * 2.5:,.0f} at 2.5 a GPU-hour" in " ".join(render(plan, 120).split())
