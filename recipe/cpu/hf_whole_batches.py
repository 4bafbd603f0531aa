"""Generation by transformers' own `generate`: for images, and for layers that `hf_decoding` does not know.

A batch is answered as a whole; `generate` runs greedily on logits of which only the drawn token's is left finite.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from recipe.cpu.hf_draws import Draws
from recipe.cpu.hf_inputs import ModelInputs
from recipe.cpu.hf_requests import Request


def generate(inputs_of: ModelInputs, requests: Sequence[Request], draws: Draws, aborted: Callable[[], bool]) -> None:
    """Fill `draws`; `aborted` is asked after each token."""
    inputs = inputs_of(requests)
    inputs_of.model.generate(
        **inputs,
        past_key_values=_shared_prefill(inputs_of, requests, inputs),
        generation_config=GenerationConfig(do_sample=False, max_new_tokens=draws.steps, pad_token_id=inputs_of.pad),
        logits_processor=[_Forced(draws)],
        stopping_criteria=[_Stopping(draws, aborted)],
    )


def similar(requests: Sequence[Request], max_rows: int, max_padded_tokens: int) -> int:
    """How many from the front make a batch; they are sorted by the length of their prompts.

    Rows are padded to the longest prompt, which may double the work and no more. ``max_padded_tokens`` bounds rows
    times (longest prompt + largest budget), which the key-value cache can grow to.
    """
    budget = total = 0
    for count, request in enumerate(requests):
        rows, length = count + 1, len(request.prompt_ids)
        total, budget = total + length, max(budget, request.params.max_tokens)
        fits = rows <= max_rows and rows * (length + budget) <= max_padded_tokens
        if count and not (fits and rows * length <= 2 * total + 16 * rows):
            return count
    return len(requests)


def _shared_prefill(inputs_of: ModelInputs, requests: Sequence[Request], inputs: dict[str, torch.Tensor]) -> Any:
    """Key-value cache of all prompt tokens but the last, each different prompt computed once; None if no gain."""
    first_row: dict[tuple[int, ...], int] = {}
    rows = [first_row.setdefault(tuple(r.prompt_ids), row) for row, r in enumerate(requests)]
    width = inputs["input_ids"].shape[1]
    if inputs_of.vision.processor or width < 2 or len(first_row) > len(rows) // 2:
        return None
    unique = list(first_row.values())
    mask = inputs["attention_mask"][unique, : width - 1]
    cache = inputs_of.model(
        input_ids=inputs["input_ids"][unique, : width - 1],
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    at = {row: index for index, row in enumerate(unique)}
    cache.batch_select_indices(torch.tensor([at[row] for row in rows], device=mask.device))
    return cache


class _Forced(LogitsProcessor):
    """Draws, and leaves `generate` no choice."""

    def __init__(self, draws: Draws):
        self._draws = draws
        self._rows = torch.arange(len(draws.lengths), device=draws.lengths.device)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        token = self._draws(scores, self._rows)
        return scores.fill_(-torch.inf).scatter_(-1, token[:, None], 0.0)


class _Stopping(StoppingCriteria):
    """Ends the batch when every row has ended or `aborted()` says so.

    It has no attribute `eos_token_id` on purpose: `generate` would then overwrite tokens of ended rows with padding.
    """

    def __init__(self, draws: Draws, aborted: Callable[[], bool]):
        self._draws, self._aborted = draws, aborted

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.BoolTensor:
        if self._aborted():
            return torch.ones_like(self._draws.done)
        return self._draws.done.clone()
