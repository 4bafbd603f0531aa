"""Memory, contexts, divisibility, work and disk, against counts by hand."""

import dataclasses

import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.hardware import GB
from recipe.zppo.config.model_shape import ModelShape, shape_of
from recipe.zppo.config.run_keys import LoggingConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.dry_run.disk import Disk, _written, checkpoints_kept, disk_of, rollout_bytes
from recipe.zppo.dry_run.divisibility import Batch, serving_problems, training_problems
from recipe.zppo.dry_run.engine import Serving, Training, training_of
from recipe.zppo.dry_run.machine import Accelerator, parse_accelerators
from recipe.zppo.dry_run.memory import checkpoint_bytes, host_memory, resident, serving_memory, training_memory
from recipe.zppo.dry_run.verdicts import disk_verdicts, memory_warnings, serving_warnings
from recipe.zppo.dry_run.workload import Workload, workload_of
from tests.composed import compose

MEMORY = 80 * GB
TWO_B, TEACHER = shape_of("Qwen/Qwen3.5-2B"), shape_of("Qwen/Qwen3.5-27B-FP8")


def fsdp(**changes) -> Training:
    base = Training(
        engine="fsdp", ranks=48, tensor=1, pipeline=1, context=1, shards=48, weight=2, gradient=2, state=4,
        param_offload=False, optimizer_offload=False, lora_rank=0, checkpointing=True, fused_head=True, dynamic=True,
        tokens=32_768, micro_batch=None, tokens_key="tokens",
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def megatron(**changes) -> Training:
    return fsdp(engine="megatron", tensor=2, pipeline=2, shards=12, gradient=4, state=12, **changes)


def served(**changes) -> Serving:
    base = Serving(
        name="student", key="actor_rollout_ref.rollout", ranks=48, tensor=1, replica=1, utilization=0.7,
        max_model_len=24_576, batched_tokens=8192, sequences=256, element=2, frees_cache=True,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


# ---- memory


@pytest.mark.parametrize(
    ("name", "engine", "found"),
    [
        # weight, gradient, and what the optimiser keeps of one parameter
        ("anyprecision", "dp", (2, 2, 2 + 2 + 2)),
        ("stochastic", "dp", (2, 2, 2 + 2)),
        ("fp32", "dp", (4, 4, 4 + 4)),
        ("anyprecision", "megatron", (2, 4, 4 + 2 + 2)),
        ("fp32", "megatron", (2, 4, 4 + 4 + 4)),
    ],
)
def test_bytes_of_a_parameter_by_optimizer(name: str, engine: str, found: tuple[int, int, int]) -> None:
    training = training_of(compose([f"zppo.optimizer={name}", f"model_engine={engine}"]))
    assert (training.weight, training.gradient, training.state) == found


def test_fsdp_splits_weights_gradients_and_states_over_its_shards() -> None:
    found = training_memory(TWO_B, fsdp(), served(), MEMORY)
    each = TWO_B.parameters / 48
    assert (found.weights, found.gradients, found.states) == pytest.approx((2 * each, 2 * each, 4 * each), abs=1)
    whole = training_memory(TWO_B, fsdp(shards=1, weight=4, gradient=4, state=8), served(), MEMORY)
    assert whole.certain == pytest.approx(16 * TWO_B.parameters, abs=3)
    assert whole.gathered == 0


def test_megatron_splits_states_over_data_parallel_ranks_as_well() -> None:
    found = training_memory(TWO_B, megatron(), served(), MEMORY)
    each = TWO_B.parameters / 4
    assert (found.weights, found.gradients, found.states) == pytest.approx((2 * each, 4 * each, each), abs=1)


def test_megatrons_gradients_stay_while_servers_work_unless_its_weights_leave() -> None:
    each = TWO_B.parameters / 4
    start, later = resident(TWO_B, megatron())
    assert start == pytest.approx((2 + 4) * each, abs=2) and later == pytest.approx((2 + 4 + 1) * each, abs=3)
    assert resident(TWO_B, megatron(param_offload=True, optimizer_offload=True)) == (0, 0)
    assert resident(TWO_B, fsdp())[0] == pytest.approx(2 * TWO_B.parameters / 48, abs=1)


def test_logits_are_there_unless_the_head_is_fused() -> None:
    assert training_memory(TWO_B, fsdp(), served(), MEMORY).logits == 0
    found = training_memory(TWO_B, fsdp(fused_head=False), served(), MEMORY)
    assert found.logits == 4 * 32_768 * 248_320
    (warning,) = memory_warnings(fsdp(), found, host_memory(TWO_B, fsdp(), 6), 40 * GB, None)
    assert warning.startswith("tokens: an update takes about")


def test_adapters_alone_have_gradients_and_states() -> None:
    found = training_memory(TWO_B, fsdp(lora_rank=8), served(), MEMORY)
    adapter = 8 * TWO_B.linear_edges / 48
    assert (found.gradients, found.states) == pytest.approx((2 * adapter, 4 * adapter), abs=1)
    assert found.weights == pytest.approx(2 * TWO_B.parameters / 48 + 2 * adapter, abs=1)


def test_states_that_no_accelerator_holds_are_said() -> None:
    one = fsdp(ranks=1, shards=1, weight=4, gradient=4, state=8)
    found = training_memory(shape_of("Qwen/Qwen3.5-9B"), one, served(), MEMORY)
    warnings = memory_warnings(one, found, host_memory(TWO_B, one, 1), MEMORY, None)
    assert warnings[0].startswith("trainer.n_gpus_per_node: weights, gradients and optimiser states take 150.6 GB")


def test_a_server_holds_weights_and_whole_sequences() -> None:
    found = serving_memory(TEACHER, served(utilization=0.85), MEMORY)
    assert found.budget == 68 * GB and found.weights == TEACHER.weight_bytes
    sequence = 24_576 * 2 * 16 * 4 * 256 * 2 + 48 * (4 * 48 * 128 * 128 + 2 * 3 * (2 * 16 + 48) * 128)
    assert found.per_sequence == sequence
    assert found.sequences == (found.budget - found.weights - found.workspace) // sequence > 10
    halves = serving_memory(TEACHER, served(utilization=0.85, tensor=2), MEMORY)
    assert halves.weights == -(-TEACHER.weight_bytes // 2) and halves.sequences > 2 * found.sequences


@pytest.mark.parametrize(
    ("memory", "serving", "training", "start"),
    [
        (40 * GB, {"utilization": 0.7, "key": "t", "name": "teacher"}, {}, "t.gpu_memory_utilization: 0.7 of 40.0 GB"),
        (44 * GB, {"utilization": 0.7, "key": "t"}, {}, "t.max_model_len: the cache of one sequence of that length"),
        (64 * GB, {"utilization": 0.7}, {"shards": 1}, "actor_rollout_ref.rollout.gpu_memory_utilization: 0.7 of 64.0"),
        (
            80 * GB,
            {"utilization": 0.8},
            {"shards": 6, "state": 8},
            "actor_rollout_ref.rollout.gpu_memory_utilization: after the first update",
        ),
    ],
)
def test_what_a_server_can_not_hold(memory: int, serving: dict, training: dict, start: str) -> None:
    server, engine = served(**serving), fsdp(**training)
    found = serving_memory(TEACHER, server, memory, resident(TEACHER, engine))
    warnings = serving_warnings(server, found, memory, engine)
    assert any(line.startswith(start) for line in warnings), warnings


def test_more_sequences_than_blocks_of_linear_attention() -> None:
    """vLLM's cache of the 27B: 16 layers a block, and 784 tokens' keys and values take one layer's state."""
    state = 4 * 48 * 128 * 128 + 2 * 3 * (2 * 16 + 48) * 128
    page = 16 * 2 * 4 * 256 * 2 * -(-state // (16 * 2 * 4 * 256 * 2))
    assert TEACHER.block_bytes() == 16 * page and 0.99 < page / (784 * 4096) < 1.01
    warnings = {}
    for sequences in (256, 900, 1024):
        server = served(name="teacher", key="t", utilization=0.85, sequences=sequences)
        found = serving_memory(TEACHER, server, MEMORY)
        warnings[sequences] = serving_warnings(server, found, MEMORY, fsdp())
        assert 600 < found.blocks == found.cache // (16 * page) < 760
    assert warnings[256] == []
    (warning,) = warnings[1024]
    assert warning.startswith("t.max_num_seqs: 1024 sequences are more than the about 6")
    eager = served(name="teacher", key="t", utilization=0.85, sequences=1024, eager=True)
    for training in (fsdp(), None):  # None: an engine that the plan does not know
        assert serving_warnings(eager, serving_memory(TEACHER, eager, MEMORY), MEMORY, training) == []


def test_scored_logits_lie_beside_the_servers_share() -> None:
    for tokens, warns in ((2048, False), (8192, True)):
        server = served(name="teacher", key="t", utilization=0.85, batched_tokens=tokens, scores=True)
        found = serving_memory(TEACHER, server, MEMORY)
        assert found.scoring == 10 * tokens * 248_320
        warnings = serving_warnings(server, found, MEMORY, fsdp())
        assert any("scoring 8192 tokens at once" in line for line in warnings) is warns


def test_offloaded_states_are_in_main_memory_instead() -> None:
    off = fsdp(param_offload=True, optimizer_offload=True)
    assert resident(TWO_B, off) == (0, 0)
    assert resident(TWO_B, fsdp()) == pytest.approx((2 * TWO_B.parameters / 48, 6 * TWO_B.parameters / 48), abs=1)
    host = host_memory(TWO_B, off, 6)
    assert host.offloaded == pytest.approx(6 * 6 * TWO_B.parameters / 48, abs=6)
    assert host.loading == 6 * 2 * TWO_B.parameters  # tied: every rank reads the whole model
    assert host_memory(TEACHER, off, 6).loading == 2 * TEACHER.parameters
    warnings = memory_warnings(off, training_memory(TWO_B, off, served(), MEMORY), host, MEMORY, GB)
    assert warnings[0].startswith("actor_rollout_ref.actor.fsdp_config.param_offload: offloading takes")


# ---- divisibility


def lines(**changes) -> list[str]:
    batch = Batch(groups=576, group_size=8, updates=4, data_parallel=48)
    return list(training_problems(fsdp(**changes), TWO_B, batch, 20_720))


def test_what_divides_is_no_problem() -> None:
    assert lines() == lines(context=2) == list(training_problems(megatron(), TWO_B, None, 20_720)) == []


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"context": 5}, "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size: the sequence parallel"),
        ({"context": 3}, "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size: 3 does not divide the"),
        ({"shards": 5}, "actor_rollout_ref.actor.fsdp_config.fsdp_size: 5 does not divide the student's 48"),
        ({"tokens": 16_384}, "tokens: 16384 tokens of a micro batch do not hold the longest sequence, 20720"),
        (
            {"dynamic": False, "tokens": None, "micro_batch": 5},
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu: 5 does not divide the 24 sequences",
        ),
        ({"engine": "megatron", "pipeline": 16}, "actor_rollout_ref.actor.megatron.pipeline_model_parallel_size: 16"),
        ({"engine": "megatron", "tensor": 5}, "actor_rollout_ref.actor.megatron.tensor_model_parallel_size: tensor x"),
    ],
)
def test_what_does_not_divide(changes: dict, start: str) -> None:
    assert lines(**changes)[0].startswith(start), lines(**changes)


