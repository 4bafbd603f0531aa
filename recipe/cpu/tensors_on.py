"""New tensors beside the model: the one place where code for a model on the CPU learns of a model elsewhere."""

from contextlib import AbstractContextManager, nullcontext

import torch


def tensors_on(device: torch.device) -> AbstractContextManager[object]:
    """Within it `torch.tensor`, `torch.zeros` and their like make their results on `device`.

    Not entered for the CPU, where it would cost a microsecond a call and change nothing. It does not reach other
    threads, so neither what autograd runs of one's own `backward` on a GPU.
    """
    return nullcontext() if device.type == "cpu" else device
