"""The benchmarks run on today's code; their times are not looked at. And what the simulated schedules must show."""

import random

import pytest
import torch

from benchmarks import bench_local, bench_mini_batches
from benchmarks.bench_schedule_sim import simulate
from benchmarks.measure import Parts
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


def test_queues_beat_phases_in_virtual_time():
    def generation(kind):
        return simulate(kind, teacher_slowness=1.0, num_steps=2, seed=0, train_s=100.0)[1]

    plain, next_step, same_step = generation("plain only"), generation("next_step"), generation("same_step")
    assert plain < next_step < 1.2 * plain
    assert next_step < same_step < generation("barriers")
