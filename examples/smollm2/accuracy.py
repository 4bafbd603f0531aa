r"""Accuracy of models on a data file: ``python examples/smollm2/accuracy.py DATA.parquet MODEL ... [--samples 4]``.

Samples at temperature 1 as in training, grades with `recipe.zppo.data.reasoning_gym_reward`, and says per task how
often the last box was right (`accuracy`) and there (`boxed`), the share of questions on which the model is right
sometimes but not always (`mixed`; only those teach plain GRPO) or never (`unsolved`), and the mean length in tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_sampling import SamplingParams
from recipe.zppo import answer_format
from recipe.zppo.data.reasoning_gym_reward import compute_score
from recipe.zppo.prompts import with_closer
from recipe.zppo.randomness import derive_seed

BATCH = 128
VALIDATION = (0.6, 0.95, 20)
"""The trainer's `val_kwargs`: temperature, top-p, top-k."""


def measure(
    folder: Path,
    frame: pd.DataFrame,
    samples: int,
    max_tokens: int,
    dtype: torch.dtype,
    decoding: tuple[float, float, int] = (1.0, 1.0, 0),
) -> dict[str, Any]:
    """Figures of one model on the rows of `frame`, by task and over all (`all`). `decoding`: temperature, top-p and
    top-k."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    generator = HFGenerator(model, tokenizer, max_model_len=4096)
    rows, requests = [], []
    for _, row in frame.iterrows():
        prompt = tokenizer.apply_chat_template(
            with_closer([dict(message) for message in row["prompt"]]), add_generation_prompt=True, return_dict=False
        )
        for session in range(samples):
            seed = derive_seed(0, row["prompt_id"], session) % 2**31
            requests.append(generator.request(prompt, SamplingParams(*decoding, max_tokens, seed=seed)))
            rows.append(row)
    started, scores, texts = time.monotonic(), [], []
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt_ids))
    responses: dict[int, Any] = {}
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        responses |= zip(part, generator.generate([requests[i] for i in part]), strict=True)
        print(f"\r{folder}: {len(responses)}/{len(order)}, {time.monotonic() - started:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    seconds = time.monotonic() - started
    groups: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for i, row in enumerate(rows):
        text = tokenizer.decode(responses[i].token_ids, skip_special_tokens=True)
        texts.append(text)
        result = compute_score(row["data_source"], text, row["reward_model"]["ground_truth"], row["extra_info"])
        scores.append(result["score"])
        for name in ("all", row["data_source"]):
            group = groups[name]
            group["score"].append(result["score"])
            group["boxed"].append(bool(result["answer"]))
            group["tokens"].append(len(responses[i].token_ids))
            group["id"].append(row["prompt_id"])
    report = {}
    for name, group in sorted(groups.items()):
        by_question = pd.Series(group["score"]).groupby(group["id"]).mean()
        report[name] = {
            "accuracy": round(sum(group["score"]) / len(group["score"]), 4),
            "boxed": round(sum(group["boxed"]) / len(group["boxed"]), 4),
            "questions": len(by_question),
            "mixed": round(float(((by_question > 0) & (by_question < 1)).mean()), 4),
            "unsolved": round(float((by_question == 0).mean()), 4),
            "tokens": round(sum(group["tokens"]) / len(group["tokens"]), 1),
        }
    examples = [{"score": scores[i], "text": texts[i]} for i in range(0, len(texts), max(1, len(texts) // 6))]
    return {
        "model": str(folder),
        "samples": samples,
        "seconds": round(seconds, 1),
        "by_task": report,
        "examples": examples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--limit", type=int, help="first rows only")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--closer", help="what ends every prompt, in place of the paper's")
    parser.add_argument("--validation", action="store_true", help="decode as the trainer validates, not as it trains")
    parser.add_argument("--out", type=Path, help="write the figures and some responses as JSON, one model a line")
    options = parser.parse_args()
    frame = pd.read_parquet(options.data).head(options.limit) if options.limit else pd.read_parquet(options.data)
    if options.closer is not None:
        answer_format.use(answer_format.AnswerFormat(closer=options.closer))
    decoding = VALIDATION if options.validation else (1.0, 1.0, 0)
    for folder in options.models:
        result = measure(folder, frame, options.samples, options.max_tokens, getattr(torch, options.dtype), decoding)
        for name, figures in result["by_task"].items():
            print(f"{folder} {name}: {figures}")
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
