"""What glibc's allocator keeps of freed memory, while a large model learns: little.

A backward pass frees activations and allocates gradients between them. What is free lies in gaps, which glibc keeps:
for SmolLM2-135M a third of a step's peak.
"""

import ctypes
import sys
from typing import Any

_BETWEEN = 2**23
"""Bytes of gradients from one time to the next."""


def give_back() -> None:
    """Free pages go back to the system. Without glibc nothing happens."""
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)


def give_back_in_backward(model: Any) -> None:
    """Let each backward pass of the model do so again and again. One of a few million parameters is left alone."""
    waiting = 0
    for parameter in model.parameters():
        waiting += parameter.numel() * parameter.element_size() if parameter.requires_grad else 0
        if waiting >= _BETWEEN and parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _: give_back())
            waiting = 0
