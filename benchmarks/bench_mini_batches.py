"""How long the ranks wait for each other in the updates of a step, by where mini-batches are drawn.

    python -m benchmarks.bench_mini_batches [--steps 20] [--seed 0]

The paper's batch, 576 groups of 8, on 48 ranks, 4 updates. Lengths are log-normal, cut at 12,288 tokens, with a factor
of the question. An update lasts as long as its slowest rank; work of a row is verl's `calculate_workload`. Compared, on
the same batches:

- shuffled on each rank: verl balances the step's batch over the ranks, each rank shuffles and cuts its share;
- drawn in the trainer: `recipe.zppo.on_verl.mini_batches`, single rollouts or whole groups.

What is printed is the work of the slowest rank, added up over the updates, over the mean of all ranks: 1.00 is no wait.
"""

import argparse
import random
import statistics

import torch
from rich.console import Console
from rich.table import Table
from transfer_queue import KVBatchMeta
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions

from recipe.zppo.mini_batches import mini_batches
from recipe.zppo.on_verl.mini_batches import padded_size, put_in_order, uid_of

GROUPS, GROUP_SIZE, RANKS, UPDATES, LONGEST = 576, 8, 48, 4, 12_288


def lengths_of_a_step(rng: random.Random) -> list[int]:
    """Prompt and response of each rollout, group after group."""
    means = [rng.gauss(7.6, 0.5) for _ in range(GROUPS)]
    return [300 + min(LONGEST, int(rng.lognormvariate(mean, 0.5))) for mean in means for _ in range(GROUP_SIZE)]


def wait(work: torch.Tensor, ranks: list[list[int]]) -> float:
    """`ranks`: rows of each rank in the order in which it cuts its updates from them."""
    per_rank = len(ranks[0]) // UPDATES
    cut = work.double()[torch.tensor(ranks)].view(RANKS, UPDATES, per_rank).sum(-1)
    return float(cut.max(0).values.sum() / cut.mean(0).sum())


def shuffled_on_each_rank(lengths: list[int], rng: random.Random) -> float:
    work = calculate_workload(torch.tensor(lengths))
    ranks = get_seqlen_balanced_partitions(work, k_partitions=RANKS, equal_size=True)
    for rank in ranks:
        rng.shuffle(rank)
    return wait(work, ranks)


def drawn_in_the_trainer(lengths: list[int], rng: random.Random, unit: str) -> float:
    keys = [f"{row // GROUP_SIZE}_{row % GROUP_SIZE}_0" for row in range(len(lengths))]
    parts = [[keys[i] for i in part] for part in mini_batches([*map(uid_of, keys)], UPDATES, unit, rng)]
    assert padded_size(parts, RANKS) == len(keys)
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{"seq_len": length} for length in lengths])
    put_in_order(batch, parts, RANKS)
    work = calculate_workload(torch.tensor([tag["seq_len"] for tag in batch.tags]))
    return wait(work, torch.arange(len(keys)).view(RANKS, -1).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    found: dict[str, list[float]] = {}
    for _ in range(options.steps):
        lengths = lengths_of_a_step(rng)
        found.setdefault("shuffled on each rank", []).append(shuffled_on_each_rank(lengths, rng))
        for unit in ("rollouts", "groups"):
            found.setdefault(f"drawn in the trainer: {unit}", []).append(drawn_in_the_trainer(lengths, rng, unit))
    table = Table("mini-batches", "slowest rank / mean", "worst step", box=None)
    for name, values in found.items():
        table.add_row(name, f"{statistics.mean(values):.3f}", f"{max(values):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
