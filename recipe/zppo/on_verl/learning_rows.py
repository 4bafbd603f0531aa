"""An update on verl's engines computes the rows that it learns from: those with an advantage.

A group of equal rewards has no advantage (Eq. 2), so the gradient of its rows is zero, to the last bit. Of hard
questions most groups are like that. The loss's mean still counts their tokens: the number travels with the rows, and
`policy_loss` puts it in the place of verl's.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss

from recipe.zppo.on_verl.borrowed import BY_TOKEN
from recipe.zppo.on_verl.mini_batches import padded_size, put_in_order

_TOKENS = "mini_batch_tokens"
"""(rows,) in TransferQueue: response tokens of the row's whole mini-batch."""


def is_exact(actor: DictConfig) -> bool:
    """Whether rows without an advantage have no gradient, and the loss no other use for them.

    On Megatron a mixture of experts may add a loss of its own.
    """
    return (
        actor.strategy in ("fsdp", "fsdp2")
        and actor.policy_loss.loss_mode in BY_TOKEN
        and actor.loss_agg_mode == "token-mean"
        and not actor.use_kl_loss
        and not actor.entropy_coeff
        and not actor.calculate_entropy  # a metric, of all tokens
    )


def policy_loss_fn(actor: DictConfig) -> partial:
    """What ``set_loss_fn`` takes, from the actor's config."""
    return partial(policy_loss, config=omega_conf_to_dataclass(actor))


def policy_loss(config: ActorConfig, model_output: dict, data: TensorDict, dp_group: Any = None) -> tuple:
    """verl's loss, whose mean is over the tokens of the whole mini-batch, whichever of its rows are computed."""
    tu.assign_non_tensor(data, batch_num_tokens=int(data[_TOKENS][0]))
    return ppo_loss(config, model_output, data, dp_group)


def learning_rows(batch: KVBatchMeta, parts: Sequence[Sequence[str]], num_ranks: int) -> KVBatchMeta:
    """The batch of the update: of each mini-batch the rows with an advantage, in the order of `put_in_order`.

    Ranks need as many rows in each mini-batch as in the largest. They are filled up with the shortest others, so no
    rank is without one, and all mini-batches make a step of the optimiser, as they would.

    Args:
        batch: the step's, with advantages in TransferQueue; it is left as it is.
        parts: keys of each mini-batch; other rows are padding.
    """
    fields = ["advantages", "loss_mask"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    moves, tokens = (dict(zip(batch.keys, row_sums(data[field] != 0), strict=True)) for field in fields)
    chosen, kept = choose(batch, parts, {key for key, count in moves.items() if count}, num_ranks)
    rows = batch.select_keys(chosen)
    put_in_order(rows, kept, num_ranks)
    per_rank = len(rows) // num_ranks
    counts = torch.tensor([sum(tokens[key] for key in part) for part in parts])
    of_row = counts.repeat_interleave(per_rank // len(parts)).repeat(num_ranks)
    counted = TensorDict({_TOKENS: of_row}, batch_size=len(rows))
    tq.kv_batch_put(keys=rows.keys, partition_id=rows.partition_id, fields=counted)
    rows.fields = None if rows.fields is None else [*rows.fields, _TOKENS]  # what ranks fetch
    return rows


def choose(
    batch: KVBatchMeta, parts: Sequence[Sequence[str]], moving: set[str], num_ranks: int
) -> tuple[list[str], list[list[str]]]:
    """Keys of all rows to compute, and those of each mini-batch that have an advantage."""
    kept = [[key for key in part if key in moving] for part in parts]
    size = max(padded_size(kept, num_ranks), len(parts) * num_ranks)
    others = sorted((tag["seq_len"], key) for key, tag in zip(batch.keys, batch.tags, strict=True) if key not in moving)
    chosen = [key for part in kept for key in part]
    return chosen + [key for _, key in others[: size - len(chosen)]], kept


def row_sums(values: torch.Tensor) -> list[int]:
    """Of each row of a nested tensor, or of a plain one."""
    if not values.is_nested:
        return values.sum(-1).tolist()
    totals = torch.cat([torch.zeros(1, dtype=torch.long), values.values().long().cumsum(0)])
    return totals[values.offsets()].diff().tolist()
