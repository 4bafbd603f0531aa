"""A tiny Qwen3.5: vision tower, linear and full attention layers, multi-dimensional positions."""

import torch
from transformers import PreTrainedTokenizerFast, Qwen3_5Config, Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.drawing import SIZE
from recipe.zppo.picture_world.processor import IMAGE, MERGE, PATCH, VIDEO, VISION_END, VISION_START
from recipe.zppo.picture_world.settings import VisionModelSettings

_LAYER_TYPES = {"l": "linear_attention", "f": "full_attention"}


def build_model(shape: VisionModelSettings, tokenizer: PreTrainedTokenizerFast) -> Qwen3_5ForConditionalGeneration:
    """A model with random weights from torch's global generator."""
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in (IMAGE, VIDEO, VISION_START, VISION_END)}
    config = Qwen3_5Config(
        text_config=dict(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            num_hidden_layers=len(shape.layers),
            layer_types=[_LAYER_TYPES[letter] for letter in shape.layers],
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_heads,
            head_dim=shape.head_dim,
            linear_num_key_heads=shape.num_heads,
            linear_num_value_heads=shape.num_heads,
            linear_key_head_dim=shape.head_dim,
            linear_value_head_dim=shape.head_dim,
            intermediate_size=shape.intermediate_size,
            initializer_range=shape.initializer_range,
            max_position_embeddings=shape.max_positions,
            # Half of a head's dimensions turn: 16 of 32, which are 8 angles, for time, height and width.
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype=torch.float32,
        ),
        vision_config=dict(
            depth=shape.vision_depth,
            hidden_size=shape.vision_hidden_size,
            intermediate_size=2 * shape.vision_hidden_size,
            num_heads=shape.vision_heads,
            out_hidden_size=shape.hidden_size,
            patch_size=PATCH,
            spatial_merge_size=MERGE,
            num_position_embeddings=(SIZE // PATCH) ** 2,
            initializer_range=shape.initializer_range,
        ),
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
        dtype=torch.float32,
    )
    return Qwen3_5ForConditionalGeneration._from_config(config, attn_implementation="sdpa")
