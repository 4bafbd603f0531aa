"""torchvision without its compiled half.

Qwen3-VL and Qwen3.5 need torchvision in vLLM (`vllm.model_executor.models.qwen3_vl`). The one of the Python package
index is built for CUDA. Beside a CPU torch its library of operators does not load. torchvision goes on without, until
it describes the operators that it should have brought (`torchvision._meta_registrations`), and dies. Images need none
of them: resizing and normalising are written in Python over torch. So the operators are declared here, without code: to
call one is still an error. A torchvision built for the CPU brings its own and is left alone.
"""

import sys
from types import ModuleType

OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def declare_when_imported() -> None:
    """Have the operators declared between torchvision's attempt to load them and its descriptions; idempotent."""
    from recipe.after_import import after_import

    if "torchvision" not in sys.modules:
        after_import("torchvision.extension", declare)


def declare(_extension: ModuleType) -> None:
    """Declare what torchvision's own library has not."""
    import torch

    for name, schema in OPERATORS.items():
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", schema)
