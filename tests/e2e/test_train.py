"""Three steps of the whole method on the whole stack, looked at from every side."""

import json
import math

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.zppo.export.__main__ import main as export
from recipe.zppo.prompts import BCQ, CLOSER, with_closer
from recipe.zppo.reward import extract_answer
from recipe.zppo.selection import HardQuestion, Reformulation, select_reformulations
from recipe.zppo.types import Kind
from tests.docs import metric_page
from tests.e2e.conftest import Training, check_buffer_follows_plain_groups, check_parity

pytestmark = pytest.mark.e2e

STEPS = (1, 2, 3)
PROMISED = (
    "accuracy/all",
    "accuracy/new",
    "hard_share",
    "all_wrong_share",
    "bcq/count",
    "ncq/count",
    "bcq/eligible_share",
    "ncq/eligible_share",
    "teacher/accuracy",
    "teacher/solved_share",
    "buffer/size",
    "buffer/admissions",
    "buffer/graduations",
    "buffer/evictions",
    "batch/positive_advantage_share",
    "batch/trivial_group_share",
    "compression/fall_back_share",
    "time_s/plain",
    "time_s/generation",
    "time_s/teacher",
    "time_s/teacher_exposed",
    "time_s/teacher_hidden_share",
)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    """A finished same_step run, with the batches that it trained on."""
    folder = tmp_path_factory.mktemp("train")
    training = Training(world, folder)
    pd.read_parquet(world.val_file).head(32).to_parquet(folder / "val.parquet")
    training.changes = (
        "zppo.updates_per_step=1",
        "trainer.val_before_train=true",
        "trainer.test_freq=3",
        "zppo.export.hf_model=true",
        f"data.val_files={folder}/val.parquet",
        "actor_rollout_ref.rollout.val_kwargs.do_sample=false",
    )
    training.run(*training.changes, env=training.spied(), fork=False)
    return training


def test_workers_are_forks(finished):
    assert "no fork" not in finished.log()


def test_real_stack_and_local_back_end_agree(finished):
    check_parity(finished, *finished.changes)


def test_no_teacher_token_has_a_loss_and_every_loss_token_is_the_students_own(finished):
    for step in STEPS:
        texts = {line["uid"]: line for line in finished.rollouts(step)}
        rows = finished.batch(step)
        kinds = {row["kind"] for row in rows}
        assert {"plain", "ncq"} <= kinds
        tokenizer = AutoTokenizer.from_pretrained(finished.world.student)
        for row in rows:
            assert row["loss_mask"] == row["response_mask"] == [1] * len(row["responses"])
            # What the student's server sampled, token by token: its log-probs are those of the trainer's policy.
            assert row["rollout_log_probs"] == pytest.approx(row["old_log_probs"], abs=1e-4)
            text = tokenizer.decode(row["responses"], skip_special_tokens=True)
            assert text in [response["text"] for response in texts[row["uid"]]["responses"]]
            prompt = tokenizer.decode(row["prompts"])
            for candidate in texts[row["uid"]]["candidates"]:
                assert candidate["text"] in prompt


def test_prompts_are_the_papers(finished):
    tokenizer = AutoTokenizer.from_pretrained(finished.world.student)
    seen = set()
    for step in STEPS:
        for row in finished.batch(step):
            kind, prompt = row["kind"], tokenizer.decode(row["prompts"])
            assert prompt.count(CLOSER.text) == 1
            assert prompt.endswith(f"{CLOSER.text}<|im_end|>\n<|im_start|>assistant\n")
            opened = prompt.count("<candidate>\n")
            assert opened == {"plain": 0, "bcq": 2}.get(kind, opened)
            assert prompt.startswith(BCQ.text[:20], prompt.find("Here are")) == (kind == "bcq")
            seen.add(kind)
    assert seen == {"plain", "bcq", "ncq"}


def test_reformulations_are_those_of_algorithm_1(finished):
    for step in STEPS:
        lines = finished.rollouts(step)
        plain = [line for line in lines if line["kind"] == "plain"]
        questions = [
            HardQuestion(
                line["prompt_id"],
                line["accuracy"],
                sum(r["reward"] == 0 for r in line["responses"]),
                sum(r["reward"] == 1 for r in line.get("teacher", {"responses": []})["responses"]),
            )
            for line in plain
        ]
        want = select_reformulations(questions, threshold=0.5, cap=4, seed=0, step=step)
        got = {Reformulation(line["prompt_id"], Kind(line["kind"])) for line in lines if line["kind"] != "plain"}
        # A teacher that was still at work when the step no longer needed it is not in the log; it decided nothing.
        assert got == set(want)


