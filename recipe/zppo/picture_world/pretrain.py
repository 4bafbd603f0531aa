"""Pre-training of one model in a process of its own: ``python -m recipe.zppo.picture_world.pretrain MODEL OUT_DIR``.

Speaks with its parent as :mod:`recipe.zppo.world.pretrain` does.
"""

import hashlib
import pickle
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3_5ForConditionalGeneration

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
from recipe.zppo.world.documents import Document
from recipe.zppo.world.pretrain import IGNORED, Report, lr_share, report_lines
from recipe.zppo.world.tokenizer import END

CHUNK_DOCUMENTS = 16


@dataclass(frozen=True)
class Batch:
    """Documents of about equal length, padded on the right.

    Padding there changes nothing before it, neither under a causal mask nor in a recurrence.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor


class Encoder:
    """Turns documents into batches, prompts into model inputs."""

    def __init__(self, max_positions: int):
        self.tokenizer = build_tokenizer(max_positions)
        self.image_processor = build_image_processor()
        self.image_id = self.tokenizer.convert_tokens_to_ids(IMAGE)

    def tokens(self, document: Document) -> tuple[list[int], list[int]]:
        """Token ids of the prompt and of the response with its end token."""
        response = self.tokenizer.encode(document.response + END, add_special_tokens=False)
        return prompt_ids(self.tokenizer, document.messages), response

    def inputs(self, ids: torch.Tensor, conversations: list[Messages]) -> dict[str, torch.Tensor]:
        """What the model takes for the tokens `ids` (rows, width) of these conversations, pictures in row order."""
        inputs = {"input_ids": ids, "mm_token_type_ids": (ids == self.image_id).int()}
        shown = [picture for messages in conversations for picture in pictures(messages)]
        return inputs | (dict(self.image_processor(images=shown, return_tensors="pt")) if shown else {})

    def batches(self, documents: list[Document]) -> list[Batch]:
        """All documents, a batch of at most `CHUNK_DOCUMENTS` each, the short ones together."""
        encoded = [(document, *self.tokens(document)) for document in documents]
        encoded.sort(key=lambda item: len(item[1]) + len(item[2]))
        starts = range(0, len(encoded), CHUNK_DOCUMENTS)
        return [self._batch(encoded[start : start + CHUNK_DOCUMENTS]) for start in starts]

    def _batch(self, encoded: list[tuple[Document, list[int], list[int]]]) -> Batch:
        width = max(len(prompt) + len(response) for _, prompt, response in encoded)
        ids = torch.full((len(encoded), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(encoded), width), IGNORED)
        for row, (_, prompt, response) in enumerate(encoded):
            end = len(prompt) + len(response)
            ids[row, :end] = torch.tensor(prompt + response)
            labels[row, len(prompt) : end] = torch.tensor(response)
        return Batch(self.inputs(ids, [document.messages for document, _, _ in encoded]), labels)


def pretrain(
    settings: PictureWorldSettings, name: str, report: Report
) -> tuple[Qwen3_5ForConditionalGeneration, PreTrainedTokenizerFast]:
    """The trained `student` or `teacher`; the same on one machine for the same settings."""
    schedule: PicturePretrainSettings = getattr(settings, f"{name}_pretraining")
    shape: VisionModelSettings = getattr(settings, name)
    encoder = Encoder(shape.max_positions)
    corpus = Corpus(settings, Names.draw(settings), random.Random(f"{name} corpus {settings.seed}"))
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{name} {settings.seed}".encode()).digest()[:7]))
    model = build_model(shape, encoder.tokenizer).train()
    alignment = Alignment(model)
    for _ in range(schedule.alignment_steps):
        alignment.step([corpus.question().scene for _ in range(schedule.alignment_pictures)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.lr, betas=(0.9, 0.98), fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_share(step, schedule))
    for step in range(schedule.steps):
        loss = _accumulate(model, encoder.batches(_draw_documents(corpus, name, schedule)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        report(step + 1, schedule.steps, loss)
    return model.eval(), encoder.tokenizer


def save(model: Qwen3_5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A checkpoint that `AutoModelForImageTextToText` and `AutoTokenizer` load."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True, temperature=1.0
    )
    model.save_pretrained(folder)
    save_processor(tokenizer, folder)


def _draw_documents(corpus: Corpus, name: str, schedule: PicturePretrainSettings) -> list[Document]:
    """One step's documents."""
    kinds = corpus.kinds(name)
    counts = {kind: round(schedule.batch_documents * getattr(schedule, kind)) for kind in kinds}
    counts["share_plain"] += schedule.batch_documents - sum(counts.values())
    return [draw() for kind, draw in kinds.items() for _ in range(counts[kind])]


def _accumulate(model: Qwen3_5ForConditionalGeneration, batches: list[Batch]) -> float:
    """Adds the gradient of the mean loss over all response tokens of the step; returns that loss."""
    num_tokens = sum(int((batch.labels != IGNORED).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        logits = model(**batch.inputs, use_cache=False).logits
        loss = F.cross_entropy(
            logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        (loss / num_tokens).backward()
        total += loss.item()
    return total / num_tokens


def main(name: str, folder: str) -> None:
    torch.set_num_threads(1)
    settings: PictureWorldSettings = pickle.load(sys.stdin.buffer)
    save(*pretrain(settings, name, report_lines()), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
