"""Pre-training of one model in a process of its own: ``python -m recipe.zppo.picture_world.pretrain MODEL OUT_DIR``.

Speaks with its parent as :mod:`recipe.zppo.world.pretrain` does.
"""

import random
import sys
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen3_5Config, Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.alignment import Alignment
from recipe.zppo.picture_world.documents import Corpus
from recipe.zppo.picture_world.drawing import SIZE
from recipe.zppo.picture_world.processor import (
    IMAGE,
    MERGE,
    PATCH,
    VIDEO,
    VISION_END,
    VISION_START,
    build_image_processor,
    build_tokenizer,
    pictures,
    prompt_ids,
    save_processor,
)
from recipe.zppo.picture_world.questions import Names
from recipe.zppo.picture_world.settings import PicturePretrainSettings, PictureWorldSettings, VisionModelSettings
from recipe.zppo.prompts import Messages
from recipe.zppo.world import encoding
from recipe.zppo.world import pretrain as text_world

_LAYER_TYPES = {"l": "linear_attention", "f": "full_attention"}


def build_model(shape: VisionModelSettings, tokenizer: PreTrainedTokenizerFast) -> Qwen3_5ForConditionalGeneration:
    """A tiny Qwen3.5 with random weights from torch's global generator."""
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


class Encoder(encoding.Encoder):
    """Turns documents into batches, prompts into model inputs, with their pictures."""

    chunk_documents = 16

    def __init__(self, max_positions: int):
        super().__init__(build_tokenizer(max_positions))
        self.image_processor = build_image_processor()
        self.image_id = self.tokenizer.convert_tokens_to_ids(IMAGE)

    def prompt_ids(self, messages: Messages) -> list[int]:
        return prompt_ids(self.tokenizer, messages)

    def inputs(self, ids: torch.Tensor, conversations: list[Messages]) -> dict[str, torch.Tensor]:
        """What the model takes for the tokens `ids` (rows, width) of these conversations, pictures in row order."""
        inputs = {"input_ids": ids, "mm_token_type_ids": (ids == self.image_id).int()}
        shown = [picture for messages in conversations for picture in pictures(messages)]
        return inputs | (dict(self.image_processor(images=shown, return_tensors="pt")) if shown else {})


def pretrain(
    settings: PictureWorldSettings, name: str, report: text_world.Report
) -> tuple[Qwen3_5ForConditionalGeneration, PreTrainedTokenizerFast]:
    """The trained `student` or `teacher`; the same on one machine for the same settings."""
    schedule: PicturePretrainSettings = getattr(settings, f"{name}_pretraining")
    shape: VisionModelSettings = getattr(settings, name)
    encoder = Encoder(shape.max_positions)
    corpus = Corpus(settings, Names.draw(settings), random.Random(f"{name} corpus {settings.seed}"))
    text_world.seed_torch(name, settings.seed)
    model = build_model(shape, encoder.tokenizer).train()
    alignment = Alignment(model)
    for _ in range(schedule.alignment_steps):
        alignment.step([corpus.question().scene for _ in range(schedule.alignment_pictures)])
    text_world.train(model, encoder, corpus.kinds(name), schedule, report)
    return model, encoder.tokenizer


def save(model: Qwen3_5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A checkpoint that `AutoModelForImageTextToText`, `AutoTokenizer` and `AutoImageProcessor` load."""
    text_world.save(model, tokenizer, folder)
    save_processor(tokenizer, folder)


if __name__ == "__main__":
    text_world.main(pretrain, save, *sys.argv[1:])
