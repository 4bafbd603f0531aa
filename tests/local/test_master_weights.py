"""Weights in fp32 beside a model in bfloat16."""

import pytest
import torch

from recipe.zppo.local.master_weights import MasterWeights


def trained(dtype: torch.dtype, steps: int, state: list | None = None) -> tuple[torch.nn.Linear, MasterWeights]:
    """A layer that each step moves by 1e-3, less than half of what bfloat16 can tell from 1."""
    layer = torch.nn.Linear(4, 2).to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1.0)
    master = MasterWeights(layer)
    if state is not None:
        master.load_state(state)
    optimizer = torch.optim.SGD(master.weights, lr=1e-3)
    for _ in range(steps):
        layer(torch.zeros(1, 4, dtype=dtype)).sum().backward()
        master.take_gradients()
        optimizer.step()
        optimizer.zero_grad()
        master.give_to_model()
    return layer, master


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_updates_add_up(dtype: torch.dtype) -> None:
    layer, master = trained(dtype, 40)
    assert layer.bias.dtype == dtype
    torch.testing.assert_close(layer.bias.float(), torch.full((2,), 0.96), rtol=0, atol=4e-3)
    torch.testing.assert_close(master.state()[1], torch.full((2,), 0.96))
    assert layer.bias.grad is None


def test_without_them_they_would_not() -> None:
    one = torch.ones((), dtype=torch.bfloat16)
    for _ in range(40):
        one = one - 1e-3
    assert one == 1


def test_in_fp32_there_is_no_second_copy() -> None:
    layer, master = trained(torch.float32, 1)
    assert all(weight is parameter for weight, parameter in zip(master.weights, layer.parameters(), strict=True))


def test_a_model_in_fp32_is_what_weights_in_bf16_can_hold() -> None:
    layer = torch.nn.Linear(4, 2)
    drawn = layer.weight.detach().clone()
    master = MasterWeights(layer, torch.bfloat16)
    assert torch.equal(layer.weight, drawn.bfloat16().float()) and not torch.equal(layer.weight, drawn)
    layer(torch.ones(1, 4)).sum().backward()
    master.take_gradients()
    torch.optim.SGD(master.weights, lr=0.5).step()
    master.give_to_model()
    assert {weight.dtype for weight in master.weights} == {torch.bfloat16}
    assert torch.equal(layer.weight, (drawn.bfloat16() - 0.5).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_state_goes_on(dtype: torch.dtype) -> None:
    whole, _ = trained(dtype, 30)
    _, half = trained(dtype, 10)
    rest, _ = trained(dtype, 20, state=[weight.clone() for weight in half.state()])
    assert torch.equal(rest.bias, whole.bias)
