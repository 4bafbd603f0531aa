"""A copy of a model's matrices for as long as it generates: in the order in which oneDNN reads them, or in bfloat16.

A token of few rows is bound by reading the weights. In rows as they lie, they are reordered at every call; reordered
once, a product of 32 rows takes 0.7 to 0.8 of the time, one of 8 rows 0.6. The copy is dropped when nothing runs, so
that it is not there in an update, and never outlives a change of the weights.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class PackedLinears:
    """The linear layers of ``model``, whose products are in ``dtype`` while they are packed.

    Everything between the products stays in the model's own precision.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype | None = None):
        self._linears = [module for module in model.modules() if type(module) is nn.Linear]
        self._dtype = dtype
        self.packed = False

    def pack(self) -> None:
        if not self.packed:
            for linear in self._linears:
                if (forward := _packed(linear, self._dtype or linear.weight.dtype)) is not None:
                    linear.forward = forward
        self.packed = True

    def release(self) -> None:
        for linear in self._linears:
            linear.__dict__.pop("forward", None)
        self.packed = False


def _packed(linear: nn.Linear, dtype: torch.dtype) -> Any:
    """A forward function of ``linear`` as it is now; None if its own is as good."""
    weight, own = linear.weight.detach().to(dtype), linear.weight.dtype
    bias = None if linear.bias is None else linear.bias.detach().to(dtype)
    if not _reorders(weight):
        return None if dtype == own else lambda x: F.linear(x.to(dtype), weight, bias).to(x.dtype)
    reordered, product = torch.ops.mkldnn._reorder_linear_weight(weight), torch.ops.mkldnn._linear_pointwise
    return lambda x: product(x.to(dtype), reordered, bias, "none", [], "").to(x.dtype)


def _reorders(weight: torch.Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
