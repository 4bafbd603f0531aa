r"""What the CPU back ends save: `python -m benchmarks.bench_local [--model FOLDER] [--threads 1]`.

Side by side in one run, on a random model of SmolLM2-135M's shape (or ``--model``), groups of 8 responses of 45 tokens
to prompts of 110:

- update: forward and backward pass of a mini-batch, every response with a prompt of its own, or behind a shared one
  (`recipe.zppo.local.packed_groups`). In a step with I updates a mini-batch has about 8 / I responses of each group.
- token: one new token of all rows, with transformers' attention or ours (`recipe.cpu.grouped_attention`).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from recipe.cpu.grouped_attention import register
from recipe.zppo.local.packed_groups import Trajectory, chunks

PROMPT, RESPONSE, GROUP = 110, 45, 8


def build(folder: str | None, dtype: torch.dtype, **changes: int) -> Any:
    if folder:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    shape = {"vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3}
    return LlamaForCausalLM(LlamaConfig(**shape | heads | changes, tie_word_embeddings=True)).to(dtype)


def trajectories(groups: int, of_each: int, vocabulary: int) -> list[Trajectory]:
    """`of_each` responses of each group, as a mini-batch has them."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda size: torch.randint(vocabulary, (size,), generator=generator).tolist()  # noqa: E731
    return [
        Trajectory(prompt, draw(RESPONSE), 0, []) for prompt in map(draw, [PROMPT] * groups) for _ in range(of_each)
    ]


def update(model: Any, batch: list[Trajectory], *, share: bool) -> float:
    """Seconds of the gradient of a mini-batch."""
    started = time.perf_counter()
    for chunk in chunks(batch, 0, model.config.vocab_size, share=share):
        logits = model.get_output_embeddings()(chunk.hidden(model)).float()
        F.cross_entropy(logits, chunk.targets, reduction="sum").backward()
    model.zero_grad()
    return time.perf_counter() - started


@torch.inference_mode()
def token(model: Any, rows: int, implementation: str, tokens: int = 4) -> float:
    """Seconds of one new token of all rows."""
    model.set_attn_implementation(implementation)
    ids = torch.ones((rows, PROMPT), dtype=torch.long)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    model(input_ids=ids[:, :1], past_key_values=cache)
    started = time.perf_counter()
    for _ in range(tokens):
        model(input_ids=ids[:, :1], past_key_values=cache)
    return (time.perf_counter() - started) / tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = build(options.model, getattr(torch, options.dtype))
    for updates in (1, 2, 4):
        batch = trajectories(options.groups, GROUP // updates, model.config.vocab_size)
        alone, shared = (min(update(model, batch, share=s) for _ in range(options.repeats)) for s in (False, True))
        print(
            f"update, I = {updates}: {alone:.2f} s, shared prompts {shared:.2f} s: {alone / shared:.1f} times as fast"
        )
    alone, grouped = (token(model, options.rows, implementation) for implementation in ("sdpa", register()))
    print(f"token of {options.rows} rows: {alone:.3f} s, grouped {grouped:.3f} s: {alone / grouped:.1f} times as fast")


if __name__ == "__main__":
    main()
