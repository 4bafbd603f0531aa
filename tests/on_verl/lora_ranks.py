"""Run by `test_lora_engine.py`: WORLD FOLDER, with student and adapter in it. Each rank writes there what it saw."""

import sys
from pathlib import Path

from recipe.cpu import use_cpu

use_cpu()

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from verl.trainer.config import CheckpointConfig  # noqa: E402
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig  # noqa: E402
from verl.workers.engine import EngineRegistry, FSDPEngineWithLMHead  # noqa: E402

SINGLE = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}


def engine(model: str, **lora):
    made = EngineRegistry.new(
        model_type="language_model",
        backend="fsdp2",
        model_config=HFModelConfig(
            path=model,
            lora_rank=4,
            lora_alpha=8,
            lora={"merge": True},
            **lora,
            override_config={"attn_implementation": "sdpa"},
            enable_gradient_checkpointing=False,
            use_remove_padding=False,
        ),
        engine_config=FSDPEngineConfig(strategy="fsdp2", mixed_precision=SINGLE, use_torch_compile=False),
        optimizer_config=FSDPOptimizerConfig(lr=1e-3),
        checkpoint_config=CheckpointConfig(),
    )
    made.initialize()
    return made


def whole(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.full_tensor().clone() for name, parameter in module.named_parameters()}


def main(rank: int, world: int, folder: Path) -> None:
    dist.init_process_group("cpu:gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world)
    model = str(folder / "student")
    trained = engine(model, lora_adapter_path=str(folder / "adapter"))
    seen = {"before": whole(trained.module)}
    weights, peft_config = trained.get_per_tensor_param(base_sync_done=True)
    seen |= {"peft_config": peft_config, "sent": dict(weights), "after": whole(trained.module)}
    seen["verls"] = dict(FSDPEngineWithLMHead._merged_lora_per_tensor_param(trained))
    trained.save_checkpoint(str(folder / "checkpoint"), global_step=1)
    resumed = engine(model, target_modules=["q_proj", "down_proj"])
    resumed.load_checkpoint(str(folder / "checkpoint"))
    seen["resumed"] = whole(resumed.module)
    seen["trainable"] = {name for name, parameter in resumed.module.named_parameters() if parameter.requires_grad}
    torch.save(seen, folder / f"seen_{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    ranks = int(sys.argv[1])
    mp.start_processes(main, (ranks, Path(sys.argv[2])), nprocs=ranks, start_method="fork")  # verl is imported once
