#!/usr/bin/env bash
# verl balances a step's batch over the ranks, but an update waits for the slowest rank of its own mini-batch.
#
# Versions: verl 0.9.1, torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: PPOTrainer._balance_batch (V1 trainer) makes the *sum* of each rank's sequences equal; its argument
#   keep_minibatch is not read. Each rank then cuts its share into mini-batches with make_iterator, in order (the default
#   of actor.shuffle). With 48 ranks, 4 mini-batches and log-normal lengths the shares are equal to 0.1%, yet the slowest
#   rank of an update has a third more work than the mean, by verl's own calculate_workload. One would expect a balanced
#   batch to keep the ranks busy. Balancing each mini-batch by itself with the same function brings it to 3 or 4%.
# Seen:
#   keep_minibatch read: False
#   slowest rank / mean, whole step: 1.00; each update, verl's order: 1.30 to 1.40; each mini-batch balanced: 1.03 to 1.04
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 tensordict==0.10.0 ray==2.60.0 TransferQueue==0.1.11 cachetools==8.0.1 \
  uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import ast, inspect, random, textwrap

import torch
from tensordict import TensorDict
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import tensordict_utils as tu
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions

source = textwrap.dedent(inspect.getsource(trainer_base.PPOTrainer._balance_batch))
read = any(isinstance(node, ast.Name) and node.id == "keep_minibatch" for node in ast.walk(ast.parse(source)))
print("keep_minibatch read:", read)
assert not read

RANKS, UPDATES, ROWS = 48, 4, 4608
rng = random.Random(0)


def mini_batches(rows, rank):
    """As the actor's worker cuts them (engine_workers.py: train_mini_batch)."""
    data = TensorDict({"row": torch.tensor(rows)}, batch_size=len(rows))
    size = len(rows) // UPDATES
    options = dict(mini_batch_size=size, epochs=1, seed=42 + rank, dataloader_kwargs={"shuffle": False})
    return [part["row"].tolist() for part in tu.make_iterator(data, **options)]


def wait(work, by_rank):
    loads = torch.tensor([[sum(work[r] for r in part) for part in parts] for parts in by_rank], dtype=torch.float64)
    return float(loads.max(0).values.sum() / loads.mean(0).sum()), float(loads.sum(1).max() / loads.sum(1).mean())


whole, verls, ours = [], [], []
for _ in range(5):
    lengths = [300 + min(12288, int(rng.lognormvariate(7.6, 0.7))) for _ in range(ROWS)]
    work = calculate_workload(torch.tensor(lengths))
    shares = get_seqlen_balanced_partitions(work, k_partitions=RANKS, equal_size=True)
    numbers = work.tolist()
    update, step = wait(numbers, [mini_batches(share, rank) for rank, share in enumerate(shares)])
    verls.append(update), whole.append(step)
    order = list(range(ROWS))
    rng.shuffle(order)
    by_rank = [[] for _ in range(RANKS)]
    for k in range(UPDATES):
        rows = order[k * ROWS // UPDATES : (k + 1) * ROWS // UPDATES]
        for rank, share in enumerate(get_seqlen_balanced_partitions(work[rows], k_partitions=RANKS, equal_size=True)):
            by_rank[rank].append([rows[i] for i in share])
    ours.append(wait(numbers, by_rank)[0])

for name, values in (("whole step", whole), ("each update, verl's order", verls), ("each mini-batch balanced", ours)):
    print(f"slowest rank / mean, {name}: {min(values):.3f} to {max(values):.3f}")
assert max(whole) < 1.02 and min(verls) > 1.25 and max(ours) < 1.10
PY
cd "$work" && RAY_USAGE_STATS_ENABLED=0 "$work/venv/bin/python" -W ignore run.py 2>&1 | grep -E "keep_minibatch|slowest|Error|assert"
