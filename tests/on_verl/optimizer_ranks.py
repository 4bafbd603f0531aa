"""Run by `test_optimizer_engine.py`: NAME FOLDER, with a student in it. Each rank writes there what it saw."""

import os
import sys
from pathlib import Path

os.environ["TORCHDYNAMO_DISABLE"] = "1"

from recipe.cpu import use_cpu

use_cpu()

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from verl.utils.config import omega_conf_to_dataclass  # noqa: E402
from verl.workers.config import HFModelConfig  # noqa: E402
from verl.workers.engine import EngineRegistry  # noqa: E402

from recipe.zppo.config.compose import compose  # noqa: E402

RANKS, BEFORE, AFTER = 2, 5, 5


def engine(name: str, model: Path):
    actor = compose(["platform=cpu", f"zppo.optimizer={name}"]).actor_rollout_ref.actor
    made = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=HFModelConfig(
            path=str(model),
            override_config={"attn_implementation": "sdpa"},
            enable_gradient_checkpointing=False,
            use_remove_padding=False,
        ),
        engine_config=omega_conf_to_dataclass(actor.fsdp_config),
        optimizer_config=omega_conf_to_dataclass(actor.optim),
        checkpoint_config=omega_conf_to_dataclass(actor.checkpoint),
    )
    made.initialize()
    return made


def train(made, updates: range) -> list[float]:
    """Gradient norms, before clipping. The gradients of an update depend on its number alone."""
    norms = []
    for update in updates:
        made.optimizer_zero_grad()
        for number, parameter in enumerate(made.module.parameters()):
            generator = torch.Generator().manual_seed(1000 * update + number)
            whole = 0.01 * torch.randn(parameter.shape, generator=generator)
            like = torch.zeros_like(parameter)
            first = sum(part.shape[0] for part in whole.chunk(RANKS)[: dist.get_rank()])
            own = like.to_local()
            own.copy_(whole[first : first + own.shape[0]])
            parameter.grad = like
        norms.append(made.optimizer_step())
        made.lr_scheduler_step()
    return norms


def whole(made) -> dict:
    """All there is of model and optimiser, unsharded: weights, and state by parameter and name."""

    def full(value):
        return value.full_tensor().clone() if hasattr(value, "full_tensor") else value

    names = {parameter: name for name, parameter in made.module.named_parameters()}
    state = {names[p]: {key: full(value) for key, value in s.items()} for p, s in made.optimizer.state.items()}
    return {"weights": {name: full(p.detach()) for p, name in names.items()}, "state": state}


def main(rank: int, name: str, folder: Path) -> None:
    dist.init_process_group("cpu:gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=RANKS)
    torch.manual_seed(rank)
    trained = engine(name, folder / "student")
    seen = {"start": whole(trained)["weights"], "norms": train(trained, range(BEFORE)), "saved": whole(trained)}
    seen["sent"] = {key: value.clone() for key, value in trained.get_per_tensor_param()[0]}
    trained.save_checkpoint(str(folder / "checkpoint"), global_step=1)
    train(trained, range(BEFORE, BEFORE + AFTER))
    seen["on"] = whole(trained)
    resumed = engine(name, folder / "student")
    resumed.load_checkpoint(str(folder / "checkpoint"))
    seen["loaded"] = whole(resumed)
    train(resumed, range(BEFORE, BEFORE + AFTER))
    seen["resumed"] = whole(resumed)
    torch.save(seen, folder / f"seen_{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.start_processes(main, (sys.argv[1], Path(sys.argv[2])), nprocs=RANKS, start_method="fork")
