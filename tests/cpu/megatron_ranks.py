r"""A rank of `torch.distributed.run`: verl's Megatron engine beside its FSDP2 engine. Rank 0 writes what it measured.

python -m torch.distributed.run --nproc_per_node 2 megatron_ranks.py OUT tensor_parallel packed|padded STUDENT
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state as mpu
from omegaconf import OmegaConf
from torch.nested import as_nested_tensor
from transformers import AutoConfig
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.dataset_utils import DatasetPadMode
from verl.workers.config import (
    FSDPActorConfig,
    FSDPEngineConfig,
    FSDPOptimizerConfig,
    HFModelConfig,
    McoreEngineConfig,
    McoreOptimizerConfig,
)
from verl.workers.engine import EngineRegistry
from verl.workers.utils.losses import ppo_loss

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = ROOT / "verl/trainer/config/platform_engine/cpu_megatron.yaml"
OPTIMIZER = {"lr": 1e-3, "weight_decay": 0.0, "clip_grad": 1.0, "total_training_steps": 10, "lr_warmup_steps": 0}
FP32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
SEQUENCES, PROMPT = 4, 5


def build(backend: str, student: str, tensor_parallel: int, packed: bool):
    """An engine with the settings of platform=cpu."""
    common = {"use_remove_padding": packed, "use_dynamic_bsz": True, "max_token_len_per_gpu": 64}
    model = HFModelConfig(path=student, use_remove_padding=packed, override_config={"attn_implementation": "sdpa"})
    if backend == "megatron":
        engine = McoreEngineConfig(
            tensor_model_parallel_size=tensor_parallel,
            override_transformer_config=OmegaConf.to_container(
                OmegaConf.load(PLATFORM).actor_rollout_ref.actor.megatron.override_transformer_config
            ),
            **common,
        )
        # As verl/trainer/config/optimizer/megatron.yaml has it.
        optim = McoreOptimizerConfig(lr_decay_style="constant", use_checkpoint_opt_param_scheduler=True, **OPTIMIZER)
    else:
        engine = FSDPEngineConfig(strategy="fsdp2", mixed_precision=FP32, use_torch_compile=False, **common)
        optim = FSDPOptimizerConfig(**OPTIMIZER)
    contents = ["model", "optimizer", "extra"]
    built = EngineRegistry.new(
        model_type="language_model",
        backend=backend,
        model_config=model,
        engine_config=engine,
        optimizer_config=optim,
        checkpoint_config=CheckpointConfig(save_contents=contents, load_contents=contents),
    )
    built.initialize()
    return built


def batch(vocabulary: int):
    """Four sequences in the layout that verl's workers hand to an engine; this rank's part of them by Megatron's count.

    FSDP's engine gets the same ones. To it tensor-parallel ranks are data-parallel ones with the same data, which
    gives the same mean.
    """
    generator = torch.Generator().manual_seed(0)
    # Not the special tokens in front: transformers gives the padding token's row of the embedding no gradient.
    rows = [torch.randint(8, vocabulary, (PROMPT + n,), generator=generator) for n in (7, 12, 5, 20)]
    part = SEQUENCES // mpu.get_data_parallel_world_size()
    first = part * mpu.get_data_parallel_rank()
    rows = rows[first : first + part]
    responses = [row[PROMPT:] for row in rows]

    def nested(tensors):
        return as_nested_tensor(list(tensors), layout=torch.jagged)

    signs = [(-1.0) ** (first + i) for i in range(part)]
    tensors = {
        "input_ids": nested(rows),
        "position_ids": nested(torch.arange(len(row)) for row in rows),
        "prompts": nested(row[:PROMPT] for row in rows),
        "responses": nested(responses),
        "loss_mask": nested(torch.ones(len(row)) for row in responses),
        "response_mask": nested(torch.ones(len(row)) for row in responses),
        "old_log_probs": nested(torch.full((len(row),), -5.0) for row in responses),
        "advantages": nested(torch.full((len(row),), sign) for row, sign in zip(responses, signs, strict=True)),
    }
    settings = {
        "temperature": 1.0,
        "use_dynamic_bsz": True,
        "max_token_len_per_gpu": 64,
        "calculate_entropy": False,
        "use_fused_kernels": False,
        "global_batch_size": SEQUENCES,
        "pad_mode": DatasetPadMode.NO_PADDING,
    }
    return tu.get_tensordict(tensor_dict=tensors, non_tensor_dict=settings)


def response_log_probs(engine, vocabulary: int) -> torch.Tensor:
    data = batch(vocabulary)
    with engine.eval_mode(), torch.no_grad():
        found = engine.forward_backward_batch(data, None, forward_only=True)["model_output"]["log_probs"]
    return torch.cat([row[PROMPT - 1 : -1] for row in found.unbind()])


def update(engine, vocabulary: int) -> float:
    sizes = {"rollout_n": 1, "ppo_mini_batch_size": SEQUENCES, "ppo_micro_batch_size_per_gpu": 1}
    config = FSDPActorConfig(strategy="fsdp2", clip_ratio_low=10.0, clip_ratio_high=10.0, **sizes)
    with engine.train_mode():
        output = engine.train_batch(batch(vocabulary), partial(ppo_loss, config))
        engine.lr_scheduler_step()
    return float(output["metrics"].get("grad_norm", "nan"))  # Megatron's engine gives it on one tensor-parallel rank


def weights(engine) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in engine.get_per_tensor_param()[0]}


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    tied = {"lm_head.weight"}  # FSDP names a tied weight twice
    assert one.keys() - tied == other.keys() - tied
    return max(float((one[name] - other[name]).abs().max()) for name in one.keys() & other.keys())


def main(out: str, tensor_parallel: int, packed: bool, student: str) -> None:
    dist.init_process_group("gloo")
    vocabulary = AutoConfig.from_pretrained(student).vocab_size
    megatron, fsdp = (build(name, student, tensor_parallel, packed) for name in ("megatron", "fsdp2"))
    found: dict = {"weights": apart(weights(megatron), weights(fsdp))}
    found["log_probs"] = float(
        (response_log_probs(megatron, vocabulary) - response_log_probs(fsdp, vocabulary)).abs().max()
    )
    before = weights(megatron)
    found["grad_norms"] = [[update(engine, vocabulary) for engine in (megatron, fsdp)] for _ in range(3)]
    found["updated_weights"] = apart(weights(megatron), weights(fsdp))
    found["moved"] = apart(weights(megatron), before)

    folder = str(Path(out).parent / f"checkpoint_{Path(out).stem}")
    megatron.save_checkpoint(folder, global_step=3)
    saved = weights(megatron)
    update(megatron, vocabulary)
    fresh = build("megatron", student, tensor_parallel, packed)
    fresh.load_checkpoint(folder, del_local_after_load=False)
    found["loaded_weights"] = apart(weights(fresh), saved)
    update(fresh, vocabulary)
    found["update_after_loading"] = apart(weights(fresh), weights(megatron))
    found["schedule"] = [engine.lr_scheduler.num_steps for engine in (megatron, fresh)]
    if dist.get_rank() == 0:
        Path(out).write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "packed", sys.argv[4])
