"""Generation and updates in precisions of their own."""

import pytest
import torch
from omegaconf import OmegaConf

from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo.local.models import LocalModel

PARAMS = SamplingParams(0.0, 1.0, 0, 1, logprobs=True)


@pytest.mark.parametrize(
    "rollout, update, student, held, rounds",
    [
        ("float32", "fp32", True, torch.float32, False),
        ("bfloat16", "fp32", True, torch.float32, True),
        ("bfloat16", "bf16", True, torch.bfloat16, True),
        ("float32", "bf16", True, torch.float32, False),
        ("bfloat16", None, True, torch.bfloat16, True),
        ("bfloat16", "fp32", False, torch.bfloat16, True),  # a teacher is not updated
    ],
)
def test_a_student_is_held_in_the_wider_precision(qwen3_path, rollout, update, student, held, rounds):
    settings = {"dtype": rollout, "max_num_seqs": 8, "max_num_batched_tokens": 1024}
    actor = {"fsdp_config": {"mixed_precision": update and {"param_dtype": update}}}
    config = OmegaConf.create(
        {"actor_rollout_ref": {"model": {}, "rollout": settings, "actor": actor}, "trainer": {"device": "cpu"}}
    )
    loaded = LocalModel.load(str(qwen3_path), config, 64, student=student)
    assert loaded.model.dtype == held
    (response,) = loaded.server.generator.generate([Request([9, 10, 11], PARAMS)])
    with torch.inference_mode():
        logits = loaded.model.float()(torch.tensor([[9, 10, 11]])).logits[0, -1]
    exact = float(torch.log_softmax(logits, -1).max())
    assert response.log_probs == pytest.approx([exact], abs=0.1)
    assert (abs(response.log_probs[0] - exact) > 1e-5) == rounds
