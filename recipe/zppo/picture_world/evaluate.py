"""Measures a picture world: ``python -m recipe.zppo.picture_world.evaluate [world] [--student PATH] [--split val]``.

Sampling at temperature 1 without a server; the figures are those of :mod:`recipe.zppo.world.evaluate`.
"""

import argparse
import io
import json
from pathlib import Path
from statistics import fmean

import pandas as pd
import torch
from PIL import Image
from transformers import PreTrainedModel, Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.drawing import FAMILIES
from recipe.zppo.picture_world.pretrain import Encoder
from recipe.zppo.picture_world.settings import default_path
from recipe.zppo.prompts import Messages
from recipe.zppo.world.evaluate import GROUP_SIZE, TEACHER_GROUP_SIZE, Sampler, one_thread, plain_outcomes, visit
from recipe.zppo.world.paths import WorldPaths


class PictureSampler(Sampler):
    """Samples text from a model that sees pictures."""

    max_rows = 256

    def __init__(self, model: PreTrainedModel, seed: int = 0):
        super().__init__(model, Encoder(model.config.get_text_config().max_position_embeddings), seed)

    @classmethod
    def load(cls, path: Path, seed: int = 0) -> "PictureSampler":
        return cls(Qwen3_5ForConditionalGeneration.from_pretrained(path, dtype=torch.float32), seed)

    def inputs(self, ids: torch.Tensor, conversations: list[Messages]) -> dict[str, torch.Tensor]:
        # Else a prompt without pictures would go on from the positions of the last prompt that had one.
        self.model.model.rope_deltas = None
        return super().inputs(ids, conversations)


def load_questions(path: Path, limit: int | None = None) -> tuple[list[Messages], list[str], list[str]]:
    """Questions with their pictures and without closer, their right answers and families, from a data file."""
    frame = pd.read_parquet(path).head(limit)
    questions = []
    for prompt, images in zip(frame["prompt"], frame["images"], strict=True):
        picture = {"type": "image", "image": Image.open(io.BytesIO(images[0]["bytes"]))}
        text = {"type": "text", "text": prompt[0]["content"].removeprefix("<image>")}
        questions.append([{"role": "user", "content": [picture, text]}])
    return questions, [reward["ground_truth"] for reward in frame["reward_model"]], list(frame["ability"])


def accuracy_by_family(
    sampler: PictureSampler, questions: list[Messages], answers: list[str], families: list[str], n: int
) -> dict[str, float]:
    """Mean of `n` plain samples a question, of all (`""`) and of each family."""
    outcomes = plain_outcomes(sampler, questions, answers, n)
    by_family = {
        family: [value for value, f in zip(outcomes, families, strict=True) if f == family] for family in FAMILIES
    }
    return {"": fmean(outcomes)} | {f"_{family}": fmean(values) for family, values in by_family.items() if values}


def measure_world(paths: WorldPaths, limit: int) -> dict[str, float]:
    """The figures of a visit of the first `limit` training questions; plain accuracy of both models on `val`."""
    with one_thread():
        student, teacher = PictureSampler.load(paths.student), PictureSampler.load(paths.teacher)
        questions, answers, _ = load_questions(paths.train_file, limit)
        measured, _ = visit(student, teacher, questions, answers)
        held_out = load_questions(paths.val_file, limit)
        for name, sampler, n in (("plain", student, GROUP_SIZE), ("teacher", teacher, TEACHER_GROUP_SIZE)):
            for family, value in accuracy_by_family(sampler, *held_out, n).items():
                measured[f"val_{name}_accuracy{family}"] = value
    return {name: round(value, 4) for name, value in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, nargs="?", help="folder of a finished world (default: the cached one)")
    parser.add_argument("--student", type=Path, help="another student, for instance one trained on this world")
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--limit", type=int, default=192, help="number of questions")
    args = parser.parse_args()
    paths = WorldPaths(args.world or default_path())
    questions, answers, families = load_questions(paths.file(args.split))
    n = args.limit
    with one_thread():
        student = PictureSampler.load(args.student or paths.student)
        teacher = PictureSampler.load(paths.teacher)
        measured, _ = visit(student, teacher, questions[:n], answers[:n])
        for family, value in accuracy_by_family(student, questions[:n], answers[:n], families[:n], GROUP_SIZE).items():
            measured[f"plain_accuracy{family}"] = value
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