def test_candidates_say_what_the_prompt_says_of_them(finished):
    for step in STEPS:
        lines = finished.rollouts(step)
        plain = {line["prompt_id"]: line for line in lines if line["kind"] == "plain"}
        for line in lines:
            wrong = [r for r in plain[line["prompt_id"]]["responses"] if r["reward"] == 0]
            if line["kind"] == "bcq":
                assert sorted((c["source"], c["correct"]) for c in line["candidates"]) == [
                    ("student", False),
                    ("teacher", True),
                ]
            if line["kind"] == "ncq":
                assert [c["answer"] for c in line["candidates"]] == [r["answer"] for r in wrong]
                assert all(c["source"] == "student" for c in line["candidates"])


def test_advantages_are_the_two_step_estimators(finished):
    for step in STEPS:
        rows = finished.batch(step, padding=True)
        rewards = {}
        for line in finished.rollouts(step):
            rewards[line["uid"]] = [response["reward"] for response in line["responses"]]
        means = {uid: sum(r) / len(r) for uid, r in rewards.items()}
        inside = [r - means[uid] for uid, group in rewards.items() if len(set(group)) > 1 for r in group]
        sigma = math.sqrt(sum(a * a for a in inside) / len(inside))
        for row in rows:
            if row["padding"]:
                assert not any(row["advantages"])
                continue
            session = int(row["key"].split("_")[1])
            want = (rewards[row["uid"]][session] - means[row["uid"]]) / (sigma + 1e-6)
            assert row["advantages"] == pytest.approx([want] * len(row["advantages"]), rel=1e-4, abs=1e-6)


def test_buffer_follows_plain_groups_only(finished):
    check_buffer_follows_plain_groups(finished, STEPS)


def test_metrics_are_there_from_the_first_step(finished):
    metrics = finished.metrics()
    assert list(metrics) == [0, *STEPS]
    for step in STEPS:
        missing = [name for name in PROMISED if f"zppo/{name}" not in metrics[step]]
        assert not missing
        assert metric_page.missing(metric_page.always({"both", "stack"}), metrics[step]) == []
        assert metrics[step]["training/rollout_probs_diff_max"] < 1e-4
        assert metric_page.unlisted(metrics[step]) == []
        assert metrics[step]["actor/loss"] == pytest.approx(metrics[step]["actor/pg_loss"], rel=1e-4, abs=1e-7)
        assert metrics[step]["response_length/mean"] == pytest.approx(metrics[step]["zppo/tokens/student_mean"])
    assert any(name.startswith("val-core/price_list/acc") for name in metrics[0])
    assert any(name.startswith("val-core/price_list/acc") for name in metrics[3])
    assert list((finished.run_dir / "tensorboard").glob("events.*"))
    assert json.loads((finished.run_dir / "status.json").read_text())["stage"] == "done"


def test_validation_is_greedy_where_it_is_asked_to_be(finished):
    """verl's V1 looks at temperature, top-p and top-k only."""
    world = finished.world
    tokenizer, model = (kind.from_pretrained(world.student) for kind in (AutoTokenizer, AutoModelForCausalLM))
    rows = pd.read_parquet(finished.folder / "val.parquet")
    right = 0
    for _, row in rows.iterrows():
        messages = with_closer([dict(message) for message in row["prompt"]])
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        answer = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=32)[0, len(ids) :]
        text = tokenizer.decode(answer, skip_special_tokens=True)
        right += extract_answer(text) == str(row["reward_model"]["ground_truth"])
    assert finished.metrics()[0]["val-core/price_list/acc/mean@1"] == pytest.approx(right / len(rows))


def test_final_model_is_one_that_transformers_loads_and_that_has_learnt(finished):
    model = AutoModelForCausalLM.from_pretrained(finished.run_dir / "hf_model")
    before = AutoModelForCausalLM.from_pretrained(finished.world.student)
    moved = [not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert any(moved)
    tokenizer = AutoTokenizer.from_pretrained(finished.run_dir / "hf_model")
    assert tokenizer.chat_template


def test_any_checkpoint_can_be_taken_away_with_its_card(finished):
    assert export([str(finished.run_dir), "--step", "2", "--dtype", "float32"]) == 0
    folder = finished.run_dir / "export" / "step_2"
    weights = finished.weights(2)
    for name, weight in AutoModelForCausalLM.from_pretrained(folder).named_parameters():
        assert torch.equal(weight, weights[name])
    last = ModelCard.load(finished.run_dir / "hf_model" / "README.md")
    accuracy = finished.metrics()[3]["val-core/price_list/acc/mean@1"]
    assert "| `price_list` | 32 | " in last.content and f" {accuracy:.1%} (step 3) |" in last.content
    assert "- Method: `zppo` (ZPPO: prompt replay, BCQ and NCQ), of" in last.content
    assert (
        "(step 3)" not in (folder / "README.md").read_text()
        and "- Checkpoint: step 2" in (folder / "README.md").read_text()
    )
