"""Changes to verl 0.9.1, and to vLLM and transformers for verl's sake, that no hook can make. All only on the CPU.

Each names the place that it works around; tests/cpu/test_verl_patches.py, and test_vllm_cpu.py for vLLM, fail when it
is no longer needed.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING

from recipe.after_import import after_import

if TYPE_CHECKING:
    from torch import nn


def apply_when_imported() -> None:
    """Have every patch applied when the module that it changes is imported."""
    after_import("verl.utils.distributed", one_backend_for_cpu)
    after_import("transformers.models.auto.video_processing_auto", videos_without_torchvision)


def one_backend_for_cpu(module: ModuleType) -> None:
    """verl.utils.distributed's `initialize_global_process_group` and `..._ray` build `cpu:gloo,<device>:<backend>`.

    With device `cpu` that is `cpu:gloo,cpu:gloo`, and torch refuses a device that is named twice. The name is
    built inside two functions; `initialize_global_process_group_ray` takes a backend, so it gets one. The other
    is called by verl's SFT trainer only and is left alone.
    """
    original = module.initialize_global_process_group_ray

    @functools.wraps(original)
    def initialize_global_process_group_ray(timeout_second=None, backend=None):
        return original(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    module.initialize_global_process_group_ray = initialize_global_process_group_ray


def keep_weights_beside_packed_ones(module: ModuleType) -> None:
    """vLLM's `dispatch_cpu_unquantized_gemm` packs a linear layer's weight for oneDNN and drops the weight itself.

    verl then synchronises weights into layers that have none (`vLLMColocateWorkerExtension._update_weights`): the
    receiver dies of the shapes, and the sender waits for ever. With the weights kept, verl loads them and packs them
    anew after each sync (its `update_weights_from_ipc`). Costs a second copy of the weights.
    """
    original = module.dispatch_cpu_unquantized_gemm
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def dispatch_cpu_unquantized_gemm(layer, remove_weight):
        return original(layer, remove_weight=False)

    module.dispatch_cpu_unquantized_gemm = dispatch_cpu_unquantized_gemm


def unpack_convolutions(model: nn.Module) -> None:
    """The other layers that vLLM's `dispatch_cpu_unquantized_gemm` packs, back in the shape that weights are loaded in.

    Where the processor multiplies bfloat16 (AMX; from 0.31 at the latest AVX-512 too) the short convolutions of linear
    attention are packed in place, with the original beside them, for another purpose. A weight sync then does not fit
    ("expand: the number of sizes provided (2) ..."). Call it before each sync; vLLM packs anew after it.
    """
    for module in model.modules():
        original = module.__dict__.pop("_cpu_unpacked_conv_weight", None)
        if original is not None:
            module.weight.data = original.unsqueeze(1)


def videos_without_torchvision(module: ModuleType) -> None:
    """verl.utils.tokenizer.hf_processor builds a model's processor, and goes on without one where that fails.

    It fails without torchvision: transformers 5.10.4 has video processors on torchvision only
    (models/auto/video_processing_auto.py), and checks a processor's parts against a stand-in for their base class
    (`ProcessorMixin.check_argument_for_proper_class`). verl then takes the model for one of text: its images are lost.
    """
    from transformers import processing_utils
    from transformers.utils import is_torchvision_available
    from transformers.video_processing_utils import BaseVideoProcessor

    if is_torchvision_available():
        return
    original = module.AutoVideoProcessor.from_pretrained

    @functools.wraps(original)
    def from_pretrained(path, *args, **kwargs):
        from recipe.cpu.video_processor import load_video_processor

        own = load_video_processor(path, **kwargs)
        return own if own is not None else original(path, *args, **kwargs)

    module.AutoVideoProcessor.from_pretrained = staticmethod(from_pretrained)
    processing_utils.transformers_module.BaseVideoProcessor = BaseVideoProcessor
