"""Sums of three or four digits and products for SmolLM2, with worked answers: as in examples/smollm2, without its
generator, which needs a C compiler."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.reasoning_gym import SFT_SCHEMA
from recipe.zppo.data.rows import build_row
from recipe.zppo.data.worked_answers import worked_answer
from recipe.zppo.prompts import with_closer
from recipe.zppo.randomness import generator


def _expression(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.5:
        terms = [str(rng.randint(1, 9)) for _ in range(rng.randint(3, 4))]
        signs = [rng.choice("+-") for _ in terms[1:]]
        return "chain_sum", " ".join(
            [terms[0], *(part for pair in zip(signs, terms[1:], strict=True) for part in pair)]
        )
    return "products", f"{rng.randint(2, 99)} * {rng.randint(2, 99)}"


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """Without end, no question twice, each with its worked answer as a conversation."""
    rng, seen = generator(seed, "gpu check's questions"), set()
    while True:
        task, expression = _expression(rng)
        if expression in seen:
            continue
        seen.add(expression)
        answer = str(eval(expression))  # of the digits and signs above
        question = f"What is {expression}?"
        row = build_row(data_source=task, question=question, answer=answer, prompt_id=expression, index=len(seen))
        response = worked_answer(task, {"expression": expression}, answer)
        yield {**row, "messages": [*with_closer(row["prompt"]), {"role": "assistant", "content": response}]}


def write(folder: Path, *, train: int, val: int, sft: int, seed: int = 0) -> None:
    """train.parquet, val.parquet and sft.parquet; they share no question."""
    folder.mkdir(parents=True, exist_ok=True)
    source = rows(seed)
    for name, number in (("val", val), ("train", train), ("sft", sft)):
        taken = [next(source) for _ in range(number)]
        write_rows(folder / f"{name}.parquet", taken, SFT_SCHEMA)
