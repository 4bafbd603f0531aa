"""Pre-training of one model, in a process of its own: ``python -m recipe.zppo.world.pretrain MODEL OUT_DIR``.

Reads pickled settings from standard input and writes one JSON object a line to standard output as it goes:
``{"step": n, "steps": N, "loss": x}``. A parent that is gone closes the pipe, which ends this process too.
"""

import hashlib
import json
import math
import pickle
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.documents import Corpus, Document
from recipe.zppo.world.encoding import IGNORED, Batch, Encoder
from recipe.zppo.world.settings import ModelSettings, PretrainSettings, WorldSettings
from recipe.zppo.world.tokenizer import build_tokenizer

REPORT_EVERY_S = 1.0

Report = Callable[[int, int, float], None]
Kinds = dict[str, Callable[[], Document]]
"""What draws a document of each kind, by the name of its share."""


def build_model(shape: ModelSettings, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A model with random weights from torch's global generator."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate_size,
        initializer_range=shape.initializer_range,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.float32,
    )
    return Qwen3ForCausalLM._from_config(config, attn_implementation="sdpa")


def pretrain(settings: WorldSettings, name: str, report: Report) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """The trained `student` or `teacher`; the same on one machine for the same settings."""
    shape: ModelSettings = getattr(settings, name)
    encoder = Encoder(build_tokenizer(shape.max_positions))
    corpus = Corpus(settings, PriceList.draw(settings), random.Random(f"{name} corpus {settings.seed}"))
    seed_torch(name, settings.seed)
    model = build_model(shape, encoder.tokenizer).train()
    train(model, encoder, corpus.kinds(name), getattr(settings, f"{name}_pretraining"), report)
    return model, encoder.tokenizer


def seed_torch(name: str, seed: int) -> None:
    """Of what `torch` draws for the model `name` of a world."""
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{name} {seed}".encode()).digest()[:7]))


def train(model: PreTrainedModel, encoder: Encoder, kinds: Kinds, schedule: PretrainSettings, report: Report) -> None:
    """All steps of the schedule; the model is in evaluation mode afterwards."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.lr, betas=(0.9, 0.98), fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_share(step, schedule))
    for step in range(schedule.steps):
        loss = _accumulate(model, encoder.batches(draw_documents(kinds, schedule)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        report(step + 1, schedule.steps, loss)
    model.eval()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A checkpoint that the `AutoModel` of its kind and `AutoTokenizer` load."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True, temperature=1.0
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def lr_share(step: int, schedule: PretrainSettings) -> float:
    """Linear warm-up, then a cosine down to `final_lr_share`."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    progress = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return schedule.final_lr_share + (1 - schedule.final_lr_share) * 0.5 * (1 + math.cos(math.pi * progress))


def draw_documents(kinds: Kinds, schedule: PretrainSettings) -> list[Document]:
    counts = {kind: round(schedule.batch_documents * getattr(schedule, kind)) for kind in kinds}
    counts["share_plain"] += schedule.batch_documents - sum(counts.values())
    return [draw() for kind, draw in kinds.items() for _ in range(counts[kind])]


def _accumulate(model: PreTrainedModel, batches: list[Batch]) -> float:
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


def report_lines() -> Report:
    """A report that writes JSON lines to standard output, one a second at most and the last one in any case."""
    last_report = 0.0

    def report(step: int, steps: int, loss: float) -> None:
        nonlocal last_report
        if step == steps or time.monotonic() - last_report > REPORT_EVERY_S:
            last_report = time.monotonic()
            print(json.dumps({"step": step, "steps": steps, "loss": round(loss, 4)}), flush=True)

    return report


def main(pretrain: Callable, save: Callable, name: str, folder: str) -> None:
    """What the process does: `pretrain` the model `name` of the world of standard input, `save` it into the folder."""
    torch.set_num_threads(1)
    settings = pickle.load(sys.stdin.buffer)
    save(*pretrain(settings, name, report_lines()), Path(folder))


if __name__ == "__main__":
    main(pretrain, save, *sys.argv[1:])
