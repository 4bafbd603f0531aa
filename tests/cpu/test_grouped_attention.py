"""One new token of grouped-query attention is what transformers' own attention makes of it."""

from typing import Any

import pytest
import torch
from transformers import Qwen3ForCausalLM

from recipe.cpu import hf_session
from recipe.cpu.grouped_attention import GROUPED
from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from tests.tiny_models import make_qwen3, make_tokenizer


def model(implementation: str, kv_heads: int) -> Qwen3ForCausalLM:
    shape = dict(num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=kv_heads, head_dim=8)
    changes = shape | dict(initializer_range=0.2, attn_implementation=implementation)
    return make_qwen3(len(make_tokenizer()), **changes)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_responses_and_log_probs_are_the_same(kv_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of several lengths, so that some rows are padded; by transformers' own loop."""
    monkeypatch.setattr(hf_session, "can_decode", lambda model: False)
    calls = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def recorded(query: torch.Tensor, key: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append((query.shape, key.shape))
        return attend(query, key, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", recorded)
    answers = []
    for grouped in (False, True):
        calls.clear()
        generator = HFGenerator(model("sdpa", kv_heads), make_tokenizer(), max_model_len=64)
        if not grouped:
            generator.model.set_attn_implementation("sdpa")
        params = [SamplingParams(1.0, 1.0, 0, max_tokens=12, seed=seed, logprobs=True) for seed in range(5)]
        prompts = [list(range(8, 8 + length)) for length in (3, 9, 9, 1, 14)]
        requests = [generator.request(prompt, each) for prompt, each in zip(prompts, params, strict=True)]
        answers.append(generator.generate(requests))
    for own, grouped in zip(*answers, strict=True):
        assert own.token_ids == grouped.token_ids
        assert grouped.log_probs == pytest.approx(own.log_probs, abs=1e-5)
    assert generator.model.config._attn_implementation == GROUPED
    grouped_calls = [key for query, key in calls if query == (5, kv_heads, 6 // kv_heads, 8)]
    assert grouped_calls and all(key[1] == kv_heads for key in grouped_calls)


def test_other_implementations_are_left_alone() -> None:
    eager = model("eager", 2)
    HFGenerator(eager, make_tokenizer(), max_model_len=64)
    assert eager.config._attn_implementation == "eager"
