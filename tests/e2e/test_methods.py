"""Two steps of each method that has no test of its own: what defines it (App. D.2), in what it trained on.

Hint is in test_lora.py.
"""

import math
import statistics
from collections import defaultdict

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.zppo.jsd import token_jsd
from tests.docs import metric_page
from tests.e2e.conftest import Training, check_buffer_follows_plain_groups

pytestmark = pytest.mark.e2e

STEPS = (1, 2)


def run(training, method, *overrides, status=0):
    settings = (f"method={method}", "trainer.total_training_steps=2", "trainer.save_freq=2", *overrides)
    training.run(*settings, env=training.spied(), status=status)


@pytest.fixture(scope="module")
def tokenizer(world):
    return AutoTokenizer.from_pretrained(world.student)


@pytest.fixture(scope="module")
def prefix(world, tmp_path_factory):
    """Two steps, and a third, after which the reward function raises in validation."""
    training = Training(world, tmp_path_factory.mktemp("prefix"))
    reward = training.failing_reward(3, "validate", otherwise="graded(data_source, solution_str, ground_truth)")
    run(training, "prefix", reward, "trainer.total_training_steps=3", "trainer.test_freq=3", status=1)
    return training


def test_reward_function_that_raises_in_validation_stops_the_run_with_its_row(prefix):
    last = prefix.last_words()
    assert "the reward function failed on row" in last
    assert "price_list-val-" in last and "no such unit" in last


def test_exactly_four_updates_whatever_the_batch(prefix):
    sizes = [len(torch.load(prefix.folder / f"batch_{step}.pt", weights_only=False)) for step in STEPS]
    assert len(set(sizes)) > 1  # otherwise this test shows nothing
    assert all(size % 4 == 0 for size in sizes)
    assert prefix.num_updates(STEPS) == ([4, 4], 8)


def test_prefix(prefix, tokenizer):
    training = prefix
    continued = 0
    for step in STEPS:
        lines = {line["uid"]: line for line in training.rollouts(step)}
        assert {line["kind"] for line in lines.values()} <= {"plain", "prefix"}
        plain = {line["prompt_id"]: line for line in lines.values() if line["kind"] == "plain"}
        rows = training.batch(step)
        prompts = {lines[row["uid"]]["prompt_id"]: row["prompts"] for row in rows if row["kind"] == "plain"}
        for row in rows:
            size = row["response_mask"].index(1)
            assert row["loss_mask"] == row["response_mask"] == [0] * size + [1] * (len(row["responses"]) - size)
            assert len(row["responses"]) <= 32
            assert row["rollout_log_probs"][:size] == [0.0] * size
            assert row["rollout_log_probs"][size:] == pytest.approx(row["old_log_probs"][size:], abs=1e-4)
            line = lines[row["uid"]]
            assert tokenizer.decode(row["responses"], skip_special_tokens=True) in [
                response["text"] for response in line["responses"]
            ]
            if row["kind"] == "plain":
                assert size == 0
                continue
            assert row["prompts"] == prompts[line["prompt_id"]]
            teacher = plain[line["prompt_id"]]["teacher"]["responses"]
            texts = [tokenizer.encode(r["text"], add_special_tokens=False) for r in teacher if r["reward"] == 1]
            openings = [ids[: math.floor(0.4 * len(ids))] for ids in texts]
            assert size > 0 and row["responses"][:size] in openings
            continued += 1
        groups = [line for line in lines.values() if line["kind"] == "prefix"]
        assert len(groups) <= 4 and all(len(line["responses"]) == 4 for line in groups)
        for line in groups:
            mine = [row for row in rows if row["uid"] == line["uid"]]
            given = {tuple(row["responses"][: row["response_mask"].index(1)]) for row in mine}
            assert len(given) == 1 and len(mine) == 4
    assert continued
    check_buffer_follows_plain_groups(training, STEPS)


def mean_jsd(rows, student, teacher):
    """Of the response tokens, by both models as they lie on the disk."""
    values = []
    for row in rows:
        ids, size = torch.tensor([row["prompts"] + row["responses"]]), len(row["responses"])
        with torch.inference_mode():
            logits, other = (model(ids).logits[0, -size - 1 : -1] for model in (student, teacher))
        values.append(token_jsd(logits, torch.log_softmax(other, -1)).jsd)
    return torch.cat(values).mean().item()


