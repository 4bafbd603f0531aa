"""The benchmarks run on today's code; their times are not looked at. And what the simulated schedules must show."""

import random

import pytest
import torch

from benchmarks import bench_local, bench_mini_batches, bench_peers
from benchmarks.bench_schedule_sim import BARRIERS, PIPELINE, least_rest, ratios, simulate
from benchmarks.measure import Parts
from benchmarks.paper_cluster import MOST
from benchmarks.paper_step import NUM_NEW, NUM_REFORMULATED, NUM_REPLAYED, Texts, draw_step
from benchmarks.parts_buffer import measure_buffer
from benchmarks.parts_step import measure_pipeline, measure_questions, measure_records, measure_selection
from benchmarks.parts_workers import measure_candidates, measure_grading, measure_responses
from recipe.cpu.grouped_attention import register


@pytest.fixture(scope="module")
def texts():
    return Texts(random.Random(0))


@pytest.fixture(scope="module")
def step(texts):
    return draw_step(texts, characters=400)


def test_the_parts_of_a_step_are_measured_on_todays_code(texts, step):
    parts, tokenizer = Parts(), texts.tokenizer()
    measure_buffer(parts, step, size=1000, save_freq=20)
    measure_questions(parts, step, tokenizer)
    measure_selection(parts, step)
    result = measure_pipeline(parts, step, save_freq=20)
    measure_records(parts, result)
    measure_responses(parts, step, tokenizer)
    measure_grading(parts, step)
    measure_candidates(parts, step, tokenizer)
    assert len(result.groups) == NUM_NEW + NUM_REPLAYED + NUM_REFORMULATED
    assert len({part.name for part in parts}) == len(parts)
    assert 0 < parts.seconds_a_step("trainer", "background") < parts.seconds_a_step("trainer", "background", "workers")


def test_what_the_cpu_back_ends_save_is_measured_on_todays_code():
    model = bench_local.build(None, torch.float32, num_hidden_layers=2, vocab_size=128)
    batch = bench_local.trajectories(groups=2, of_each=2, vocabulary=128)
    assert all(bench_local.update(model, batch, share=share) > 0 for share in (False, True))
    assert all(bench_local.token(model, 2, name, tokens=1) > 0 for name in ("sdpa", register()))


def test_ranks_wait_less_where_each_mini_batch_is_balanced():
    rng = random.Random(0)
    lengths = bench_mini_batches.lengths_of_a_step(rng)
    before = bench_mini_batches.shuffled_on_each_rank(lengths, rng)
    for unit in ("rollouts", "groups"):
        assert 1 <= bench_mini_batches.drawn_in_the_trainer(lengths, rng, unit) < before


def test_the_sooner_the_teacher_is_asked_the_shorter_a_step_in_virtual_time():
    """On one node of the paper's eight; the paper's whole step stays below the aim with each `zppo.teacher.ask`."""
    costs = {kind: simulate(kind, num_steps=2, train_s=1000.0, nodes=1)[1] for kind in (*PIPELINE, *BARRIERS)}
    plain, seconds = costs["plain only"], {kind: cost.generation_s for kind, cost in costs.items()}
    assert sorted(seconds, key=seconds.__getitem__) == [
        *("plain only", "next_step", "teacher at once"),
        *("same_step, ahead", "same_step, in_reach", "same_step, hard"),
        *("barrier, teacher streams", "barriers"),
    ]
    assert seconds["next_step"] < 1.2 * seconds["plain only"]
    tokens = {kind: cost.tokens for kind, cost in costs.items() if kind not in ("plain only", "next_step")}
    assert len(set(tokens.values())) == 1  # all train on the same rollouts
    assert costs["same_step, in_reach"].teacher_tokens < 0.7 * costs["same_step, hard"].teacher_tokens
    for kind in PIPELINE:
        generation, of_paper, of_half = ratios("2B", costs[kind], plain)
        assert 1 <= of_paper <= min(of_half, MOST) and of_paper <= generation
        # A step whose rest is as long as that costs as much as it may.
        rest = least_rest(costs[kind], plain)
        assert rest == 0 or (generation + rest) / (1 + rest) == pytest.approx(MOST)


def test_our_run_beside_a_peer_passes_the_checks(tmp_path):
    from recipe.zppo.config.compose import compose
    from recipe.zppo.preflight.settings import check_config

    bench_peers.build(tmp_path / "model", bench_peers.SHAPES["embedded"])
    request = {"model": str(tmp_path / "model"), "prompts": bench_peers.prompts(8, 20, 158), "questions": 4}
    request |= {"group_size": 8, "updates": 4, "response": 8, "steps": 2}
    command = bench_peers.ours(tmp_path, request, bench_peers.OURS["GRPO, groups"])
    zppo = check_config(compose(command[3:]))
    assert (zppo.mini_batches, zppo.updates_per_step, zppo.kinds) == ("groups", 4, ())
    check_config(compose(bench_peers.ours(tmp_path, request, bench_peers.OURS["ZPPO, groups"])[3:]))
