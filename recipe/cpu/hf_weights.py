"""Weights that a trainer sends to a model."""

from collections.abc import Iterable
from typing import Any

import torch


def load_weights(model: Any, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
    """Copy named tensors into the model; returns the names taken, to be checked by `check_complete`.

    Raises:
        ValueError: a name or shape that the model does not have.
    """
    own = _named_weights(model)
    taken = set()
    with torch.no_grad():
        for name, tensor in weights:
            target = own.get(name)
            if target is None:
                raise ValueError(f"the trainer sent {name!r}, which the rollout's model does not have")
            if target.shape != tensor.shape:
                raise ValueError(f"{name}: the trainer sent {tuple(tensor.shape)}, not {tuple(target.shape)}")
            target.copy_(tensor)
            taken.add(name)
    return taken


def check_complete(model: Any, names: set[str]) -> None:
    """Raise ValueError unless a sync under these names reached every weight (tied ones under any name)."""
    own = _named_weights(model)
    reached = {own[name].data_ptr() for name in names}
    missing = [name for name, tensor in own.items() if tensor.data_ptr() not in reached]
    if missing:
        raise ValueError(f"the trainer left out {len(missing)} weights of the rollout's model, e.g. {missing[0]}")


def _named_weights(model: Any) -> dict[str, torch.Tensor]:
    from verl.utils.model import convert_weight_keys  # the trainer's names went through it, too

    return convert_weight_keys(model.state_dict(), model)
