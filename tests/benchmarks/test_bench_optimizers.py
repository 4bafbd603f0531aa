"""`zppo.optimizer=anyprecision` is AnyPrecisionAdamW: compared with a slow one that is written from its description."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity

from benchmarks import bench_optimizers as bench


def moved(name: str, start: Tensor, grads: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Displacement of the weights, and together with what the buffer has yet to add; both in learning rates."""
    parameter, optimizer = bench.build(name, start)
    bench.train(parameter, optimizer, grads)
    visible = parameter.detach().float() - start
    return visible / bench.LR, (visible + bench.kept_back(optimizer, parameter)) / bench.LR


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-5, 1e-3, 1.0]),
    mean=st.sampled_from([0.0, 0.5, -2.0]),
    weight=st.sampled_from([1e-4, 0.02, 1.0]),
    updates=st.integers(1, 20),
)
def test_it_moves_weights_as_the_described_one_does(seed, scale, mean, weight, updates) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = (weight * torch.randn(256, generator=generator)).bfloat16().float()
    grads = [(scale * (mean + torch.randn(256, generator=generator))).bfloat16() for _ in range(updates)]
    found, described = moved("anyprecision", start, grads)[1], moved("described", start, grads)[1]
    # Each update is at most about a learning rate; both round moments, buffers and weights to 8 bits.
    assert (found - described).abs().max() < 0.05 * updates + 0.02
    assert cosine_similarity(found, described, dim=0) > 0.995


def test_after_a_hundred_updates_most_is_in_the_buffer() -> None:
    start, grads = bench.weights(), bench.gradients(1, 100)
    whole = {name: moved(name, start, grads) for name in ("fp32", "anyprecision", "described", "nearest")}
    fp32 = whole["fp32"][0].mean().item()
    assert fp32 == pytest.approx(-44.4, abs=0.5)
    for name in ("anyprecision", "described"):
        visible, all_of_it = whole[name]
        assert all_of_it.mean().item() == pytest.approx(fp32, rel=0.02)
        assert visible.mean().item() == pytest.approx(-29, abs=1)
        kept, weight = (all_of_it - visible) * bench.LR, start + visible * bench.LR
        assert (kept.abs() <= 2**-8 * weight.abs() + 1e-9).all()  # half a step of bf16 at most
        assert (visible[start.abs() > 0.02] == 0).float().mean() > 0.98
    assert whole["nearest"][0].mean() > -1


def test_weight_decay_is_lost_in_bf16_and_kept_in_fp32() -> None:
    """1 - lr x decay is 1 in bf16; as in AnyPrecisionAdamW, the buffer has no part in it."""
    start, none = bench.weights(), [torch.zeros(bench.SIZE, dtype=torch.bfloat16)] * 10
    for name in ("anyprecision", "described"):
        assert not moved(name, start, none)[1].any()
    assert moved("fp32", start, none)[0].any()
