"""Models and tokenizers of a run, in this process."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from verl.utils import hf_tokenizer
from verl.utils.fs import copy_to_local
from verl.utils.torch_dtypes import PrecisionType

from recipe.cpu.hf_generator import HFGenerator
from recipe.zppo.errors import ConfigError
from recipe.zppo.local.batching import BatchedModel


@dataclass(slots=True)
class LocalModel:
    """A causal language model on the CPU, in `rollout.dtype`, with its tokenizer and its server."""

    model: Any
    tokenizer: Any
    server: BatchedModel
    generation_config: Any

    @classmethod
    def load(cls, path: str, config: DictConfig, max_model_len: int, *, in_thread: bool = False) -> "LocalModel":
        """Raises `ConfigError` if the model takes images. `in_thread`: see `BatchedModel`."""
        from transformers import AutoConfig, AutoModelForCausalLM

        trust = bool(config.actor_rollout_ref.model.get("trust_remote_code", False))
        folder = copy_to_local(path)
        if getattr(AutoConfig.from_pretrained(folder, trust_remote_code=trust), "vision_config", None) is not None:
            raise ConfigError(f"{path} takes images; recipe.zppo.local is for text, use verl.trainer.main_zppo")
        rollout = config.actor_rollout_ref.rollout
        dtype = PrecisionType.to_dtype(rollout.dtype)
        tokenizer = hf_tokenizer(folder, trust_remote_code=trust)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", trust_remote_code=trust
        )
        generation_config = model.generation_config  # the server empties it
        server = BatchedModel(
            HFGenerator(model, tokenizer, max_model_len=max_model_len),
            max_seqs=int(rollout.max_num_seqs),
            max_padded_tokens=int(rollout.max_num_batched_tokens),
            in_thread=in_thread,
        )
        return cls(model, tokenizer, server, generation_config)
