"""CUDA's names answered by the CPU, for code that writes them out: Megatron-Core asks for `device="cuda"`.

Only inside `with CudaOnCpu():`, and in that thread as far as tensors go. `torch.cuda.is_available()` stays false, so
that code with a way of its own for the CPU takes it.
"""

import contextlib
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What is asked of a device, where there is none to ask it of."""


class _TensorsOnCpu(TorchFunctionMode):
    """Tensors meant for CUDA are made on, or stay on, the CPU; their type is named as CUDA's."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.cuda:
            return args[0]
        if _is_cuda(kwargs.get("device")):
            kwargs["device"] = "cpu"
        if func is torch.Tensor.to:
            args = tuple("cpu" if _is_cuda(argument) else argument for argument in args)
        result = func(*args, **kwargs)
        if func is torch.Tensor.type and isinstance(result, str):
            return result.replace("torch.", "torch.cuda.")
        return result


def _is_cuda(device: object) -> bool:
    return str(device).startswith("cuda") if isinstance(device, str | torch.device) else False


_ANSWERS: dict[str, Any] = {
    "current_device": lambda: "cpu",  # given to `device=`, where an index would mean an accelerator
    "default_generators": {"cpu": torch.default_generator},
    "get_rng_state": lambda device=None: torch.get_rng_state(),
    "manual_seed": lambda seed: torch.manual_seed(seed),
    "set_device": _nothing,
    "synchronize": _nothing,
    "Stream": torch.cpu.Stream,
    "current_stream": torch.cpu.current_stream,
    "stream": torch.cpu.stream,
}
"""Names of `torch.cuda`."""


class CudaOnCpu(contextlib.ExitStack):
    """The context. It may be entered within itself.

    Args:
        calls: modules that imported `torch.cuda._lazy_call` by name. Without a device torch keeps what it is given to
            call for ever; here it is called at once.
    """

    def __init__(self, *calls: ModuleType):
        super().__init__()
        self._calls = calls

    def __enter__(self) -> "CudaOnCpu":
        self.enter_context(mock.patch.multiple(torch.cuda, **_ANSWERS))
        self.enter_context(mock.patch.object(torch.cuda.random, "get_rng_state", _ANSWERS["get_rng_state"]))
        for module in self._calls:
            self.enter_context(mock.patch.object(module, "_lazy_call", lambda function, **_: function()))
        self.enter_context(_TensorsOnCpu())
        return self
