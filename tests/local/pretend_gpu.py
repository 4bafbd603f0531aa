"""A GPU that is not there: real arithmetic on the CPU, in tensors that say they are on `pretend:0`.

An operation on tensors of both devices fails, as it would on a GPU; so does taking one of them for a numpy array. What
a forgotten `.to(device)` does is seen without a GPU this way. Kernels, their speed and their rounding are not.

PyTorch's fake tensors do not serve: they have no values, and autograd of its CPU build ends the process on a tensor
that says `cuda`. A device of one's own can be registered once a process and not be taken back, and its autograd thread
aborts the interpreter's end; so only a process of its own imports this, and leaves by `os._exit`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
_setup_privateuseone_for_python_backend(NAME)

_CROSS = ("aten::copy_", "aten::_to_copy", "aten::to", "aten::index", "aten::index_put_", "aten::_index_put_impl_")
"""What takes tensors of both devices: copies, and indices of the CPU into tensors of the GPU."""


class MixedDevicesError(RuntimeError):
    """An operation got tensors of two devices."""


class Away(torch.Tensor):
    """A tensor on the CPU, `kept` in one that is said to be on `pretend:0`."""

    kept: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, kept: torch.Tensor) -> "Away":
        options = {"dtype": kept.dtype, "device": torch.device(NAME, 0), "storage_offset": kept.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, kept.shape, strides=kept.stride(), **options)

    def __init__(self, kept: torch.Tensor):
        self.kept = kept

    def __repr__(self, **_: Any) -> str:
        return f"Away({self.kept!r})"

    def tolist(self) -> Any:
        return self.kept.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy; copy it to the CPU first")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, leaves = func._schema.name, tree_flatten((args, kwargs))[0]
    if name == "aten::_fused_sdp_choice":
        return 0  # PyTorch's own arithmetic: the kernels for GPUs are not here
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    away = [tensor for tensor in tensors if isinstance(tensor, Away)]
    here = [tensor for tensor in tensors if not isinstance(tensor, Away) and tensor.dim()]  # numbers mix as they like
    if away and here and name not in _CROSS:
        raise MixedDevicesError(f"{name}: {', '.join(str(tensor.device) for tensor in tensors)}")
    asked = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    to_gpu = asked[0].type == NAME if asked else bool(away)
    if name == "aten::copy_":
        to_gpu = isinstance(args[0], Away)
    plain_args, plain_kwargs = tree_map(_here, (args, kwargs))
    result = func(*plain_args, **plain_kwargs)
    known = {id(tensor.kept): tensor for tensor in away}

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        return known[id(leaf)] if id(leaf) in known else Away(leaf)  # what worked in place gives what it got

    return tree_map(placed, result) if to_gpu else result


def _here(leaf: Any) -> Any:
    if isinstance(leaf, torch.device):
        return torch.device("cpu")
    return leaf.kept if isinstance(leaf, Away) else leaf


@contextmanager
def pretend_gpu() -> Iterator[None]:
    """Within it `pretend:0` can be asked for."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # so that `torch.tensor` comes through here on its way to a device
    try:
        with _Mode():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
