"""Megatron-Core's local layers under the names that TransformerEngine's have. Imports Megatron: import it late.

On accelerators verl builds models of TransformerEngine's layers, in which a norm belongs to the linear layer behind
it. Checkpoints and Megatron-Bridge's tables of names are made for those. Here the same names stand for Megatron's own
layers, so that every dense model that Megatron-Bridge knows can be loaded, saved and exported.
"""

from typing import Any

import torch
from megatron.core.models.backends import LocalSpecProvider
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec, get_mlp_module_spec_for_backend
from megatron.core.packed_seq_params import PackedSeqParams
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.transformer.dot_product_attention import DotProductAttention
from megatron.core.transformer.identity_op import IdentityOp
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.utils import make_sharded_tensors_for_checkpoint
from torch.nn import functional


class RMSNorm(torch.nn.RMSNorm):
    """PyTorch's, for sequences that tensor-parallel ranks split as well; Megatron's wrapper of it refuses those."""

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **_: Any):
        super().__init__(hidden_size, eps=eps, dtype=config.params_dtype)
        self.weight.sequence_parallel = config.sequence_parallel  # Megatron adds up such weights' gradients


class LayerNormColumnParallelLinear(ColumnParallelLinear):
    """RMS norm, then a column-parallel linear layer; Megatron-Bridge knows it by this name."""

    def __init__(self, input_size: int, output_size: int, *, config: Any, **settings: Any):
        super().__init__(input_size, output_size, config=config, **settings)
        self.layer_norm_weight = torch.nn.Parameter(torch.ones(input_size, dtype=config.params_dtype))
        self.layer_norm_weight.sequence_parallel = config.sequence_parallel
        self._epsilon = config.layernorm_epsilon

    def forward(self, input_: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """[s, b, h] -> [s, b, h' / ranks], as ColumnParallelLinear."""
        normed = functional.rms_norm(input_, input_.shape[-1:], self.layer_norm_weight, self._epsilon)
        return super().forward(normed, *args, **kwargs)

    def sharded_state_dict(
        self, prefix: str = "", sharded_offsets: tuple = (), metadata: dict | None = None
    ) -> dict[str, Any]:
        """For distributed checkpoints. The norm's weight is whole on every rank."""
        state = super().sharded_state_dict(prefix, sharded_offsets, metadata)
        norm = {"layer_norm_weight": self.layer_norm_weight}
        groups = {"tp_group": self.tp_group, "dp_cp_group": (metadata or {})["dp_cp_group"]}
        return state | make_sharded_tensors_for_checkpoint(norm, prefix, None, sharded_offsets, **groups)


class CausalAttention(DotProductAttention):
    """Causal attention over padded rows or over packed sequences, as TransformerEngine's takes both.

    Padding is at a row's end, and what comes later is masked anyway: a mask of padding changes nothing that counts.
    """

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        attn_mask_type: Any = None,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: PackedSeqParams | None = None,
    ) -> torch.Tensor:
        """Rows [s, b, heads, d] -> [s, b, heads * d]; packed [tokens, heads, d] -> [tokens, 1, heads * d]."""
        if packed_seq_params is None:
            return super().forward(query, key, value, None, attn_mask_type, attention_bias)
        bounds = packed_seq_params.cu_seqlens_q_padded
        bounds = packed_seq_params.cu_seqlens_q if bounds is None else bounds
        lengths = bounds.diff().tolist()
        if (left := query.shape[0] - sum(lengths)) > 0:  # padding behind the last sequence
            lengths.append(left)
        parts = zip(query.split(lengths), key.split(lengths), value.split(lengths), strict=True)
        attended = [super(CausalAttention, self).forward(*(x.unsqueeze(1) for x in part), None) for part in parts]
        return torch.cat(attended)


class _NormsInLinears(LocalSpecProvider):
    def fuse_layernorm_and_linear(self) -> bool:
        return True

    def column_parallel_layer_norm_linear(self) -> type:
        return LayerNormColumnParallelLinear


def block_spec(config: Any, vp_stage: int | None = None) -> TransformerBlockSubmodules:
    """The decoder's layers; what Megatron-Bridge calls with its provider.

    Raises:
        ValueError: it is no plain dense decoder.
    """
    if config.num_moe_experts or config.normalization != "RMSNorm" or config.layernorm_zero_centered_gamma:
        raise ValueError("actor.strategy=megatron on the CPU has dense models with RMSNorm (Llama, Qwen2, Qwen3) only")
    layer = get_gpt_layer_local_spec(qk_layernorm=config.qk_layernorm, normalization=config.normalization)
    layer.submodules.input_layernorm = layer.submodules.pre_mlp_layernorm = IdentityOp
    layer.submodules.mlp = get_mlp_module_spec_for_backend(_NormsInLinears())
    attention = layer.submodules.self_attention.submodules
    attention.linear_qkv, attention.core_attention = LayerNormColumnParallelLinear, CausalAttention
    if config.qk_layernorm:
        attention.q_layernorm = attention.k_layernorm = RMSNorm
    return TransformerBlockSubmodules([layer] * get_num_layers_to_build(config, vp_stage), RMSNorm)
