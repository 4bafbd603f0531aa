"""The rows of a step's batch in the order in which verl's ranks cut their mini-batches from it.

verl gives each rank a stretch of the batch, and each rank cuts its stretch into I equal parts; an update takes the same
part of every rank. So the order alone says what an update learns from. Each mini-batch is balanced over the ranks for
itself: in an update all ranks wait for the slowest.
"""

from collections.abc import Sequence

import torch
from transfer_queue import KVBatchMeta
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions, log_seqlen_unbalance


def uid_of(key: str) -> str:
    """The group of a row, from its key in TransferQueue."""
    return str(key).rsplit("_", 2)[0]


def padded_size(parts: Sequence[Sequence[str]], num_ranks: int) -> int:
    """Rows of a batch in which all mini-batches have as many as the largest, rounded up for the ranks."""
    largest = max(map(len, parts))
    return len(parts) * num_ranks * -(-largest // num_ranks)


def put_in_order(batch: KVBatchMeta, parts: Sequence[Sequence[str]], num_ranks: int) -> dict[str, float]:
    """Reorder the batch, in place.

    Args:
        batch: of `padded_size` rows.
        parts: keys of each mini-batch; rows that are in none, verl's padding, fill them up.

    Returns:
        verl's metrics of the balance over ranks, for the order that the batch has now.
    """
    place = {key: row for row, key in enumerate(batch.keys)}
    padding = iter(sorted(set(place) - {key for part in parts for key in part}))
    size = len(batch) // len(parts)
    lengths = torch.tensor([tag["seq_len"] for tag in batch.tags], dtype=torch.int64)
    workload = calculate_workload(lengths)
    ranks: list[list[int]] = [[] for _ in range(num_ranks)]
    for part in parts:
        rows = [place[key] for key in part]
        rows += [place[next(padding)] for _ in range(size - len(rows))]
        shares = get_seqlen_balanced_partitions(workload[rows], k_partitions=num_ranks, equal_size=True)
        for rank, share in zip(ranks, shares, strict=True):
            rank += [rows[i] for i in share]
    metrics = log_seqlen_unbalance(seqlen_list=lengths.tolist(), partitions=ranks, prefix="global_seqlen")
    batch.reorder([row for rank in ranks for row in rank])
    return metrics
