"""Models and tokenizers of a run, in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from verl.utils import hf_tokenizer
from verl.utils.fs import copy_to_local
from verl.utils.torch_dtypes import PrecisionType

from recipe.cpu.hf_generator import HFGenerator
from recipe.zppo.errors import ConfigError
from recipe.zppo.local.batching import BatchedModel
from recipe.zppo.local.device import model_device


@dataclass(slots=True)
class LocalModel:
    """A causal language model on `trainer.device`, in `rollout.dtype`, with its tokenizer and its server.

    A student is updated in `actor.fsdp_config.mixed_precision.param_dtype`, where that is wider: then its server alone
    computes in `rollout.dtype`, in so far as that costs time (`recipe.cpu.packed_linears`).
    """

    model: Any
    tokenizer: Any
    server: BatchedModel
    generation_config: Any

    @classmethod
    def load(
        cls, path: str, config: DictConfig, max_model_len: int, *, student: bool = False, in_thread: bool = False
    ) -> "LocalModel":
        """
        Args:
            student: its tokenizer and chat template may be others than the model's (`actor_rollout_ref.model`).
            in_thread: see `BatchedModel`.

        Raises:
            ConfigError: the model takes images.
        """
        from transformers import AutoConfig, AutoModelForCausalLM

        trust = bool(config.actor_rollout_ref.model.get("trust_remote_code", False))
        folder = copy_to_local(path)
        if getattr(AutoConfig.from_pretrained(folder, trust_remote_code=trust), "vision_config", None) is not None:
            raise ConfigError(f"{path} takes images; recipe.zppo.local is for text, use verl.trainer.main_zppo")
        rollout = config.actor_rollout_ref.rollout
        served = dtype = PrecisionType.to_dtype(rollout.dtype)
        updated = OmegaConf.select(config.actor_rollout_ref, "actor.fsdp_config.mixed_precision.param_dtype")
        if student and updated and PrecisionType.to_dtype(updated).itemsize > dtype.itemsize:
            dtype = PrecisionType.to_dtype(updated)
        own: Mapping[str, Any] = config.actor_rollout_ref.model if student else {"trust_remote_code": trust}
        tokenizer = student_tokenizer(own, path)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=trust
        ).to(model_device(config))
        generation_config = model.generation_config  # the server empties it
        server = BatchedModel(
            HFGenerator(model, tokenizer, max_model_len=max_model_len, dtype=served),
            max_seqs=int(rollout.max_num_seqs),
            max_padded_tokens=int(rollout.max_num_batched_tokens),
            in_thread=in_thread,
        )
        return cls(model, tokenizer, server, generation_config)


def student_tokenizer(own: Mapping[str, Any], path: str) -> Any:
    """The tokenizer of the model at `path`, or the one that `actor_rollout_ref.model` names, with its chat template."""
    trust = bool(own.get("trust_remote_code", False))
    tokenizer = hf_tokenizer(copy_to_local(own.get("tokenizer_path") or path), trust_remote_code=trust)
    if own.get("custom_chat_template"):
        tokenizer.chat_template = own["custom_chat_template"]
    return tokenizer