def test_stages_that_are_set_by_hand_need_not_be_even() -> None:
    assert any("pipeline_model_parallel_size" in line for line in lines(engine="megatron", pipeline=16))
    assert not any("divide the student's" in line for line in lines(engine="megatron", pipeline=16, own_stages=True))


@pytest.mark.parametrize(
    ("changes", "shape", "per_node", "part"),
    [
        ({"replica": 5, "tensor": 5}, TWO_B, 6, "replicas of 5 accelerators can't fill the student's 48"),
        ({"replica": 4, "tensor": 4}, TWO_B, 6, "replicas of 4 accelerators would lie across nodes with 6 each"),
        ({"replica": 3, "tensor": 3}, TWO_B, 6, "3 does not divide the student's 8 attention heads"),
        ({"replica": 8, "tensor": 8}, dataclasses.replace(TEACHER, intermediate=17_408), 8, None),
        ({"replica": 8, "tensor": 8}, dataclasses.replace(TEACHER, intermediate=4096 + 128), 8, "no multiple of 128"),
    ],
)
def test_servers(changes: dict, shape: ModelShape, per_node: int, part: str | None) -> None:
    found = list(serving_problems(served(**changes), shape, per_node, "trainer.n_gpus_per_node"))
    assert (found == []) if part is None else part in found[0]
    assert all(line.startswith("actor_rollout_ref.rollout.tensor_model_parallel_size: ") for line in found)


