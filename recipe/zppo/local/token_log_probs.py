"""Log-probabilities of tokens and entropies from logits, in the memory of the logits.

`log_softmax` and what autograd keeps of it are several tensors of tokens x vocabulary, each 50 MB for 256 tokens of
SmolLM2. Here the logits themselves become the probabilities, and these the gradient.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

_SLICE = 2**19
"""Elements that are worked on together: 2 MiB, which stay in a processor's cache."""


def token_log_probs(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of ``targets`` (N,) under softmax(logits / temperature), and the entropies of it in nats; both (N,), fp32.

    Args:
        logits: (N, V), finite, of any floating type. They are gone afterwards: fp32 ones are overwritten.

    The log-probabilities have a gradient, once; the entropies have none.
    """
    return _TokenLogProbs.apply(logits, targets, temperature)


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities = logits.detach().float()
        rows = max(1, _SLICE // probabilities.shape[-1])
        entropies = []
        chosen = []
        for part, wanted in zip(probabilities.split(rows), targets.split(rows), strict=True):
            if temperature != 1:
                part.div_(temperature)
            part.sub_(part.logsumexp(-1, keepdim=True))
            chosen.append(part.gather(-1, wanted[:, None])[:, 0])
            exponentials = part.exp()
            entropies.append(-torch.linalg.vecdot(exponentials, part))
            part.copy_(exponentials)
        ctx.save_for_backward(probabilities, targets)
        ctx.temperature, ctx.dtype = temperature, logits.dtype
        entropy = torch.cat(entropies)
        ctx.mark_non_differentiable(entropy)
        return torch.cat(chosen), entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, _: Any) -> tuple[torch.Tensor, None, None]:
        probabilities, targets = ctx.saved_tensors
        share = (gradient / ctx.temperature)[:, None]
        by_logit = probabilities.mul_(-share).scatter_add_(-1, targets[:, None], share)
        return by_logit.to(ctx.dtype), None, None
