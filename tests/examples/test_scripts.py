"""Every launch script: its shell, and that what it gives to the trainer could run on the layout that it is for."""

import subprocess
from pathlib import Path

import pytest

from recipe.zppo.config.compose import CONFIG_DIR
from tests.composed import compose
from tests.teacher.fake_endpoint import FakeEndpoint

from .conftest import EXAMPLES, SIZES, TRAINER, Site, planned, tool

SCRIPTS = sorted([*EXAMPLES.rglob("*.sh"), *EXAMPLES.rglob("*.sbatch")])
METHODS = sorted(file.stem for file in (CONFIG_DIR / "method").glob("*.yaml"))
ENGINES = ("fsdp", "megatron")


def test_there_is_a_script_for_every_size_and_engine() -> None:
    names = {script.name for script in SCRIPTS}
    assert {f"run_qwen3_5_{size}_{engine}.sh" for size in SIZES for engine in ENGINES} <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_verls_habits(script: Path) -> None:
    text, sourced = script.read_text(), not script.name.startswith("run_")
    assert bool(script.stat().st_mode & 0o100) != sourced
    if not sourced:
        assert text.startswith("#!/usr/bin/env bash\n") and "\nset -xeuo pipefail\n" in text
        assert '"$@"' in text or "source " in text


def test_bash_and_shellcheck_accept_all() -> None:
    for script in SCRIPTS:
        subprocess.run(["bash", "-n", script], check=True)
    check = [tool("shellcheck"), "--external-sources", "--source-path=SCRIPTDIR", *SCRIPTS]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", SIZES)
def test_a_script_could_run_on_one_node_and_on_the_papers_eight(site: Site, size: str, engine: str) -> None:
    overrides = site.overrides(f"run_qwen3_5_{size}_{engine}.sh", MODEL_PATH=str(site.model(size)))
    for nodes in (1, 8) if size == "9b" else (8,):  # what fits the largest on one node fits the others
        plan = planned(overrides, f"{nodes}x8x80", **{"trainer.nnodes": nodes})
        assert plan.problems == [] and plan.not_checked == []
        assert [line for line in plan.warnings if "free in" not in line] == []  # but for this machine's disk
        assert plan.layout.by_node() == [(node, {"student": 6, "teacher": 2}) for node in range(nodes)]


def test_nodes_come_from_the_environment(site: Site) -> None:
    for engine in ENGINES:
        called = site.overrides(f"run_qwen3_5_9b_{engine}.sh", NNODES="8", STUDENT_GPUS="7", TEACHER_GPUS="1")
        assert {"trainer.nnodes=8", "trainer.n_gpus_per_node=7", "zppo.teacher.n_gpus_per_node=1"} <= set(called)
        assert "zppo.teacher.max_concurrent_requests=512" in called


def test_a_plan_follows_the_hardware_that_it_is_for(site: Site) -> None:
    """A run does not: `zppo.hardware` then describes what is there. NNODES comes first in either."""
    plan = ("zppo.dry_run=true", "zppo.hardware=8x8x80")
    scripts = [f"run_qwen3_5_{size}_{engine}.sh" for size in SIZES for engine in ENGINES]
    for script in (*scripts, "run_qwen3_5_2b_8gpu.sh"):
        called = site.overrides(script, *plan)
        assert {"trainer.nnodes=8", "zppo.teacher.max_concurrent_requests=1024"} <= set(called), script
        assert called[-2:] == plan
    script = scripts[0]
    assert "trainer.nnodes=2" in site.overrides(script, *plan, NNODES="2")
    assert "trainer.nnodes=1" in site.overrides(script, plan[1])
    assert "trainer.nnodes=1" in site.overrides(script, plan[0], "zppo.hardware=eight")


def test_recipes_make_and_serve_nothing_for_a_plan(site: Site) -> None:
    for script in (
        "smollm2/run_cpu.sh",
        "smollm2/run_gpu.sh",
        "quickstart/run_cpu.sh",
        "quickstart/run_cpu_pictures.sh",
    ):
        home = site.folder / "nothing"
        ((_, _, module, *called),) = site.calls(
            EXAMPLES / script, "zppo.dry_run=true", PYTHON="python3", ZPPO_HOME=str(home)
        )
        assert module == "verl.trainer.main_zppo" and called[-1] == "zppo.dry_run=true", script
        assert any(word.startswith("zppo.plan.questions=") for word in called) and not home.exists()


