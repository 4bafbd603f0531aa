"""Weights in one precision beside a model that computes in another.

In fp32 beside a model in bfloat16, small updates do not vanish in rounding. In bfloat16 beside a model in fp32, the
model is what such weights can hold: verl's engines have it so with `zppo.optimizer=anyprecision`.
"""

from typing import Any

import torch


class MasterWeights:
    """The trainable weights of a model, to be given to an optimiser. A model in their precision has no others.

    Attributes:
        weights: one for each trainable parameter, in their order; the parameters themselves if they are in `dtype`.
    """

    def __init__(self, model: Any, dtype: torch.dtype = torch.float32):
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._apart = any(p.dtype != dtype for p in self._parameters)
        self.weights = (
            [p.detach().to(dtype, copy=True).requires_grad_() for p in self._parameters]
            if self._apart
            else self._parameters
        )
        self.give_to_model()

    def take_gradients(self) -> None:
        """Move the model's gradients to the weights; call it before the optimiser steps."""
        if self._apart:
            for weight, parameter in zip(self.weights, self._parameters, strict=True):
                weight.grad = None if parameter.grad is None else parameter.grad.to(weight.dtype)
                parameter.grad = None

    @torch.no_grad()
    def give_to_model(self) -> None:
        """Copy the weights into the model; call it after the optimiser has stepped."""
        if self._apart:
            for weight, parameter in zip(self.weights, self._parameters, strict=True):
                parameter.copy_(weight)

    @torch.no_grad()
    def load_state(self, state: list[torch.Tensor]) -> None:
        for weight, saved in zip(self.weights, state, strict=True):
            weight.copy_(saved)
        self.give_to_model()

    def state(self) -> list[torch.Tensor]:
        return [weight.detach() for weight in self.weights]
