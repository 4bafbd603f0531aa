"""Measures a picture world: ``python -m recipe.zppo.picture_world.evaluate [world] [--student PATH] [--split val]``.

Sampling at temperature 1 without a server; the figures are those of :mod:`recipe.zppo.world.evaluate`.
"""

import argparse
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pandas as pd
import torch
from PIL import Image
from transformers import Cache, PreTrainedModel, Qwen3_5ForConditionalGeneration

from recipe.zppo.picture_world.drawing import FAMILIES
from recipe.zppo.picture_world.pretrain import Encoder
from recipe.zppo.picture_world.processor import prompt_ids
from recipe.zppo.picture_world.settings import default_path
from recipe.zppo.prompts import Messages
from recipe.zppo.world.evaluate import GROUP_SIZE, TEACHER_GROUP_SIZE, one_thread, plain_outcomes, visit
from recipe.zppo.world.paths import WorldPaths

MAX_NEW_TOKENS = 32
MAX_ROWS = 256


class PictureSampler:
    """Samples text from a model with a seeded generator of its own."""

    def __init__(self, model: PreTrainedModel, seed: int = 0):
        self.model, self.encoder = model.eval(), Encoder(model.config.get_text_config().max_position_embeddings)
        self.generator = torch.Generator().manual_seed(seed)

    @classmethod
    def load(cls, path: Path, seed: int = 0) -> "PictureSampler":
        return cls(Qwen3_5ForConditionalGeneration.from_pretrained(path, dtype=torch.float32), seed)

    def __call__(self, conversations: Sequence[Messages], num_samples: int) -> list[list[str]]:
        """`num_samples` responses to each conversation. Prompts of equal length go together, without padding."""
        tokenizer = self.encoder.tokenizer
        by_length: dict[int, list[int]] = defaultdict(list)
        prompts = [prompt_ids(tokenizer, messages) for messages in conversations]
        for index, prompt in enumerate(prompts):
            by_length[len(prompt)].append(index)
        texts: list[list[str]] = [[] for _ in prompts]
        per_batch = max(1, MAX_ROWS // num_samples)
        for indices in by_length.values():
            for start in range(0, len(indices), per_batch):
                chosen = indices[start : start + per_batch]
                ids = torch.tensor([prompts[i] for i in chosen])
                inputs = self.encoder.inputs(ids, [conversations[i] for i in chosen])
                decoded = tokenizer.batch_decode(self._sample(inputs, num_samples), skip_special_tokens=True)
                for n, index in enumerate(chosen):
                    texts[index] = decoded[n * num_samples : (n + 1) * num_samples]
        return texts

    @torch.no_grad()
    def _sample(self, inputs: dict[str, torch.Tensor], num_samples: int) -> torch.Tensor:
        """(prompts * samples, at most MAX_NEW_TOKENS) response ids; each prompt is read once for all its samples."""
        eos_id = self.encoder.tokenizer.eos_token_id
        # Else a prompt without pictures would go on from the positions of the last prompt that had one.
        self.model.model.rope_deltas = None
        output = self.model(**inputs, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        _repeat(cache, num_samples)
        logits = output.logits[:, -1].repeat_interleave(num_samples, dim=0)
        finished = torch.zeros(len(logits), dtype=torch.bool)
        columns = []
        for _ in range(MAX_NEW_TOKENS):
            token = torch.multinomial(logits.softmax(-1), 1, generator=self.generator)
            token[finished] = eos_id
            columns.append(token)
            finished |= token[:, 0] == eos_id
            if finished.all():
                break
            logits = self.model(input_ids=token, past_key_values=cache, use_cache=True).logits[:, -1]
        return torch.cat(columns, dim=1)


def _repeat(cache: Cache, times: int) -> None:
    """Each row of the cache `times` times. The cache of linear attention layers has no method for it."""
    for layer in cache.layers:
        if getattr(layer, "recurrent_states", None) is None:
            layer.batch_repeat_interleave(times)
        else:
            layer.conv_states = layer.conv_states.repeat_interleave(times, dim=0)
            layer.recurrent_states = layer.recurrent_states.repeat_interleave(times, dim=0)


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
        measured = dict(visit(student, teacher, questions, answers).figures)
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
    questions, answers, families = load_questions({"train": paths.train_file, "val": paths.val_file}[args.split])
    n = args.limit
    with one_thread():
        student = PictureSampler.load(args.student or paths.student)
        teacher = PictureSampler.load(paths.teacher)
        measured = dict(visit(student, teacher, questions[:n], answers[:n]).figures)
        for family, value in accuracy_by_family(student, questions[:n], answers[:n], families[:n], GROUP_SIZE).items():
            measured[f"plain_accuracy{family}"] = value
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
