"""Alignment: before pre-training the vision tower learns to say what is in each cell, in the words' own embeddings.

A tower that starts with random weights behind a language model with random weights learns next to nothing in the time
that a toy may take: here a picture's token becomes the sum, so to speak, of a colour word and a number first.
"""

import torch
from torch.nn import functional as F
from transformers import Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.drawing import COLOURS, LARGEST_VALUE, NUM_CELLS, Scene, cell_of, draw
from recipe.zppo.picture_world.processor import build_image_processor, build_tokenizer

NOTHING = "."
LR = 3e-3
WARMUP_STEPS = 10


class Alignment:
    """Trains the vision tower of `model` on scenes."""

    def __init__(self, model: Qwen3_5ForConditionalGeneration):
        tokenizer = build_tokenizer()
        self.tower = model.model.visual
        self.image_processor = build_image_processor()
        self.words = {
            "colour": [NOTHING, *COLOURS],
            "form": [NOTHING, *map(str, range(LARGEST_VALUE + 1))],
        }
        embeddings = model.get_input_embeddings().weight.detach()
        self.embeddings = {
            kind: embeddings[tokenizer.convert_tokens_to_ids(words)].clone() for kind, words in self.words.items()
        }
        self.optimizer = torch.optim.AdamW(self.tower.parameters(), lr=LR, betas=(0.9, 0.98), fused=True)
        self.steps = 0

    def step(self, scenes: list[Scene]) -> float:
        """One update; the mean loss of a cell before it."""
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = LR * min(1.0, self.steps / WARMUP_STEPS)
        features = self.features(scenes)
        targets = [self.labels(scene) for scene in scenes]
        loss = sum(
            F.cross_entropy(features @ embeddings.T, torch.tensor([t for labels in targets for t in labels[kind]]))
            for kind, embeddings in self.embeddings.items()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def features(self, scenes: list[Scene]) -> torch.Tensor:
        """(scenes * cells, width of the language model)"""
        inputs = self.image_processor(images=[draw(scene) for scene in scenes], return_tensors="pt")
        return self.tower(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output

    def labels(self, scene: Scene) -> dict[str, list[int]]:
        """For each cell the index of its word of each kind."""
        labels = {kind: [0] * NUM_CELLS for kind in self.words}
        for thing in scene.things:
            cell = cell_of(scene, thing)
            labels["colour"][cell] = self.words["colour"].index(thing.colour)
            labels["form"][cell] = self.words["form"].index(str(thing.form))
        return labels
