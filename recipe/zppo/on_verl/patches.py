"""Changes to verl 0.9.1 that no hook can make, on accelerators as well; those for the CPU are in `recipe.cpu`.

Each names the place that it works around; tests/on_verl/test_patches.py fails when it is no longer needed.
"""

import functools
from types import ModuleType
from typing import Any


def apply_when_imported() -> None:
    """Have every patch applied when the module that it changes is imported."""
    from recipe.after_import import after_import

    after_import("verl.utils.fsdp_utils", fused_head_in_the_root_unit)


def fused_head_in_the_root_unit(module: ModuleType) -> None:
    """`_select_fsdp2_wrap_targets` makes the `lm_head` of a model with untied embeddings an FSDP2 unit of its own.

    The fused LM head never calls it: it takes ``lm_head.weight.full_tensor()`` (`forward_with_torch_backend`),
    whose backward adds nothing up over the ranks. Each rank would train its rows of the head on its own samples, and
    the norm that all gradients are clipped by would be off. In the root unit the weight is gathered, and its gradient
    reduced, with the root's.
    """
    original = module._select_fsdp2_wrap_targets
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def _select_fsdp2_wrap_targets(model: Any, *args: Any, **kwargs: Any) -> list:
        chosen = original(model, *args, **kwargs)
        if not getattr(model, "_verl_fused_kernels_backend", None):
            return chosen
        heads = {id(part) for name, part in model.named_modules() if name.rsplit(".", 1)[-1] == "lm_head"}
        return [part for part in chosen if id(part) not in heads]

    module._select_fsdp2_wrap_targets = _select_fsdp2_wrap_targets