def check_loss_is_the_divergence_of_all_response_tokens(training, world):
    metrics = check_divergence(training, world)
    assert metrics[1]["actor/distillation/loss"] == pytest.approx(metrics[1]["actor/distillation/jsd"])


def check_divergence(training, world):
    student, teacher = (AutoModelForCausalLM.from_pretrained(path) for path in (world.student, world.teacher))
    rows = training.batch(1)
    vocabulary = student.config.vocab_size
    for row in rows:
        assert row["loss_mask"] == row["response_mask"] == [1] * len(row["responses"])
        shape = (len(row["prompts"]) + len(row["responses"]), vocabulary)
        assert torch.tensor(row["teacher_ids"]).shape == torch.tensor(row["teacher_logprobs"]).shape == shape
    metrics = training.metrics()
    assert metric_page.unlisted(metrics[1]) == []
    assert metric_page.missing([f"actor/distillation/{name}" for name in ("loss", "jsd_max")], metrics[1]) == []
    assert metrics[1]["actor/distillation/jsd"] == pytest.approx(mean_jsd(rows, student, teacher), abs=1e-4)
    assert metrics[1]["actor/distillation/teacher_mass"] == pytest.approx(1.0)
    assert not any("pg_loss" in name for name in metrics[1])
    for step in STEPS:
        assert metrics[step]["zppo/batch/skipped_updates"] == 0
    assert training.num_updates(STEPS) == ([1, 1], 2)
    learnt = AutoModelForCausalLM.from_pretrained(training.run_dir / "hf_model")
    # On the sequences that it learnt from, after two updates, the student is closer to its teacher.
    assert mean_jsd(rows, learnt, teacher) < mean_jsd(rows, student, teacher)
    return metrics


def test_off_policy_distillation(training, world, tokenizer):
    training = training("off_distill_replay")
    run(training, "off_distill_replay", "zppo.export.hf_model=true")
    for step in STEPS:
        lines = training.rollouts(step)
        plain = [line for line in lines if line["kind"] == "plain"]
        # The teacher is asked on every question, easy ones too; the student's rollouts are for the books.
        assert all(len(line["teacher"]["responses"]) == 2 for line in plain)
        correct = sorted(r["text"] for line in plain for r in line["teacher"]["responses"] if r["reward"] == 1)
        rows = training.batch(step)
        assert {row["kind"] for row in rows} == {"teacher"}
        assert all(row["responses"][-1] == tokenizer.eos_token_id for row in rows)
        assert sorted(tokenizer.decode(row["responses"][:-1]) for row in rows) == correct
        prompts = {tokenizer.decode(row["prompts"]) for row in rows}
        assert not any("<candidate>" in prompt or "<hint>" in prompt for prompt in prompts)
    metrics = check_divergence(training, world)
    student, teacher = (AutoModelForCausalLM.from_pretrained(path) for path in (world.student, world.teacher))
    of_questions = defaultdict(list)  # Alg. 2: over a question's targets first, then over questions
    for row in training.batch(1):
        of_questions[row["uid"]].append(mean_jsd([row], student, teacher))
    wanted = statistics.mean(map(statistics.mean, of_questions.values()))
    assert metrics[1]["actor/distillation/loss"] == pytest.approx(wanted, abs=1e-5)
    assert wanted != pytest.approx(metrics[1]["actor/distillation/jsd"], abs=1e-4)
    check_buffer_follows_plain_groups(training, STEPS)


def test_on_policy_distillation(training, world, tokenizer):
    training = training("on_distill_replay")
    run(training, "on_distill_replay", "zppo.export.hf_model=true")
    for step in STEPS:
        lines = {line["uid"]: line for line in training.rollouts(step)}
        assert {line["kind"] for line in lines.values()} == {"plain"}
        assert not any("teacher" in line for line in lines.values())  # it scores, and writes nothing
        rows = training.batch(step)
        assert len(rows) == 4 * len(lines)
        for row in rows:
            text = tokenizer.decode(row["responses"], skip_special_tokens=True)
            assert text in [response["text"] for response in lines[row["uid"]]["responses"]]
    check_loss_is_the_divergence_of_all_response_tokens(training, world)
    check_buffer_follows_plain_groups(training, STEPS)
