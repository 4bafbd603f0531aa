"""Two steps of Hint with a LoRA student on the whole stack, and what they leave.

Sharding and resuming are in tests/on_verl/test_lora_engine.py.
"""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.e2e.conftest import Training, check_buffer_follows_plain_groups

pytestmark = pytest.mark.e2e

STEPS = (1, 2)

LORA = (
    "actor_rollout_ref.model.lora_rank=8",
    "actor_rollout_ref.model.lora_alpha=16",
    # Of full fine-tuning it would hardly move an adapter, which starts at nothing.
    "actor_rollout_ref.actor.optim.lr=5e-3",
)


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory):
    training = Training(world, tmp_path_factory.mktemp("lora"))
    settings = ("method=hint", *LORA, "trainer.total_training_steps=2", "zppo.export.hf_model=true")
    training.run(*settings, env=training.spied())
    return training


def test_hint(finished):
    """What defines the method (App. D.2, Alg. 5), in what it trained on."""
    training, hinted = finished, 0
    tokenizer = AutoTokenizer.from_pretrained(training.world.student)
    for step in STEPS:
        lines = {line["uid"]: line for line in training.rollouts(step)}
        assert {line["kind"] for line in lines.values()} <= {"plain", "hint"}
        plain = {line["prompt_id"]: line for line in lines.values() if line["kind"] == "plain"}
        groups = [line for line in lines.values() if line["kind"] == "hint"]
        assert len({line["prompt_id"] for line in groups}) == len(groups) <= 4
        for line in groups:
            question = plain[line["prompt_id"]]
            assert question["accuracy"] < 0.5
            assert any(r["reward"] == 1 for r in question["teacher"]["responses"])
            assert line["hint"] and "\\boxed" not in line["hint"]
            assert len(line["responses"]) == 4
        rows = training.batch(step)
        assert len(rows) == sum(len(line["responses"]) for line in lines.values())
        for row in rows:
            assert row["loss_mask"] == row["response_mask"] == [1] * len(row["responses"])
            prompt = tokenizer.decode(row["prompts"])
            hint = lines[row["uid"]].get("hint")
            assert prompt.count("<hint>\n") == (row["kind"] == "hint")
            if row["kind"] == "hint":
                assert f"\n\n<hint>\n{hint}\n</hint>\n\n" in prompt
                hinted += 1
        metrics = training.metrics()[step]
        assert metrics["zppo/hint/count"] == len(groups)
        assert metrics["zppo/hint/leaked"] >= 0
    assert hinted
    assert training.num_updates(STEPS) == ([4, 4], 8)
    check_buffer_follows_plain_groups(training, STEPS)


def test_a_lora_student_trains_is_followed_by_its_server_and_is_exported(finished, world):
    run = finished

    # Only the adapter trains.
    before = dict(AutoModelForCausalLM.from_pretrained(world.student).named_parameters())
    first, second = run.weights(1), run.weights(2)
    adapters = {name for name in second if "lora_" in name}
    assert adapters == {name for name in second if name not in _base_names(second)}
    assert all(not torch.equal(first[name], second[name]) for name in adapters if "lora_B" in name)
    for name in set(second) - adapters:
        original = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert torch.equal(second[name], before.get(original, before["model.embed_tokens.weight"])), name
    states = run.optimizer(2).values()
    assert {int(state["step"]) for state in states} == {4 * 2}
    assert len(states) == len(adapters)

    # The server samples from base plus adapter: in step 2 that differs from the base.
    metrics = run.metrics()
    assert sorted(metrics) == list(STEPS)
    for step in STEPS:
        assert metrics[step]["training/rollout_probs_diff_max"] < 1e-4
        assert metrics[step]["actor/grad_norm"] > 0

    # The export is the trained policy, whole; the adapter lies beside it.
    scale = 16 / 8
    merged = dict(
        AutoModelForCausalLM.from_pretrained(run.run_dir / "hf_model", dtype=torch.float32).named_parameters()
    )
    moved = 0
    for name, weight in before.items():
        lora = f"base_model.model.{name}".removesuffix(".weight") + ".lora_{}.default.weight"
        want = weight.detach().float()
        spread = torch.zeros_like(want)
        if lora.format("A") in second:
            a, b = second[lora.format("A")].float(), second[lora.format("B")].float()
            want = want + scale * b @ a
            # What cancels in the product's sums has been rounded all the same.
            spread = scale * b.abs() @ a.abs()
            moved += not torch.equal(want.bfloat16(), weight.bfloat16())
        # bfloat16 rounds by 2**-8 at most (1.02: by what rounded parts are larger): the weight, the adapter's two
        # factors, and the sum.
        bound = 1.02 * 2**-8 * (weight.detach().abs() + 2 * spread + want.abs())
        assert bool(((merged[name] - want).abs() <= bound).all()), name
    assert moved == len(adapters) // 2
    assert not (run.run_dir / "hf_model/lora_adapter").exists()
    config = json.loads((run.run_dir / "lora_adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert len(load_file(run.run_dir / "lora_adapter/adapter_model.safetensors")) == len(adapters)
    again = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(world.student, dtype=torch.bfloat16), run.run_dir / "lora_adapter"
    ).merge_and_unload()
    assert all(torch.equal(weight.float(), merged[name]) for name, weight in again.named_parameters())


def _base_names(state: dict) -> set[str]:
    return {name for name in state if ".lora_A." not in name and ".lora_B." not in name}
