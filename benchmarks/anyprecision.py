"""AnyPrecisionAdamW, slowly: one tensor, written from its public description, to compare `zppo.optimizer` with.

Moments and compensation buffer have a type of their own, bf16 by default. The moments are plain running means, which
the step debiases. The update goes into the buffer; the buffer goes into the weights, and keeps what they lost in
rounding (Kahan summation). Weight decay multiplies the weights themselves.
"""

import torch
from torch import Tensor

BETAS, EPS = (0.9, 0.999), 1e-8


class AnyPrecisionAdamW:
    """`step` moves `weight` by its `grad`; ``state`` has the names of `torch.optim.AdamW`'s."""

    def __init__(self, weight: Tensor, lr: float, weight_decay: float, moments: torch.dtype = torch.bfloat16):
        self.weight, self.lr, self.weight_decay, self.updates = weight, lr, weight_decay, 0
        self.buffer = torch.zeros_like(weight)
        self.state = {weight: {key: torch.zeros_like(weight, dtype=moments) for key in ("exp_avg", "exp_avg_sq")}}
        self.state[weight]["compensation"] = self.buffer

    @torch.no_grad()
    def step(self) -> None:
        self.updates += 1
        grad, (first, second, _) = self.weight.grad, self.state[self.weight].values()
        self.weight.mul_(1 - self.lr * self.weight_decay)
        first.mul_(BETAS[0]).add_(grad, alpha=1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
        root = second.sqrt() / (1 - BETAS[1] ** self.updates) ** 0.5 + EPS
        update = first / root / (1 - BETAS[0] ** self.updates) * self.lr
        self.buffer.sub_(update)
        before = self.weight.clone()
        self.weight.add_(self.buffer)
        self.buffer.add_(before - self.weight)
