"""Shape of a model, from its config.json: parameters, bytes as served, and what its cache grows by."""

import functools
import math
import os
from dataclasses import dataclass
from typing import Any

from recipe.zppo.config.model_config import UnknownShapeError, find_config

DTYPE_BYTES = {"float32": 4, "fp32": 4, "bfloat16": 2, "bf16": 2, "float16": 2, "fp16": 2, "half": 2, "float": 4}


@dataclass(frozen=True)
class LinearAttention:
    """Layers whose state does not grow with the sequence (Gated DeltaNet). Sizes are those of one layer."""

    layers: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int

    def state_bytes(self, tensor_parallel: int = 1) -> int:
        """Bytes of one sequence's state over all layers: the recurrent state in fp32, the convolution's in bf16."""
        recurrent = 4 * self.value_heads * self.key_dim * self.value_dim
        channels = 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim
        return self.layers * math.ceil((recurrent + 2 * channels * (self.kernel - 1)) / tensor_parallel)


@dataclass(frozen=True)
class ModelShape:
    """What memory depends on. Sizes are of the text model unless named otherwise."""

    path: str
    source: str
    model_type: str
    parameters: int
    vision_parameters: int
    exact: bool
    """Counted from the model built without memory; False: by the formula of a Llama-like decoder."""

    weight_bytes: int
    """As a server holds it: in its stored type, quantised layers with their scales."""

    layers: int
    attention_layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    positions: int | None
    tied: bool
    linear: LinearAttention | None
    linear_edges: int
    """Sum of inputs and outputs over the linear layers: parameters of a LoRA adapter of rank 1."""

    quantization: str | None
    block: tuple[int, int] | None
    """Outputs and inputs of a quantisation block."""

    def cache_bytes_per_token(self, tensor_parallel: int = 1, element: int = 2) -> int:
        """Keys and values of one token over all attention layers; heads fewer than ranks are replicated."""
        return 2 * self.attention_layers * math.ceil(self.kv_heads / tensor_parallel) * self.head_dim * element

    def cache_bytes(self, tokens: int, tensor_parallel: int = 1, element: int = 2) -> int:
        """Cache of one sequence on each rank."""
        state = self.linear.state_bytes(tensor_parallel) if self.linear else 0
        return tokens * self.cache_bytes_per_token(tensor_parallel, element) + state

    def block_bytes(self, tensor_parallel: int = 1, element: int = 2) -> int | None:
        """One block of vLLM's cache where layers of linear attention share it: None without such layers.

        A block belongs to as many layers as the rarer kind has, and holds one sequence's state of each, or the keys and
        values of as many tokens as take that much, a multiple of 16.
        """
        if not self.linear or not self.attention_layers:
            return None
        layers = min(self.linear.layers, self.attention_layers)
        sixteen = 16 * self.cache_bytes_per_token(tensor_parallel, element) // self.attention_layers
        state = self.linear.state_bytes(tensor_parallel) / self.linear.layers
        return layers * sixteen * math.ceil(state / sixteen)

    def activation_bytes_per_token(self) -> int:
        """What one layer's forward keeps for its backward, about: inputs of its projections, in bf16."""
        attention = 2 * self.heads * self.head_dim + 2 * self.kv_heads * self.head_dim
        return 2 * (4 * self.hidden + attention + 3 * self.intermediate)


@functools.lru_cache(maxsize=8)
def shape_of(path: str) -> ModelShape:
    """Shape of the model at `path`: a folder, a hub id in the local cache, or one of the paper's models.

    Raises:
        UnknownShapeError: the config is not here, or is not one that memory can be told from.
    """
    config, source = find_config(path)
    text = config.get("text_config") or config
    try:
        sizes = _text_sizes(text)
    except KeyError as missing:
        raise UnknownShapeError(f"its config.json has no {missing.args[0]}") from None
    quantization, element = config.get("quantization_config") or {}, _element(config, text)
    counted = _count(config, quantization, element) or _by_formula(sizes, text, config, quantization, element)
    block = quantization.get("weight_block_size")
    return ModelShape(
        path=path,
        source=source,
        model_type=str(config.get("model_type", "?")),
        positions=text.get("max_position_embeddings"),
        tied=_tied(config),
        quantization=str(quantization.get("quant_method", "?")) if quantization else None,
        block=tuple(block) if block else None,
        **sizes,
        **counted,
    )


