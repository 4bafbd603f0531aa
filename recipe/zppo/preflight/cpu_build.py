"""What vLLM's CPU build cannot compute (`platform=cpu_vllm`), before its engine says so with a traceback."""

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.models import model_config

_LORA = "actor_rollout_ref.model.lora"


def check_cpu_build(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Linear attention (Qwen3.5) needs bfloat16 there, and takes no adapters (vLLM's `cpu_gdn_attention_core`)."""
    rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
    if config.trainer.device != "cpu" or rollout.name != "vllm":
        return
    student, own = str(model.path), zppo.teacher.inference.get("dtype", rollout.dtype)
    served = [(student, "actor_rollout_ref.rollout.dtype", rollout.dtype)]
    served += [(path, "zppo.teacher.inference.dtype", own) for path in zppo.placed_teachers]
    for path, key, dtype in served:
        if _linear(path) and dtype != "bfloat16":
            raise ConfigError(
                f"{key}: {path} has linear attention, which vLLM's CPU build computes in bfloat16 only, not in "
                f"{dtype}; set bfloat16, or platform=cpu"
            )
    if model.lora_rank > 0 and not (model.get("lora") or {}).get("merge", False) and _linear(student):
        raise ConfigError(
            f"{_LORA}.merge: {student} has linear attention, to which vLLM's CPU build serves no adapters; set true"
        )


def _linear(path: str) -> bool:
    return str(model_config(path).get("model_type", "")).startswith(("qwen3_5", "qwen3_next"))