@pytest.mark.parametrize(("script", "run"), [("run_cpu.sh", "quickstart"), ("run_cpu_pictures.sh", "pictures")])
def test_a_quickstart_ends_with_the_report(site: Site, script: str, run: str) -> None:
    calls = site.calls(EXAMPLES / "quickstart" / script, PYTHON="python3", ZPPO_HOME=str(site.folder / "home"))
    folder = f"{site.folder}/home/{run}"
    last = [["-m", f"recipe.zppo.{name}", folder] for name in ("summary", "report")]
    assert [call[1:] for call in calls[-2:]] == last


def test_the_script_for_one_gpu_says_what_stays_idle(site: Site) -> None:
    overrides = site.overrides("run_qwen3_5_0_8b_1gpu.sh", MODEL_PATH=str(site.model("0_8b")))
    assert (
        "trainer.nnodes: 63 of 64 accelerators stay idle; trainer.nnodes=8 would use all nodes, more in "
        "trainer.n_gpus_per_node all 8 of each"
    ) in planned(overrides, "8x8x80").warnings


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_from_the_same_script(site: Site, method: str) -> None:
    overrides = site.overrides("run_qwen3_5_2b_fsdp.sh", f"method={method}", MODEL_PATH=str(site.model("2b")))
    assert planned(overrides, "8x8x80", **{"trainer.nnodes": 8}).problems == []


def test_distillation_takes_fewer_tokens_at_once(site: Site) -> None:
    for method, tokens in (("zppo", 65_536), ("on_distill", 32_768), ("off_distill_replay", 32_768)):
        called = site.overrides("run_qwen3_5_2b_fsdp.sh", f"method={method}")
        assert f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={tokens}" in called


@pytest.mark.parametrize("method", ["prefix", "on_distill"])
def test_on_megatron_all_but_distillation(site: Site, method: str) -> None:
    overrides = site.overrides("run_qwen3_5_2b_megatron.sh", f"method={method}", MODEL_PATH=str(site.model("2b")))
    problems = planned(overrides, "1x8x80").problems
    if "distill" in method:
        assert problems[0].startswith("actor_rollout_ref.actor.strategy: must be fsdp or fsdp2")
    else:
        assert problems == []


def test_what_does_not_fit_is_found_before_ray(site: Site) -> None:
    overrides = site.overrides("run_qwen3_5_9b_fsdp.sh", MODEL_PATH=str(site.model("9b")))
    eight = {"trainer.nnodes": 8}
    assert "do not fit" in planned(overrides, "7x8x80", **eight).problems[0]
    assert "do not fit" in planned(overrides, "8x8x80", **eight, **{"zppo.teacher.n_gpus_per_node": 3}).problems[0]


def test_megatron_with_packed_sequences(site: Site) -> None:
    """PADDING_FREE=true is for megatron-core 0.18; without, a micro-batch is one sequence and the head is not fused."""
    script, call = "run_qwen3_5_4b_megatron.sh", {"MODEL_PATH": str(site.model("4b"))}
    for padding_free in ("true", "false"):
        overrides = site.overrides(script, **call, PADDING_FREE=padding_free)
        assert planned(overrides, "1x8x80").problems == []
        node = compose(overrides).actor_rollout_ref
        packed = (node.actor.megatron.use_remove_padding, node.model.use_remove_padding, node.actor.use_dynamic_bsz)
        assert packed == (padding_free == "true",) * 3
        assert node.model.use_fused_kernels == node.rollout.log_prob_use_dynamic_bsz == (padding_free == "true")


@pytest.mark.parametrize(("size", "engine"), [("2b", "fsdp"), ("9b", "megatron")])
def test_eight_gpus(site: Site, size: str, engine: str) -> None:
    environment = {"MODEL_PATH": str(site.model(size)), "SIZE": size, "ENGINE": engine}
    overrides = site.overrides("run_qwen3_5_2b_8gpu.sh", **environment)
    plan = planned(overrides, "1x8x80")
    assert plan.problems == []
    assert plan.layout.by_node() == [(0, {"student": 6, "teacher": 2})]
    assert compose(overrides).data.train_batch_size == 96


