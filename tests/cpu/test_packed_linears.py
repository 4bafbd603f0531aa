"""Matrices that are copied for generation: the same products, and no trace of the copy afterwards."""

import dataclasses

import pytest
import torch

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_requests import Request
from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.packed_linears import PackedLinears
from tests.tiny_models import make_qwen3

PARAMS = SamplingParams(0.0, 1.0, 0, 4, logprobs=True)


def has_copies(model: torch.nn.Module) -> bool:
    return any("forward" in module.__dict__ for module in model.modules())


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_products_are_those_of_the_copy_until_it_is_dropped(dtype):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(40, 24), torch.nn.Linear(24, 16, bias=False))
    packed, x = PackedLinears(layers, dtype), torch.randn(2, 5, 40)
    with torch.no_grad():
        want = layers(x)
        packed.pack()
        got = layers(x)
        torch.testing.assert_close(got, want, **({"atol": 2e-2, "rtol": 2e-2} if dtype else {}))
        assert got.dtype == torch.float32
        assert dtype is None or not torch.equal(got, want)
        packed.release()
        layers[0].weight.mul_(2)
        layers[0].bias.mul_(2)
        torch.testing.assert_close(layers(x), want * 2)


def test_new_weights_count_at_the_next_answer_and_gradients_flow(tokenizer):
    model = make_qwen3(len(tokenizer))
    generator = HFGenerator(model, tokenizer, max_model_len=64)
    request = Request([9, 10, 11], PARAMS)
    (before,) = generator.generate([request])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    (after,) = generator.generate([request])
    assert before.log_probs != pytest.approx(after.log_probs, abs=1e-3)
    assert not has_copies(model)
    model(torch.tensor([[9, 10]])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_failing_forward_pass_leaves_no_copy_behind(tokenizer):
    model = make_qwen3(len(tokenizer))
    generator = HFGenerator(model, tokenizer, max_model_len=64)
    with pytest.raises(IndexError):
        generator.generate([Request([10**6], PARAMS)])
    assert not has_copies(model)


def test_a_caller_that_fails_between_tokens_leaves_no_copy_behind(tokenizer):
    model = make_qwen3(len(tokenizer))
    calls = iter([False])
    with pytest.raises(StopIteration):
        HFGenerator(model, tokenizer, max_model_len=64).generate([Request([9, 10, 11], PARAMS)], lambda: next(calls))
    assert not has_copies(model)


def test_a_session_that_is_emptied_by_forgetting_leaves_no_copy_behind(tokenizer):
    model = make_qwen3(len(tokenizer))
    session = HFGenerator(model, tokenizer, max_model_len=64).session(max_seqs=1)
    one, other = (session.add(Request([9, 10, 11], PARAMS)) for _ in range(2))
    while one not in session.step():
        assert has_copies(model)
    assert session.forget({other}) == {other}
    assert not session and not has_copies(model)


def test_scores_that_fail_beside_a_running_row_leave_no_copy_behind(tokenizer):
    model = make_qwen3(len(tokenizer))
    session = HFGenerator(model, tokenizer, max_model_len=64).session()
    session.add(Request([9, 10, 11], PARAMS))
    session.step()
    assert has_copies(model)
    session.add(Request([10**6, 9], dataclasses.replace(PARAMS, prompt_logprobs=1)))
    with pytest.raises(IndexError):
        session.step()
    assert not has_copies(model)


def test_a_generator_in_bfloat16_leaves_the_model_in_fp32(tokenizer):
    model = make_qwen3(len(tokenizer))
    request = Request([9, 10, 11], PARAMS)
    (own,) = HFGenerator(model, tokenizer, max_model_len=64).generate([request])
    (rounded,) = HFGenerator(model, tokenizer, max_model_len=64, dtype=torch.bfloat16).generate([request])
    assert rounded.token_ids[0] == own.token_ids[0]
    assert rounded.log_probs[0] == pytest.approx(own.log_probs[0], abs=0.05)
    assert rounded.log_probs[0] != own.log_probs[0]
    assert model.dtype == torch.float32