@pytest.mark.parametrize(("groups", "padded", "per_rank"), [(576, 4608, 24), (384, 3072, 16), (385, 3264, 17)])
def test_a_batch_is_padded_to_equal_parts(groups: int, padded: int, per_rank: int) -> None:
    batch = Batch(groups, 8, 4, 48)
    assert (batch.padded, batch.per_rank) == (padded, per_rank)


# ---- work and disk


def papers_work(**changes) -> Workload:
    base = Workload(
        steps=200, updates_per_step=4, prompts=384, replayed=96, extra_groups=96, group_size=8, response=12_288,
        teacher_rollouts=480 * 4, teacher_response=12_288, summaries=96 * 8 * 3, summary=512,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def test_the_papers_step() -> None:
    work = papers_work()
    assert (work.groups, work.rollouts) == (576, 4608)
    assert work.student_tokens == 4608 * 12_288
    assert work.teacher_tokens == 1920 * 12_288 + 2304 * 512


@pytest.mark.parametrize(
    ("changes", "rollouts"),
    [
        ([], 480 * 4),
        (["zppo.teacher.more=[b,c]"], 480 * 4 * 3),
        (["method=hint"], 96 * 4),
        (["method=prefix"], 96 * 4),
        (["method=off_distill"], 384 * 4),
        (["method=grpo_replay_ncq"], 0),
    ],
)
def test_whom_the_teacher_is_asked_about(changes: list[str], rollouts: int) -> None:
    """Every hard question; of Hint and Prefix those within the cap (Algs. 5 and 6); of Off-Distill all."""
    config = compose(("zppo.teacher.path=a", *changes))
    assert workload_of(config, validate_zppo(config.zppo), None).teacher_rollouts == rollouts


def logs_to(folder: str | None = "out/rollouts", text_limit: int | None = 65_536) -> ZPPOConfig:
    return ZPPOConfig(logging=LoggingConfig(rollouts_dir=folder, metrics_file=None, text_limit=text_limit))


def test_rollout_files_hold_every_text_that_a_run_can_have() -> None:
    a_step = 4 * (4608 * (2048 + 12_288) + 1920 * 12_288)
    assert rollout_bytes(logs_to(), papers_work(), 2048) == 200 * a_step
    assert rollout_bytes(logs_to(text_limit=None), papers_work(), 2048) == 200 * a_step
    assert 0.25e9 < a_step < 0.4e9  # an upper estimate of 0.1 to 0.25 GB
    assert rollout_bytes(logs_to(text_limit=1000), papers_work(), 2048) == 200 * 1000 * (2 * 4608 + 1920)
    assert rollout_bytes(logs_to(None), papers_work(steps=None), 2048) == 0
    assert rollout_bytes(logs_to(), papers_work(steps=None), 2048) is None


@pytest.mark.parametrize(
    ("frequency", "keep", "steps", "kept"),
    [(20, 2, 200, 3), (20, None, 200, 10), (20, 2, 20, 1), (20, 2, None, 3), (20, None, None, None), (-1, 2, 200, 0)],
)
def test_one_checkpoint_more_than_is_kept(frequency: int, keep, steps, kept) -> None:
    config = OmegaConf.create({"trainer": {"save_freq": frequency, "max_actor_ckpt_to_keep": keep}})
    assert checkpoints_kept(config, steps) == kept


def test_a_checkpoint_holds_weights_and_moments() -> None:
    assert checkpoint_bytes(TWO_B, fsdp(), ["model", "optimizer", "extra"]) == 6 * TWO_B.parameters
    assert checkpoint_bytes(TWO_B, fsdp(), ["model", "hf_model"]) == 4 * TWO_B.parameters


def test_a_full_disk_is_a_problem_where_it_is_written_only() -> None:
    disk = Disk("out", "/disk", checkpoint=10 * GB, kept=3, exported=4 * GB, free=33 * GB)
    for here, (problems, warnings) in ((here, disk_verdicts(disk, here=here)) for here in (True, False)):
        (line,) = problems if here else warnings
        assert not (warnings if here else problems)
        assert line.startswith("trainer.default_local_dir: 3 checkpoint(s) of 10.0 GB and the final model take 34.0 GB")
    assert disk_verdicts(dataclasses.replace(disk, free=34 * GB), here=True) == ([], [])


@pytest.mark.parametrize("checkpoint", [10 * GB, None])
def test_rollout_files_are_estimated_and_never_a_problem(checkpoint: int | None) -> None:
    disk = Disk("out", "/disk", checkpoint, kept=3, exported=4 * GB, free=40 * GB, rollouts=50 * GB)
    problems, (line,) = disk_verdicts(disk, here=True)
    assert not problems
    assert line.startswith("zppo.logging.rollouts_dir: rollout files may take up to about 50.0 GB, ")
    assert ("the final model 84.0 GB" in line) == bool(checkpoint)
    assert "40.0 GB are free in /disk; " in line
    assert disk_verdicts(dataclasses.replace(disk, free=84 * GB), here=True) == ([], [])


@pytest.mark.parametrize(
    ("checkpoint", "rollouts", "logged", "estimate"),
    [(10, 7, 0, 41), (10, 7, 5, 36), (10, 7, 9, 34), (10, None, 0, 34), (None, 7, 0, 7), (None, None, 0, None)],
)
def test_rollout_files_add_to_the_disk_sum(checkpoint, rollouts, logged: int, estimate) -> None:
    disk = Disk("out", "/disk", checkpoint, kept=3, exported=4, free=None, rollouts=rollouts, logged=logged)
    assert disk.estimate == estimate
    assert disk.needed == (34 if checkpoint else None)


# ---- the machine

SMI = "0, GPU-aa1, 80000, 81559\n1, GPU-bb2, 100, 81559\n2, GPU-cc3, [N/A], [N/A]\n"


@pytest.mark.parametrize(
    ("visible", "indices"),
    [(None, "01"), ("1", "1"), ("1,0", "10"), ("GPU-bb", "1"), ("", ""), ("0,7,1", "0"), ("-1", "")],
)
def test_visible_accelerators(visible: str | None, indices: str) -> None:
    found = parse_accelerators(SMI, visible)
    assert [accelerator.index for accelerator in found] == list(indices)
    if visible is None:
        assert found[1] == Accelerator("1", 100 * 2**20, 81_559 * 2**20)


def test_checkpoints_that_lie_there_already_are_room_for_those_to_come(tmp_path) -> None:
    config = OmegaConf.create({"trainer": {"default_local_dir": str(tmp_path), "save_freq": 1}})
    before = disk_of(config, 10, 1, 0).free
    for name in ("global_step_1/actor", "hf_model"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights").write_bytes(bytes(1 << 20))
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "step").write_bytes(bytes(1 << 20))
    # Other processes write to the disk too.
    assert disk_of(config, 10, 1, 0).free == pytest.approx(before - (1 << 20), abs=200 << 20)
    assert _written(tmp_path) == 2 << 20


def test_rollout_files_count_on_the_disk_that_they_are_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = OmegaConf.create({"trainer": {"default_local_dir": str(tmp_path / "run"), "save_freq": 1}})
    rollouts = tmp_path / "run" / "rollouts"
    found = disk_of(config, 10, 1, 0, 100, str(rollouts))
    assert (found.rollouts, found.logged, found.estimate) == (100, 0, 110)
    rollouts.mkdir(parents=True)
    (rollouts / "step_000001.jsonl").write_bytes(bytes(30))
    (rollouts / "notes").write_bytes(bytes(30))
    found = disk_of(config, 10, 1, 0, 100, str(rollouts))
    assert (found.rollouts, found.logged, found.estimate) == (100, 30, 80)
    monkeypatch.setattr("recipe.zppo.dry_run.disk._same_disk", lambda *_: False)
    found = disk_of(config, 10, 1, 0, 100, str(rollouts))
    assert (found.rollouts, found.logged, found.estimate) == (0, 0, 10)
    assert disk_of(config, 10, 1, 0).estimate == 10
