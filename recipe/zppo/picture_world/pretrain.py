"""Pre-training of one model in a process of its own: ``python -m recipe.zppo.picture_world.pretrain MODEL OUT_DIR``.

Speaks with its parent as :mod:`recipe.zppo.world.pretrain` does.
"""

import random
import sys
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.alignment import Alignment
from recipe.zppo.picture_world.documents import Corpus
from recipe.zppo.picture_world.model import build_model
from recipe.zppo.picture_world.processor import (
    IMAGE,
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
