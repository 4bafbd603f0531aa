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
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.documents import Corpus, encode
from recipe.zppo.world.settings import ModelSettings, PretrainSettings, WorldSettings
from recipe.zppo.world.tokenizer import build_tokenizer

IGNORED = -100
REPORT_EVERY_S = 1.0
CHUNK_DOCUMENTS = 8

Report = Callable[[int, int, float], None]


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
    schedule: PretrainSettings = getattr(settings, f"{name}_pretraining")
    shape: ModelSettings = getattr(settings, name)
    tokenizer = build_tokenizer(shape.max_positions)
    corpus = Corpus(settings, PriceList.draw(settings), random.Random(f"{name} corpus {settings.seed}"))
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{name} {settings.seed}".encode()).digest()[:7]))
    model = build_model(shape, tokenizer).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.lr, betas=(0.9, 0.98), fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_share(step, schedule))
    for step in range(schedule.steps):
        loss = _accumulate(model, _draw_batches(corpus, name, schedule, tokenizer))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        report(step + 1, schedule.steps, loss)
    return model.eval(), tokenizer


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A checkpoint that `AutoModelForCausalLM` and `AutoTokenizer` load."""
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


def _draw_batches(
    corpus: Corpus, name: str, schedule: PretrainSettings, tokenizer: PreTrainedTokenizerFast
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """One step's documents as (input ids, labels), in padded chunks of documents of about equal length."""
    kinds = corpus.kinds(name)
    counts = {kind: round(schedule.batch_documents * getattr(schedule, kind)) for kind in kinds}
    counts["share_plain"] += schedule.batch_documents - sum(counts.values())
    pairs = [encode(draw(), tokenizer) for kind, draw in kinds.items() for _ in range(counts[kind])]
    pairs.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
    chunks = [pairs[start : start + CHUNK_DOCUMENTS] for start in range(0, len(pairs), CHUNK_DOCUMENTS)]
    return [_pad(chunk, tokenizer.pad_token_id) for chunk in chunks]


def _pad(pairs: list[tuple[list[int], list[int]]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded on the right: under a causal mask padding there changes nothing, so no attention mask is needed."""
    width = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.full((len(pairs), width), pad_id)
    labels = torch.full((len(pairs), width), IGNORED)
    for row, (prompt, response) in enumerate(pairs):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, len(prompt) : end] = torch.tensor(response)
    return ids, labels


def _accumulate(model: Qwen3ForCausalLM, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Adds the gradient of the mean loss over all response tokens of the step; returns that loss."""
    num_tokens = sum(int((labels != IGNORED).sum()) for _, labels in batches)
    total = 0.0
    for ids, labels in batches:
        logits = model(input_ids=ids, use_cache=False).logits
        loss = F.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
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


def main(name: str, folder: str) -> None:
    torch.set_num_threads(1)
    settings: WorldSettings = pickle.load(sys.stdin.buffer)
    save(*pretrain(settings, name, report_lines()), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
