"""Two ranks: the gradients of a small model with an untied, fused LM head, sharded as verl shards. See test_patches.

``python fused_head_ranks.py FOLDER``: writes FOLDER/<patched or not>_<rank>.pt.
"""

import sys
from types import SimpleNamespace

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from verl.utils import fsdp_utils
from verl.utils.experimental.torch_functional import FusedLinearForPPO

WORLD, WIDTH, WORDS = 2, 8, 16


class Layer(nn.Linear):
    pass


class Model(nn.Module):
    """The last lines of verl's fused forward pass (models/transformers/qwen3_5.py), on a model of one layer."""

    config = SimpleNamespace(tie_word_embeddings=False)
    _no_split_modules = ("Layer",)
    _verl_fused_kernels_backend = "torch"

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = nn.Embedding(WORDS, WIDTH)
        self.layer = Layer(WIDTH, WIDTH, bias=False)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden, words = self.layer(self.embed_tokens(ids)), self.lm_head.weight
        if isinstance(words, DTensor):
            words = words.full_tensor()
        head = FusedLinearForPPO(impl_backend="torch")
        return head(hidden_states=hidden, vocab_weights=words, input_ids=ids, temperature=1.0)[0]


def gradients(model: nn.Module, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    for _ in range(2):  # micro-batches
        (-model(ids).sum()).backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


def main(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD)
    ids = torch.randint(WORDS, (1, 5), generator=torch.Generator().manual_seed(rank))
    mean = gradients(Model(), ids)
    for gradient in mean.values():
        dist.all_reduce(gradient)
        gradient /= WORLD
    patched = fsdp_utils._select_fsdp2_wrap_targets
    for name, select in (("patched", patched), ("verls", patched.__wrapped__)):
        fsdp_utils._select_fsdp2_wrap_targets = select
        model = Model()
        fsdp_utils.apply_fsdp2(model, {"mesh": init_device_mesh("cpu", (WORLD,))}, {})
        got = {key: gradient.full_tensor() for key, gradient in gradients(model, ids).items()}
        torch.save({"mean": mean, "got": got}, f"{folder}/{name}_{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(main, args=(sys.argv[1],), nprocs=WORLD, start_method="fork")  # verl is imported once