def _text_sizes(text: dict[str, Any]) -> dict[str, Any]:
    layers, heads = text["num_hidden_layers"], text["num_attention_heads"]
    types = text.get("layer_types")
    if types is None and "full_attention_interval" in text:
        every = text["full_attention_interval"]
        types = ["full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(layers)]
    linear_layers = sum(kind == "linear_attention" for kind in types or [])
    linear = None
    if linear_layers:
        linear = LinearAttention(
            layers=linear_layers,
            key_heads=text["linear_num_key_heads"],
            value_heads=text["linear_num_value_heads"],
            key_dim=text["linear_key_head_dim"],
            value_dim=text["linear_value_head_dim"],
            kernel=text.get("linear_conv_kernel_dim", 4),
        )
    return {
        "layers": layers,
        "attention_layers": layers - linear_layers,
        "hidden": text["hidden_size"],
        "intermediate": text["intermediate_size"],
        "heads": heads,
        "kv_heads": text.get("num_key_value_heads") or heads,
        "head_dim": text.get("head_dim") or text["hidden_size"] // heads,
        "vocab": text["vocab_size"],
        "linear": linear,
    }


def _tied(config: dict[str, Any]) -> bool:
    text = config.get("text_config") or {}
    return bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))


def _element(config: dict[str, Any], text: dict[str, Any]) -> int:
    """Bytes of a stored weight that is not quantised; servers cast float32 to bfloat16."""
    names = (node.get(key) for node in (config, text) for key in ("dtype", "torch_dtype"))
    return min(2, DTYPE_BYTES.get(next((str(name) for name in names if name), "bfloat16"), 2))


def _count(config: dict[str, Any], quantization: dict[str, Any], element: int) -> dict[str, Any] | None:
    """Parameters and bytes from the model built on torch's meta device; None where transformers has no such class."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils import logging

    model_type = config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        return None
    plain = {
        key: value for key, value in config.items() if key not in ("quantization_config", "auto_map", "model_type")
    }
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        typed = CONFIG_MAPPING[model_type](**plain)
        auto = next(
            (a for a in (AutoModelForImageTextToText, AutoModelForCausalLM) if type(typed) in a._model_mapping), None
        )
        if auto is None:
            return None
        with torch.device("meta"):
            model = auto.from_config(typed)
    except Exception:  # a config that this version of transformers does not understand: the formula is left
        return None
    finally:
        logging.set_verbosity(verbosity)
    vision = sum(p.numel() for name, p in model.named_parameters() if _is_vision(name))
    total = sum(p.numel() for p in model.parameters())
    linears = {
        name: module.weight.shape
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")
    }
    skipped = [*(quantization.get("modules_to_not_convert") or quantization.get("ignore") or ()), "lm_head"]
    small = [shape for name, shape in linears.items() if not any(str(skip).rstrip("*") in name for skip in skipped)]
    weight_bytes = total * element
    if quantization:
        bits, block = _quantized_bits(quantization), quantization.get("weight_block_size") or (128, 128)
        for out, into in small:
            scales = math.ceil(out / block[0]) * math.ceil(into / block[1]) * 4
            weight_bytes += out * into * bits // 8 + scales - out * into * element
    edges = sum(out + into for name, (out, into) in linears.items() if not _is_vision(name))
    return {
        "parameters": total,
        "vision_parameters": vision,
        "exact": True,
        "weight_bytes": weight_bytes,
        "linear_edges": edges,
    }


def _is_vision(name: str) -> bool:
    return any(part in ("visual", "vision_tower", "vision_model") for part in name.split("."))


def _quantized_bits(quantization: dict[str, Any]) -> int:
    """Bits of a quantised weight; 8 where the config does not say."""
    if "bits" in quantization:
        return int(quantization["bits"])
    groups = quantization.get("config_groups") or {}
    return int(next((group["weights"]["num_bits"] for group in groups.values() if "weights" in group), 8))


def _by_formula(
    sizes: dict[str, Any],
    text: dict[str, Any],
    config: dict[str, Any],
    quantization: dict[str, Any],
    element: int,
) -> dict[str, Any]:
    """Parameters of a Llama-like decoder: q, k, v, o, a gated MLP and two norms a layer; embeddings, last norm, head.

    Raises:
        UnknownShapeError: experts, linear attention or a vision tower, of which the formula knows nothing.
    """
    if any(key in text for key in ("num_experts", "num_local_experts", "n_routed_experts")) or sizes["linear"]:
        raise UnknownShapeError(f"transformers has no class for its model_type {config.get('model_type')!r}")
    hidden, intermediate, width = sizes["hidden"], sizes["intermediate"], sizes["head_dim"]
    q, kv = sizes["heads"] * width, sizes["kv_heads"] * width
    linear = 2 * hidden * q + 2 * hidden * kv + 3 * hidden * intermediate
    embeddings = sizes["vocab"] * hidden * (1 if _tied(config) else 2)
    total = sizes["layers"] * (linear + 2 * hidden) + hidden + embeddings
    edges = sizes["layers"] * (2 * (hidden + q) + 2 * (hidden + kv) + 3 * (hidden + intermediate))
    weight_bytes = total * element
    if quantization:
        weight_bytes += sizes["layers"] * linear * (_quantized_bits(quantization) - 8 * element) // 8
    return {
        "parameters": total,
        "vision_parameters": 0,
        "exact": False,
        "weight_bytes": weight_bytes,
        "linear_edges": edges,
    }
