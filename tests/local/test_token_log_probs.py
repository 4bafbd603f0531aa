"""Log-probabilities in place of the logits: the values and the gradient of `log_softmax`."""

import pytest
import torch

from recipe.zppo.local import token_log_probs as module
from recipe.zppo.local.token_log_probs import token_log_probs


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_values_and_gradient_are_log_softmax_s(monkeypatch, temperature, rows) -> None:
    monkeypatch.setattr(module, "_SLICE", rows * 50)
    generator = torch.Generator().manual_seed(0)
    states, head = torch.randn(7, 16, generator=generator), torch.randn(50, 16, generator=generator)
    targets, weights = torch.randint(50, (7,), generator=generator), torch.randn(7, generator=generator)
    found, wanted = [[x.clone().requires_grad_() for x in (states, head)] for _ in range(2)]
    log_probs = torch.log_softmax(wanted[0] @ wanted[1].T / temperature, -1)
    chosen = log_probs.gather(-1, targets[:, None])[:, 0]
    (chosen * weights).sum().backward()
    ours, entropies = token_log_probs(found[0] @ found[1].T, targets, temperature)
    (ours * weights).sum().backward()
    torch.testing.assert_close(ours, chosen)
    torch.testing.assert_close(entropies, torch.special.entr(log_probs.exp()).sum(-1))
    assert not entropies.requires_grad
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_of_bf16_logits_they_are_fp32() -> None:
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    chosen, _ = token_log_probs(logits, torch.tensor([0, 3, 8]))
    torch.testing.assert_close(chosen, torch.log_softmax(logits.float(), -1)[range(3), [0, 3, 8]])
    chosen.sum().backward()
    assert chosen.dtype == torch.float32 and logits.grad.dtype == torch.bfloat16
