"""Scores of a prompt: the probabilities that a teacher gives to tokens it did not write."""

import asyncio

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoModelForCausalLM
from verl.experimental.teacher_loop.teacher_manager import AsyncTeacherLLMServerManager
from verl.workers.config import RolloutConfig
from verl.workers.rollout.replica import RolloutMode

from recipe.cpu import hf_scores
from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_server import HFServer

PROMPTS = [[9, 10, 11, 12, 13], [20, 21], [30], list(range(8, 70))]


@pytest.fixture
def generator(qwen3_path, tokenizer):
    return HFGenerator(AutoModelForCausalLM.from_pretrained(qwen3_path), tokenizer, max_model_len=128)


def request(generator, prompt, k):
    return generator.request(prompt, SamplingParams(0.7, 0.9, 0, 1, prompt_logprobs=k))


def by_hand(generator, prompt):
    """(length - 1, V) log-probs at temperature 1, of the prompt alone."""
    with torch.inference_mode():
        return torch.log_softmax(generator.model(torch.tensor([prompt])).logits[0, :-1], -1)


@pytest.mark.parametrize("limit", [2**26, 1])  # all prompts in one forward pass, each in its own
def test_scores_are_the_models_whatever_else_is_in_the_batch(generator, monkeypatch, limit):
    monkeypatch.setattr(hf_scores, "_SCORED_LOGITS", limit)
    ks = (3, 0, 1, generator.vocab_size)
    responses = generator.generate([request(generator, prompt, k) for prompt, k in zip(PROMPTS, ks, strict=True)])
    for prompt, k, response in zip(PROMPTS, ks, responses, strict=True):
        ids, log_probs = response.prompt_scores
        assert ids.shape == log_probs.shape == (len(prompt), max(1, k))
        assert not ids[-1].any() and not log_probs[-1].any()
        want = by_hand(generator, prompt)
        if k:
            best = want.topk(k).values
            assert np.allclose(log_probs[:-1], best, atol=1e-5)
            assert np.allclose(want.gather(-1, torch.from_numpy(ids[:-1]).long()), best, atol=1e-5)
        else:
            assert ids[:-1, 0].tolist() == prompt[1:]
            assert np.allclose(log_probs[:-1, 0], want[range(len(prompt) - 1), prompt[1:]], atol=1e-5)
        assert (response.token_ids, response.log_probs, response.aborted) == ([], None, False)


def test_scoring_and_generating_share_a_batch(generator):
    plain = generator.request([9, 10], SamplingParams(1.0, 1.0, 0, 4, seed=1))
    alone = generator.generate([plain])[0]
    mixed = generator.generate([request(generator, [9, 10, 11], 2), plain, request(generator, [12, 13], 2)])
    assert mixed[1].token_ids == alone.token_ids and mixed[1].prompt_scores is None
    assert [len(r.prompt_scores.token_ids) for r in (mixed[0], mixed[2])] == [3, 2]


def test_more_tokens_than_the_vocabulary_has_are_refused(generator):
    with pytest.raises(ValueError, match=r"prompt_logprobs=\d+ is more than the model's vocabulary"):
        request(generator, [9], generator.vocab_size + 1)


@pytest.mark.parametrize("loss, width", [("k1", 1), ("forward_kl_topk", 4)])
def test_verls_teacher_client_understands_the_server(qwen3_path, loss, width):
    rollout = RolloutConfig(name="hf", prompt_length=32, response_length=32, dtype="float32", max_model_len=128)
    model = OmegaConf.create({"_target_": "verl.workers.config.HFModelConfig", "path": str(qwen3_path)})
    server = HFServer(rollout, model, RolloutMode.COLOCATED, 0)
    config = OmegaConf.create(
        {
            "distillation": {
                "_target_": "verl.workers.config.DistillationConfig",
                "enabled": False,
                "teacher_models": {"default": {"_target_": "verl.workers.config.DistillationTeacherModelConfig"}},
                "distillation_loss": {
                    "_target_": "verl.workers.config.DistillationLossConfig",
                    "loss_mode": loss,
                    "topk": 4,
                    "use_policy_gradient": loss == "k1",
                },
            }
        }
    )

    class Client:
        async def generate(self, request_id, mm_processor_output=None, **kwargs):
            return await server.generate(request_id=request_id, **kwargs)

    async def score():
        manager = AsyncTeacherLLMServerManager(config, {"default": Client()})
        return await manager.compute_teacher_logprobs_single(PROMPTS[0])

    ids, log_probs = asyncio.run(score())
    assert ids.shape == log_probs.shape == (5, width)
    assert (log_probs[:-1] < 0).all() and (ids[:-1] > 0).any()
