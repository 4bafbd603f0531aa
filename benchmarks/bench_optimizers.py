"""What bf16 costs an optimiser: `python -m benchmarks.bench_optimizers`, on the CPU, half a minute.

Each value of ``zppo.optimizer`` is built by verl from our configuration. Beside them are AnyPrecisionAdamW as it is
described (`benchmarks.anyprecision`), and, to show what the others are for, `torch.optim.AdamW` on bf16 weights
("nearest"). Gradients are the same for all: drawn from N(0.0005, 0.001), rounded to bf16.
"""

import functools
import os
from typing import Any

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # torchao compiles its step; the result is the same

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from benchmarks.anyprecision import AnyPrecisionAdamW
from recipe.zppo.config.compose import compose

SIZE, UPDATES, EARLY = (128, 128), 800, 100
NAMES = ("fp32", "stochastic", "anyprecision", "described", "nearest")
LR = 1e-6
FALL = 400
"""Updates after which the gradients are a tenth, in the second part."""


def build(name: str, weights: Tensor) -> tuple[torch.nn.Parameter, Any]:
    """A parameter with these weights in the type of ``zppo.optimizer=name``, and its optimiser."""
    from verl.workers.config.optimizer import build_optimizer

    parameter = torch.nn.Parameter(weights.to(torch.float32 if name == "fp32" else torch.bfloat16, copy=True))
    if name == "described":
        return parameter, AnyPrecisionAdamW(parameter, LR, weight_decay=0.1)
    return parameter, build_optimizer([parameter], _optim("fp32" if name == "nearest" else name))


@functools.cache
def _optim(name: str) -> DictConfig:
    """verl's keys for ``zppo.optimizer=name``; composing takes a second."""
    optim = compose([f"zppo.optimizer={name}"]).actor_rollout_ref.actor.optim
    return OmegaConf.create(OmegaConf.to_container(optim, resolve=True))


def gradients(seed: int, updates: int, fall: int | None = None) -> list[Tensor]:
    """(256, 256) each, in bf16; from update `fall` on a tenth of what they were."""
    generator = torch.Generator().manual_seed(seed)
    drawn = (0.0005 + 0.001 * torch.randn(SIZE, generator=generator) for _ in range(updates))
    return [(g / 10 if fall is not None and i >= fall else g).bfloat16() for i, g in enumerate(drawn)]


def weights() -> Tensor:
    """(256, 256) from N(0, 0.02), numbers of bf16: all optimisers begin at the same place."""
    return (0.02 * torch.randn(SIZE, generator=torch.Generator().manual_seed(0))).bfloat16().float()


def train(parameter: torch.nn.Parameter, optimizer: Any, grads: list[Tensor]) -> None:
    for grad in grads:
        parameter.grad = grad.to(parameter.dtype, copy=True)  # optimi overwrites what it is given
        optimizer.step()


def kept_back(optimizer: Any, parameter: torch.nn.Parameter) -> Tensor | float:
    """What Kahan summation has yet to add to the weights."""
    state = optimizer.state[parameter]
    return sum(state[key].float() for key in ("kahan_comp", "compensation") if key in state)


def displacement() -> None:
    start, grads, lr = weights(), gradients(1, UPDATES), LR
    large, reference = start.abs() > 0.02, None
    print(f"mean displacement, in learning rates ({lr}), of {start.numel():,} weights")
    for name in NAMES:
        torch.manual_seed(2)
        parameter, optimizer = build(name, start)
        train(parameter, optimizer, grads[:EARLY])
        early = parameter.detach().float() - start
        early_sum = (early + kept_back(optimizer, parameter)).mean() / lr
        train(parameter, optimizer, grads[EARLY:])
        late = parameter.detach().float() - start
        late_sum = (late + kept_back(optimizer, parameter)).mean() / lr
        reference = late if reference is None else reference
        cosine = torch.nn.functional.cosine_similarity(late.flatten(), reference.flatten(), dim=0)
        still = (early[large] == 0).double().mean()
        print(
            f"{name:13s} after {EARLY} {early.mean() / lr:8.2f} ({early_sum:8.2f} with the buffer), of weights above "
            f"0.02 {still:6.1%} have not moved; after {UPDATES} {late.mean() / lr:8.2f} ({late_sum:8.2f}); "
            f"cosine with fp32 {cosine:.3f}"
        )


def step_size(optimizer: Any, parameter: torch.nn.Parameter, update: int) -> Tensor:
    """|first moment| / root of the second, both debiased: what the learning rate is multiplied by."""
    state = optimizer.state[parameter]
    first, second = state["exp_avg"].float(), state["exp_avg_sq"].float()
    if "kahan_comp" not in state:  # optimi's are debiased
        first, second = first / (1 - 0.9**update), second / (1 - 0.999**update)
    return first.abs() / (second.sqrt() + 1e-8)


def second_moments() -> None:
    for title, fall in (("steady gradients", None), (f"gradients a tenth from update {FALL} on", FALL)):
        grads, reference = gradients(3, UPDATES, fall), {}
        print(f"{title}: mean size of a step against fp32's, after so many updates")
        for name in NAMES[:4]:
            torch.manual_seed(2)
            parameter, optimizer = build(name, weights())
            sizes = {}
            for update in range(100, UPDATES + 1, 100):
                train(parameter, optimizer, grads[update - 100 : update])
                sizes[update] = step_size(optimizer, parameter, update).mean().item()
            reference = reference or sizes
            print(f"{name:13s} " + "  ".join(f"{n}: {size / reference[n] - 1:+.1%}" for n, size in sizes.items()))


if __name__ == "__main__":
    displacement()
    second_moments()
