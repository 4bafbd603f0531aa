"""Run by `test_learning_rows.py`: FOLDER, with a student in it. Each rank writes there what it saw."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nested import as_nested_tensor
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.dataset_utils import DatasetPadMode
from verl.workers.utils.losses import ppo_loss

from recipe.zppo.config.compose import compose
from recipe.zppo.on_verl.learning_rows import policy_loss_fn
from tests.on_verl.optimizer_ranks import RANKS, engine

PROMPT = 5
LENGTHS = (7, 12, 5, 20, 9, 3)
ADVANTAGES = ((1.0, 0.0, -0.5, 0.0, 0.0, 0.0), (0.0,) * 6)
"""Of each update."""
LEARNING = ((0, 2), (5, 2))
"""Rows of each update that are computed: with an advantage, or the shortest."""


def batch(rows: list[int], update: int, count: bool):
    """This rank's part of the rows, as verl's workers hand it to an engine."""
    generator = torch.Generator().manual_seed(update)
    every = [torch.randint(8, 60, (PROMPT + length,), generator=generator) for length in LENGTHS]
    per_rank = len(rows) // RANKS
    mine = rows[per_rank * dist.get_rank() :][:per_rank]
    texts, responses = [every[i] for i in mine], [every[i][PROMPT:] for i in mine]

    def nested(tensors):
        return as_nested_tensor(list(tensors), layout=torch.jagged)

    def full(value):
        return nested(torch.full((LENGTHS[i],), value(i)) for i in mine)

    tensors = {
        "input_ids": nested(texts),
        "position_ids": nested(torch.arange(len(row)) for row in texts),
        "prompts": nested(row[:PROMPT] for row in texts),
        "responses": nested(responses),
        "loss_mask": full(lambda _: 1.0),
        "response_mask": full(lambda _: 1.0),
        "old_log_probs": full(lambda _: -4.0),
        "advantages": full(lambda i: ADVANTAGES[update][i]),
    }
    if count:
        tensors["mini_batch_tokens"] = torch.full((per_rank,), sum(LENGTHS))
    settings = {
        "temperature": 1.0,
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": 64,
        "calculate_entropy": False,
        "use_fused_kernels": False,
        "global_batch_size": len(LENGTHS),
        "pad_mode": DatasetPadMode.NO_PADDING,
    }
    return tu.get_tensordict(tensor_dict=tensors, non_tensor_dict=settings)


def train(folder: Path, learning: bool) -> dict:
    trained = engine("fp32", folder / "student")
    loss = policy_loss_fn(compose(["platform=cpu"]).actor_rollout_ref.actor)
    if not learning:
        loss = loss.__class__(ppo_loss, **loss.keywords)  # verl's own
    updates, rows = [], 0
    for update in range(len(ADVANTAGES)):
        data = batch(list(LEARNING[update] if learning else range(len(LENGTHS))), update, learning)
        rows += len(data)
        with trained.train_mode():
            output = trained.train_batch(data, loss)
            gradients = {name: p.grad.full_tensor().clone() for name, p in trained.module.named_parameters()}
        losses = torch.tensor(sum(output["loss"]))
        dist.all_reduce(losses)
        updates.append({"norm": float(output["metrics"]["grad_norm"]), "loss": losses.item(), "gradients": gradients})
    return {"updates": updates, "rows": rows}


def main(rank: int, folder: Path) -> None:
    dist.init_process_group("cpu:gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=RANKS)
    seen = {"all": train(folder, False), "learning": train(folder, True)}
    torch.save(seen, folder / f"seen_{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(main, (Path(sys.argv[1]),), nprocs=RANKS, start_method="fork")  # verl is imported once
