"""The two-step advantage (Eqs. 2-6): center by group, then whiten over the step's whole batch.

Step 1: A'_i = r_i - mean of its group. Step 2: A_i = (A'_i - mu_S) / (sigma_S + eps), with mean and standard deviation
over the rollouts (one scalar each, whatever their length) of the groups in S.

Eqs. 2 and 3 speak of the groups in a mini-batch, text and Table 8 of the batch. The batch is our first reading; with
`mini_batches` S is taken in each mini-batch, and the mean of step 1 still over the whole group.

The standard deviation is the population one. Only with it is the paper's closed form exact: with equal group sizes, and
eps -> 0, `with_zero` is `without_zero` divided by sqrt(f_nt), f_nt the share of non-trivial groups.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

from recipe.zppo.errors import AdvantageError

if TYPE_CHECKING:
    import torch

Norm = Literal["without_zero", "with_zero", "none"]
Array = TypeVar("Array", np.ndarray, "torch.Tensor")


@dataclass(frozen=True)
class GroupStatistics:
    """What the groups of a batch look like, padding apart.

    Attributes:
        trivial_group_share: share of groups whose rewards are all equal.
        positive_advantage_share: share of rollouts above their group's mean (step 2 keeps the sign).
    """

    trivial_group_share: float
    positive_advantage_share: float


def two_step_advantage(
    rewards: Array,
    group_ids: "Sequence | np.ndarray | torch.Tensor",
    norm: Norm = "without_zero",
    eps: float = 1e-6,
    padding_mask: "Sequence[bool] | np.ndarray | torch.Tensor | None" = None,
    mini_batches: "np.ndarray | None" = None,
) -> Array:
    """One advantage per rollout.

    Args:
        rewards: (N,) outcome rewards; NumPy array, or torch tensor on any device.
        group_ids: (N,) group of each rollout: plain, BCQ and NCQ rollouts of one question are three groups.
        norm: S of step 2. `without_zero`: the non-trivial groups, those whose rewards are not all equal; a trivial
            group keeps 0. `with_zero`: all groups. `none`: no step 2.
        eps: added to sigma_S.
        padding_mask: (N,) true for synthetic padding, which is in no group and in no S and gets 0.
        mini_batches: (N,) number of each rollout's mini-batch, to take S by mini-batch; None takes it over all.

    Returns:
        (N,) of the same kind (and device) as `rewards`, and of its dtype if that is a floating one; computed in
        float64.

    Raises:
        AdvantageError: shapes that differ, a reward that is not finite, an unknown `norm`, or a negative `eps`.
    """
    if norm not in get_args(Norm):
        raise AdvantageError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}")
    if not eps >= 0:
        raise AdvantageError(f"eps must be at least 0, got {eps}")
    values, groups, real = _inputs(rewards, group_ids, padding_mask)
    centered, trivial = _center(values[real], groups[real])
    if norm != "none":
        chosen = ~trivial[groups[real]] if norm == "without_zero" else np.ones(len(centered), bool)
        parts = np.zeros(len(centered), int) if mini_batches is None else mini_batches[real]
        for part in np.unique(parts):
            here = chosen & (parts == part)
            if centered[here].any():
                centered[here] = (centered[here] - centered[here].mean()) / (centered[here].std() + eps)
    advantages = np.zeros(values.shape)
    advantages[real] = centered
    return _like(advantages, rewards)


def group_statistics(
    rewards: "np.ndarray | torch.Tensor",
    group_ids: "Sequence | np.ndarray | torch.Tensor",
    padding_mask: "Sequence[bool] | np.ndarray | torch.Tensor | None" = None,
) -> GroupStatistics:
    """Shares for the step's metrics; arguments and errors as in `two_step_advantage`. Shares of nothing are 0."""
    values, groups, real = _inputs(rewards, group_ids, padding_mask)
    if not real.any():
        return GroupStatistics(0.0, 0.0)
    centered, trivial = _center(values[real], groups[real])
    return GroupStatistics(float(trivial[np.unique(groups[real])].mean()), float((centered > 0).mean()))


def _center(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A' of every rollout (step 1, Eq. 2), and whether each group is trivial.

    Equality of the extremes, not a standard deviation above 0, tells a trivial group: the mean of three times 0.1
    is not 0.1 in floating point.
    """
    num_groups = int(groups.max(initial=-1)) + 1
    lowest, highest = np.full(num_groups, np.inf), np.full(num_groups, -np.inf)
    np.minimum.at(lowest, groups, values)
    np.maximum.at(highest, groups, values)
    sizes = np.bincount(groups, minlength=num_groups)
    means = np.bincount(groups, weights=values, minlength=num_groups) / np.maximum(sizes, 1)
    trivial = lowest >= highest
    return np.where(trivial[groups], 0.0, values - means[groups]), trivial


def _inputs(rewards: Any, group_ids: Any, padding_mask: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) rewards as float64, groups as 0, 1, ..., and which rollouts are real."""
    values = _numpy(rewards).astype(np.float64)
    labels = _numpy(group_ids)
    real = np.ones(values.shape, bool) if padding_mask is None else ~_numpy(padding_mask).astype(bool)
    if values.ndim != 1 or labels.shape != values.shape or real.shape != values.shape:
        raise AdvantageError(
            f"rewards, group_ids and padding_mask must be of one shape (N,), got {values.shape}, {labels.shape}, "
            f"{real.shape}"
        )
    if not np.isfinite(values[real]).all():
        raise AdvantageError(f"reward of rollout {int(np.flatnonzero(real & ~np.isfinite(values))[0])} is not finite")
    try:
        groups = np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise AdvantageError("group_ids must be of one type, all strings or all integers") from None
    return values, groups, real


def _numpy(array: Any) -> np.ndarray:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        return (array.double() if array.is_floating_point() else array).numpy()
    return np.asarray(array)


def _like(result: np.ndarray, rewards: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(rewards, torch.Tensor):
        dtype = rewards.dtype if rewards.is_floating_point() else torch.get_default_dtype()
        return torch.as_tensor(result, dtype=dtype, device=rewards.device)
    dtype = np.asarray(rewards).dtype
    return result.astype(dtype if np.issubdtype(dtype, np.floating) else np.float64)
