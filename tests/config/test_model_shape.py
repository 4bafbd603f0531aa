"""Shapes of models: against counts published elsewhere, and against models that are really built."""

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3_5Config, Qwen3_5ForConditionalGeneration

from recipe.zppo.config.model_config import TABLE, UnknownShapeError
from recipe.zppo.config.model_shape import shape_of

MODELS = json.loads(TABLE.read_text())["models"]


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model["stored_parameters"]])
def test_the_papers_models_have_the_parameters_that_the_hub_states(name: str) -> None:
    """Stored are the model's and those of one multi-token prediction layer, which nothing here loads."""
    shape = shape_of(name)
    h, q, kv = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = h * 2 * q + 2 * h * kv + q * h + 2 * shape.head_dim  # queries come with a gate
    prediction = attention + 3 * h * shape.intermediate + 2 * h * h + 5 * h
    assert shape.exact
    assert shape.parameters + prediction == MODELS[name]["stored_parameters"]


def test_the_fp8_teacher_takes_half_of_what_is_quantised() -> None:
    full, small = shape_of("Qwen/Qwen3.5-27B"), shape_of("Qwen/Qwen3.5-27B-FP8")
    assert full.parameters == small.parameters
    assert full.weight_bytes == 2 * full.parameters
    kept = 2 * 248_320 * 5120 + small.vision_parameters  # embeddings, head, vision: bf16
    assert 2 * kept + (small.parameters - kept) < small.weight_bytes < 31e9
    assert (small.quantization, small.block) == ("fp8", (128, 128))


def test_linear_attention_has_a_state_and_no_growing_cache() -> None:
    shape = shape_of("Qwen/Qwen3.5-2B")
    assert (shape.layers, shape.attention_layers, shape.linear.layers) == (24, 6, 18)
    assert shape.cache_bytes_per_token() == 2 * 6 * 2 * 256 * 2
    state = shape.cache_bytes(0)
    assert shape.cache_bytes(1000) == state + 1000 * shape.cache_bytes_per_token()
    assert state == 18 * (16 * 128 * 128 * 4 + 3 * 3 * 16 * 128 * 2)
    # Two key-value heads on four ranks: each rank holds one.
    assert shape.cache_bytes_per_token(4) == shape.cache_bytes_per_token() // 2


def test_a_local_qwen3_5_is_counted_as_it_is(tmp_path: Path) -> None:
    config = Qwen3_5Config(
        text_config=dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=2,
                         num_key_value_heads=1, head_dim=16, linear_num_key_heads=2, linear_num_value_heads=2,
                         linear_key_head_dim=8, linear_value_head_dim=8, vocab_size=64),
        vision_config=dict(depth=1, hidden_size=16, intermediate_size=32, num_heads=2, out_hidden_size=32,
                           num_position_embeddings=16),
        tie_word_embeddings=True,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    model = Qwen3_5ForConditionalGeneration(config)
    shape = shape_of(str(tmp_path))
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.vision_parameters == sum(p.numel() for p in model.model.visual.parameters()) > 0
    assert (shape.source, shape.attention_layers, shape.linear.layers) == ("config.json", 1, 3)


def test_the_formula_agrees_with_a_llama(tmp_path: Path) -> None:
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=100,
    )  # fmt: skip
    with torch.device("meta"):
        expected = sum(p.numel() for p in LlamaForCausalLM(config).parameters())
    config.save_pretrained(tmp_path)
    assert shape_of(str(tmp_path)).parameters == expected
    content = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "nobody_knows"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(content))
    shape = shape_of(str(other))
    assert (shape.parameters, shape.exact) == (expected, False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"max_position_embeddings": 10}, "no num_hidden_layers"),
        (
            dict(num_hidden_layers=1, num_attention_heads=1, hidden_size=1, intermediate_size=1, vocab_size=1,
                 model_type="nobody_knows", num_experts=2),
            "no class for its model_type 'nobody_knows'",
        ),
    ],
)  # fmt: skip
def test_an_unknown_shape_says_why(tmp_path: Path, content: dict, reason: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UnknownShapeError, match=reason):
        shape_of(str(tmp_path))
    with pytest.raises(UnknownShapeError, match="not on this machine"):
        shape_of("nobody/knows-it")
