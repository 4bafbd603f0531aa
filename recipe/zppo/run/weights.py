"""The weights of a Hugging Face folder in one type, whoever wrote them."""

import functools
import json
from pathlib import Path
from typing import Any

from recipe.zppo.errors import ExportError
from recipe.zppo.run.files import write_atomically, write_text_atomically

DTYPES = ("bfloat16", "float32", "float16")
"""What a folder can be in. The first is the default: verl's own merger writes it, and servers compute in it."""


def save_model(model: Any, generation_config: Any, folder: Path) -> None:
    """Weights as they are, config and generation config of a model of transformers.

    The last is written as it is: `save_pretrained` refuses one whose values contradict each other, such as a
    temperature beside greedy decoding, which many published models have.
    """
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    model.save_pretrained(folder)
    model.generation_config = own
    if generation_config is not None:
        generation_config.to_json_file(folder / "generation_config.json")


def cast_weights(folder: Path, dtype: str = DTYPES[0]) -> None:
    """Rewrite every safetensors file of `folder` whose weights have another type, and say so in config.json.

    One file is held at a time. Whole numbers stay as they are.

    Raises:
        ExportError: a weight is not finite in `dtype`.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    wanted, size = getattr(torch, dtype), 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)
        others = [name for name, weight in weights.items() if weight.is_floating_point() and weight.dtype != wanted]
        for name in others:
            weights[name] = weights[name].to(wanted)
            if not torch.isfinite(weights[name]).all():
                raise ExportError(f"{name} is not finite in {dtype}; take another --dtype, or an earlier --step")
        if others:
            write_atomically(str(file), functools.partial(save_file, weights, metadata=metadata))
        size += sum(weight.nbytes for weight in weights.values())
    _say_so(folder, dtype, size)


def _say_so(folder: Path, dtype: str, size: int) -> None:
    """transformers and vLLM load a model in the type that its config names."""
    config = folder / "config.json"
    content = _named(json.loads(config.read_text(encoding="utf-8")), dtype) | {"dtype": dtype}
    content.pop("torch_dtype", None)  # the older name of the same
    write_text_atomically(str(config), json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    index = folder / "model.safetensors.index.json"
    if index.exists():
        listed = json.loads(index.read_text(encoding="utf-8"))
        listed["metadata"] = (listed.get("metadata") or {}) | {"total_size": size}
        write_text_atomically(str(index), json.dumps(listed, indent=2) + "\n")


def _named(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """Also in the configs within, of text and vision."""
    named = {key: _named(value, dtype) if isinstance(value, dict) else value for key, value in config.items()}
    return named | {key: dtype for key in ("dtype", "torch_dtype") if named.get(key)}