def test_one_gpu(site: Site) -> None:
    """Without a teacher on the GPU: NCQ only; the paper's rows without a teacher; or a teacher served elsewhere."""
    script, call = "run_qwen3_5_0_8b_1gpu.sh", {"MODEL_PATH": str(site.model("0_8b"))}
    for arguments in [(), ("method=grpo_replay",)]:
        plan = planned(site.overrides(script, *arguments, **call), "1x1x80")
        assert plan.problems == []
        assert plan.layout.by_node() == [(0, {"student": 1})]
    refused = planned(site.overrides(script, "method=hint", **call), "1x1x80").problems
    assert refused[0].startswith("zppo.teacher.path: this method needs a teacher")
    with FakeEndpoint(lambda body: "") as endpoint:
        elsewhere = call | {"TEACHER_URL": endpoint.url, "TEACHER_PATH": "teacher"}
        plan = planned(site.overrides(script, **elsewhere), "1x1x80")
        assert plan.problems == []
        assert plan.layout.by_node() == [(0, {"student": 1})]
        overrides = site.overrides(script, "method=on_distill", **elsewhere)
        assert "distillation needs the teacher's probabilities" in planned(overrides, "1x1x80").problems[0]


def test_arguments_come_last_and_so_win(site: Site) -> None:
    for script in TRAINER.glob("run_qwen3_5_*.sh"):
        if script.stem.endswith(("multinode", "kuberay")):  # they call others too
            continue
        assert site.overrides(script.name, "trainer.seed=1", "a b")[-2:] == ("trainer.seed=1", "a b")


def test_each_method_has_a_folder_of_its_own(site: Site) -> None:
    script = "run_qwen3_5_2b_fsdp.sh"
    for method, name in (("zppo", "qwen3_5_2b_fsdp"), ("on_distill", "qwen3_5_2b_fsdp_on_distill")):
        called = site.overrides(script, f"method={method}", RUN_DIR="")
        assert {f"trainer.default_local_dir=outputs/{name}", f"trainer.experiment_name={name}"} <= set(called)
    assert "trainer.default_local_dir=elsewhere" in site.overrides(script, "method=grpo", RUN_DIR="elsewhere")
    script, name = "run_qwen3_5_0_8b_1gpu.sh", "qwen3_5_0_8b_1gpu"
    for arguments, url, folder in (
        ((), "", name),
        (("method=grpo_replay",), "", f"{name}_grpo_replay"),
        ((), "http://host:8000/v1", f"{name}_teacher"),
    ):
        called = site.overrides(script, *arguments, RUN_DIR="", TEACHER_URL=url)
        assert f"trainer.default_local_dir=outputs/{folder}" in called


def test_the_variables_of_all_scripts_reach_the_trainer(site: Site) -> None:
    for script in ("run_qwen3_5_0_8b_1gpu.sh", "run_qwen3_5_2b_fsdp.sh", "run_qwen3_5_2b_megatron.sh"):
        called = site.overrides(script, SAVE_FREQ="7", KEEP_CHECKPOINTS="3", JUDGE="true")
        keys = ("trainer.save_freq=7", "trainer.max_actor_ckpt_to_keep=3", "zppo.judge.enable=true")
        assert set(keys) <= set(called), script


def test_a_requeued_job_goes_on_from_what_it_saved(site: Site, tmp_path: Path) -> None:
    call = ("run_qwen3_5_2b_fsdp.sh", "trainer.resume_mode=disable")
    again = ("trainer.resume_mode=auto", "trainer.resume_from_path=null")
    for count in ("0", "1"):
        assert site.overrides(*call, RUN_DIR=str(tmp_path), SLURM_RESTART_COUNT=count)[-1] == call[1]
    (tmp_path / "global_step_20").mkdir()
    (tmp_path / "global_step_20/zppo_complete.json").touch()
    tracker = tmp_path / "latest_checkpointed_iteration.txt"
    tracker.write_text("0")  # of a run that has saved nothing yet, beside what another left
    assert site.overrides(*call, RUN_DIR=str(tmp_path), SLURM_RESTART_COUNT="1")[-1] == call[1]
    tracker.write_text("20")
    assert site.overrides(*call, RUN_DIR=str(tmp_path), SLURM_RESTART_COUNT="0")[-1] == call[1]
    assert site.overrides(*call, RUN_DIR=str(tmp_path), SLURM_RESTART_COUNT="1")[-2:] == again
