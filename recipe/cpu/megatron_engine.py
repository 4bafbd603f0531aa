"""verl's Megatron engine for a language model, registered for the device `cpu`. Imports Megatron: import it late."""

import functools
import sys
import types
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from megatron.core.tensor_parallel import random as megatron_random
from verl.workers.engine import EngineRegistry
from verl.workers.engine.megatron import MegatronEngineWithLMHead

from recipe.cpu.cuda_on_cpu import CudaOnCpu
from recipe.cpu.megatron_layers import block_spec


def on_cpu() -> CudaOnCpu:
    return CudaOnCpu(megatron_random)


@EngineRegistry.register(model_type="language_model", backend="megatron", device="cpu")
class CpuMegatronEngineWithLMHead(MegatronEngineWithLMHead):
    """verl's engine with Megatron's local layers."""

    def __init__(self, *args: Any, **kwargs: Any):
        with on_cpu():
            super().__init__(*args, **kwargs)

    def _build_tf_config(self) -> None:
        import_bridge()
        if not self.engine_config.override_transformer_config.get("bf16", True):
            # verl's schema has bfloat16 and float16 only (McoreEngineConfig.__post_init__), the engine takes any.
            object.__setattr__(self.engine_config, "dtype", "float32")
        super()._build_tf_config()
        self.provider.transformer_layer_spec = block_spec

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """verl's, for PyTorch's Adam, which Megatron takes where TransformerEngine and Apex are not installed.

        Megatron-Core 0.18 asks a new optimiser for the one number of its updates (distrib_optimizer.py:793), and gives
        a used one back the number that it had before loading (:1897). Of float32 weights the optimiser has views that
        ask for gradients, into which it copies as they are (:1169), hence without gradients.
        """
        with on_cpu(), torch.no_grad():
            optimizers = getattr(self.optimizer, "chained_optimizers", [self.optimizer])
            for optimizer in optimizers:
                _begin_states(optimizer.optimizer)
            super().load_checkpoint(*args, **kwargs)
            for optimizer in optimizers:
                _count_updates(optimizer.optimizer)

    def get_per_tensor_param(self, *args: Any, **kwargs: Any) -> tuple[Iterator[tuple[str, torch.Tensor]], Any]:
        with on_cpu():
            weights, peft = super().get_per_tensor_param(*args, **kwargs)
        return _stepwise(iter(weights)), peft


def _begin_states(adam: torch.optim.Optimizer) -> None:
    """As before the first update."""
    for group in adam.param_groups:
        for weight in group["params"]:
            if not adam.state[weight]:
                adam.state[weight] = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
                adam.state[weight]["step"] = torch.tensor(0.0)


def _count_updates(adam: torch.optim.Optimizer) -> None:
    """Megatron saves their number with the groups; each weight counts with a tensor of its own."""
    for group in adam.param_groups:
        for weight in group["params"]:
            if "step" in group:
                adam.state[weight]["step"] = torch.tensor(float(group["step"]))


def _stepwise(items: Iterator[Any]) -> Iterator[Any]:
    """What is computed for each item is computed on the CPU; what its taker does with it is not touched."""
    end = object()
    while True:
        with on_cpu():
            item = next(items, end)
        if item is end:
            return
        yield item


def _on_cpu(method: Callable) -> Callable:
    @functools.wraps(method)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with on_cpu():
            return method(*args, **kwargs)

    return inside


for name in (
    "initialize",
    "forward_backward_batch",
    "optimizer_zero_grad",
    "optimizer_step",
    "lr_scheduler_step",
    "save_checkpoint",
    "to",
):
    setattr(CpuMegatronEngineWithLMHead, name, _on_cpu(getattr(MegatronEngineWithLMHead, name)))


def import_bridge() -> None:
    """Import Megatron-Bridge where TransformerEngine is not installed.

    Of 0.5.1 `megatron/bridge/peft/lora_layers.py:20` imports it without asking, for classes that it derives from. A
    stand-in is there while Megatron-Bridge is imported and is gone afterwards, so that all that looks later finds none.
    """
    if "megatron.bridge" in sys.modules or find_spec("transformer_engine") is not None:
        return
    # These look now, and find none.
    import megatron.core.extensions.transformer_engine
    import megatron.core.utils
    import modelopt.torch.quantization  # noqa: F401

    megatron.core.utils.get_te_version()
    linears = dict.fromkeys(("Linear", "LayerNormLinear", "GroupedLinear"), torch.nn.Linear)
    pytorch = types.ModuleType("transformer_engine.pytorch")
    vars(pytorch).update(linears, ops=types.SimpleNamespace(Sequential=torch.nn.Sequential))
    whole = types.ModuleType("transformer_engine")
    vars(whole).update(pytorch=pytorch)
    stand_ins = {module.__name__: module for module in (whole, pytorch)}
    sys.modules.update(stand_ins)
    try:
        import megatron.bridge
    finally:
        for name in stand_ins:
            del sys.modules[name]
