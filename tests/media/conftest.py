"""A tiny random Qwen3.5 (hybrid linear attention, vision tower) with tokenizer, processor and chat template."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from recipe.zppo.prompts import BCQ, CLOSER, COMPRESSION, NCQ_ANSWERS, NCQ_HEADER

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL += ["<|image_pad|>", "<|video_pad|>"]
# Not special, as in the real tokenizer, but tokens of their own.
ADDED = ["<think>", "</think>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH = 8  # pixels; a token is 2 x 2 patches


def make_tokenizer():
    """Bytes, so that any text can be encoded, and the words of the templates, so that prompts are short."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    templates = " ".join(template.text for template in (CLOSER, BCQ, NCQ_ANSWERS, NCQ_HEADER, COMPRESSION))
    words = sorted(set(re.findall(r" [A-Za-z]{2,}", templates)))
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED + words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=SPECIAL[1:2] + SPECIAL[3:],
        chat_template=CHAT_TEMPLATE,
    )


def make_qwen3_5(tokenizer, *, seed: int = 0, max_position_embeddings: int = 4096, **text: Any):
    """About 0.2 million parameters: three layers of linear attention and one of full attention, two vision layers.

    ``text``: changes to the configuration of the language model.
    """
    import torch
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    torch.manual_seed(seed)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    config = Qwen3_5Config(
        text_config=dict(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            max_position_embeddings=max_position_embeddings,
            initializer_range=0.1,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 1.0,
                "mrope_section": [3, 3, 2],
                "mrope_interleaved": True,
            },
            eos_token_id=ids["<|im_end|>"],
            pad_token_id=ids["<|endoftext|>"],
            tie_word_embeddings=True,
        )
        | text,
        vision_config=dict(
            depth=2,
            hidden_size=32,
            intermediate_size=64,
            num_heads=2,
            patch_size=PATCH,
            out_hidden_size=64,
            num_position_embeddings=64,
            initializer_range=0.1,
        ),
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    return Qwen3_5ForConditionalGeneration(config)


def save_qwen3_5(path: Path, *, seed: int = 0, **text: Any) -> Path:
    """Weights, tokenizer and processor files in the layout of the published checkpoints."""
    tokenizer = make_tokenizer()
    make_qwen3_5(tokenizer, seed=seed, **text).save_pretrained(path)
    tokenizer.save_pretrained(path)
    size = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    common = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    image = common | {"image_processor_type": "Qwen2VLImageProcessorFast", "size": size}
    video = common | {"video_processor_type": "Qwen3VLVideoProcessor"}
    video["size"] = {"shortest_edge": 2 * 16 * 16, "longest_edge": 8 * 64 * 64}
    (path / "preprocessor_config.json").write_text(json.dumps(image))
    (path / "video_preprocessor_config.json").write_text(json.dumps(video))
    return path


@pytest.fixture(scope="session")
def qwen3_5_path(tmp_path_factory) -> Path:
    return save_qwen3_5(tmp_path_factory.mktemp("qwen3_5"))
