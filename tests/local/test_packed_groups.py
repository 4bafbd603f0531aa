"""Responses side by side behind one prompt are to the model what each is alone."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig, Qwen3ForCausalLM

from recipe.zppo.local import packed_groups
from recipe.zppo.local.packed_groups import Trajectory, can_share, chunks
from tests.tiny_models import make_qwen3

VOCABULARY = 50


@pytest.fixture(scope="module")
def model() -> Qwen3ForCausalLM:
    shape = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_key_value_heads=2, head_dim=8)
    return make_qwen3(VOCABULARY, initializer_range=0.2, **shape)


def tokens(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, VOCABULARY - 1), min_size=low, max_size=high)


@st.composite
def batches(draw: st.DrawFn) -> list[Trajectory]:
    """Responses to a few prompts in any order; some begin with tokens that were given, some are only such."""
    prompts = draw(st.lists(tokens(1, 9), min_size=1, max_size=4))
    batch = []
    for _ in range(draw(st.integers(1, 12))):
        response = draw(tokens(1, 9))
        given_tokens = draw(st.integers(0, len(response)))
        batch.append(Trajectory(draw(st.sampled_from(prompts)), response, given_tokens, []))
    return batch


def alone(model: Qwen3ForCausalLM, sequence: Trajectory) -> torch.Tensor:
    """Logits that predict the loss tokens, from a pass with nothing else in it."""
    ids = sequence.prompt_ids + sequence.response_ids
    first = len(sequence.prompt_ids) + sequence.loss_from - 1
    return model(torch.tensor([ids])).logits[0, first : len(ids) - 1]


@settings(max_examples=60, deadline=None)
@given(
    batch=batches(), share=st.booleans(), row_tokens=st.sampled_from([8, 20, 1024]), chunk=st.sampled_from([16, 8192])
)
def test_logits_are_those_of_each_sequence_alone(model, batch, share, row_tokens, chunk) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_groups, "_ROW_TOKENS", row_tokens)
        patch.setattr(packed_groups, "_CHUNK_TOKENS", chunk)
        found = list(chunks(batch, 0, VOCABULARY, share=share))
    assert Counter(index for part in found for index in part.order) == Counter(range(len(batch)))
    for part in found:
        with torch.no_grad():
            logits = model.get_output_embeddings()(part.hidden(model))
            want = torch.cat([alone(model, batch[index]) for index in part.order])
        torch.testing.assert_close(logits, want, rtol=1e-4, atol=1e-4)
        assert part.targets.tolist() == [t for i in part.order for t in batch[i].response_ids[batch[i].loss_from :]]
        losses = [len(batch[i].response_ids) - batch[i].loss_from for i in part.order]
        assert part.sequences.tolist() == [i for i, n in zip(part.order, losses, strict=True) for _ in range(n)]


def test_the_gradient_is_the_same_and_a_group_computes_its_prompt_once(model) -> None:
    generator = torch.Generator().manual_seed(0)
    draw = lambda size: torch.randint(VOCABULARY, (size,), generator=generator).tolist()  # noqa: E731
    batch = [Trajectory(prompt, draw(5 + i), 0, []) for prompt in (draw(20), draw(21)) for i in range(8)]
    gradients, computed = [], []
    for share in (True, False):
        model.zero_grad()
        parts = list(chunks(batch, 0, VOCABULARY, share=share))
        for part in parts:
            logits = model.get_output_embeddings()(part.hidden(model))
            torch.nn.functional.cross_entropy(logits, part.targets, reduction="sum").backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
        computed.append(sum(part.input_ids.numel() for part in parts))
    for packed, single in zip(*gradients, strict=True):
        torch.testing.assert_close(packed, single, rtol=1e-4, atol=1e-4)
    assert computed[0] < 20 + 21 + 2 * sum(range(5, 13)) + 16 < computed[1] / 2


def test_alone_in_a_row_causal_order_says_it_all(model, monkeypatch) -> None:
    """A mask of all pairs would take twice the time of long sequences."""
    seen, attend = [], torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: seen.append(kwargs.get("attn_mask")) or attend(*args, **kwargs),
    )
    batch = [Trajectory([1] * 5, [2] * (3 + i), 0, []) for i in range(3)]
    for part in chunks(batch, 0, VOCABULARY, share=False):
        part.hidden(model)
    assert seen and all(mask is None for mask in seen)


def test_a_pass_holds_a_bounded_number_of_logits(model, monkeypatch) -> None:
    monkeypatch.setattr(packed_groups, "_CHUNK_LOGITS", 40 * VOCABULARY)
    batch = [Trajectory([i], [1] * 10, 0, []) for i in range(20)]
    sizes = [len(part.targets) for part in chunks(batch, 0, VOCABULARY, share=True)]
    assert sum(sizes) == 200 and max(sizes) == 40


def test_models_with_recurrent_layers_do_not_share(model) -> None:
    assert can_share(model)
    hybrid = Qwen3_5ForCausalLM(
        Qwen3_5TextConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            layer_types=["linear_attention", "full_attention"],
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        )
    )
    assert not can_share(hybrid)
