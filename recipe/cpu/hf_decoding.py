"""A decoding loop of our own, for models whose every layer is full attention over text.

Each different prompt is computed once, with others of about its length; then all rows go through the model together, a
token at a time. Rows leave as they end, waiting ones enter as there is room.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from recipe.cpu.grouped_attention import GROUPED
from recipe.cpu.hf_cohort import Cohort
from recipe.cpu.hf_draws import Draws
from recipe.cpu.hf_requests import Request

_PREFILL_TOKENS = 8192
"""Of a forward pass over prompts, padding included."""


class Running(NamedTuple):
    cohort: Cohort
    draws: Draws
    numbers: list[int]
    """Of the rows' requests, as `draws` counts rows."""


def can_decode(model: Any) -> bool:
    """Whether the loop gives what transformers' `generate` gives: text, and layers that see all tokens before.

    A recurrent or sliding-window layer keeps something else, and images have positions of their own.
    """
    return (
        model.config._attn_implementation == GROUPED
        and model._supports_attention_backend
        and model.get_output_embeddings() is not None
        and getattr(model.config, "vision_config", None) is None
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
    )


class Decoding:
    """Requests that wait and rows that run.

    Args:
        draws: makes the `Draws` of requests that begin together.
        max_rows: that run at a time.
        max_tokens: of the key-value cache, prompts counted once and every row with its whole budget, padding of both
            included. A request that exceeds it by itself still runs.
    """

    def __init__(
        self,
        model: Any,
        pad: int,
        draws: Callable[[Sequence[Request]], Draws],
        *,
        max_rows: int,
        max_tokens: int,
    ):
        self._model, self._pad, self._draws = model, pad, draws
        self._max_rows, self._max_tokens = max_rows, max_tokens
        self._waiting: dict[int, Request] = {}
        self._running: list[Running] = []
        self._full = False  # nothing that waits fits, until a row ends or other requests wait

    def __bool__(self) -> bool:
        return bool(self._waiting or self._running)

    def add(self, requests: dict[int, Request]) -> None:
        """By number, which nothing else that waits or runs has."""
        self._waiting |= requests
        self._full = False

    def forget(self, numbers: set[int]) -> set[int]:
        """Of these, those that have not begun; gives them."""
        forgotten = numbers & self._waiting.keys()
        for number in forgotten:
            del self._waiting[number]
        self._full &= not forgotten
        return forgotten

    def step(self) -> list[tuple[int, Draws, int]]:
        """One more token for every row; the rows that have ended: the request's number, the draws and the row there."""
        ended: list[tuple[int, Draws, int]] = []
        self._admit(ended)
        if self._running:
            self._token(ended)
        return ended

    def stop(self) -> list[tuple[int, Draws, int]]:
        """End all that runs, as in `step`; what waits is forgotten."""
        self._waiting.clear()
        running, self._running = self._running, []
        return [(run.numbers[row], run.draws, row) for run in running for row in run.cohort.rows.tolist()]

    def _admit(self, ended: list) -> None:
        """Not a row at a time: a cohort costs some work of its own."""
        while self._waiting and not self._full:
            rows = sum(len(run.cohort.rows) for run in self._running)
            if self._running and self._max_rows - rows < min(len(self._waiting), self._max_rows // 4):
                return
            tokens = self._max_tokens - sum(run.cohort.num_tokens() for run in self._running)
            group = next_group(self._waiting, self._max_rows - rows, tokens, at_least=not self._running)
            if not group:
                self._full = True
                return
            run, logits = self._prefill(group)
            if self._take(run, logits, ended):
                self._running.append(run)

    def _token(self, ended: list) -> None:
        cohorts = [run.cohort for run in self._running]
        for cohort in cohorts:
            cohort.advance()
        logits = self._model(
            input_ids=torch.cat([cohort.tokens for cohort in cohorts])[:, None],
            position_ids=torch.cat([cohort.positions for cohort in cohorts])[:, None],
            use_cache=False,
            logits_to_keep=1,
            cohorts=cohorts,
        ).logits[:, -1]
        parts = logits.split([len(cohort.rows) for cohort in cohorts])
        self._running = [run for run, part in zip(self._running, parts, strict=True) if self._take(run, part, ended)]

    def _take(self, run: Running, logits: torch.Tensor, ended: list) -> bool:
        """Draw the next tokens from ``logits`` (R, V); whether any row goes on."""
        cohort, draws = run.cohort, run.draws
        cohort.tokens = draws(logits, cohort.rows)
        done = draws.done[cohort.rows]
        if not bool(done.any()):
            return True
        self._full = False
        ended += [(run.numbers[row], draws, row) for row in cohort.rows[done].tolist()]
        if bool(done.all()):
            return False
        cohort.keep(~done)
        return True

    def _prefill(self, group: dict[tuple[int, ...], list[int]]) -> tuple[Running, torch.Tensor]:
        """A cohort of numbers by prompt, and the logits (R, V) of its rows' first tokens."""
        device, width = self._model.device, max(map(len, group))
        ids = torch.tensor([[*prompt, *[self._pad] * (width - len(prompt))] for prompt in group], device=device)
        lengths = torch.tensor([len(prompt) for prompt in group], device=device)
        each = torch.arange(len(group), device=device)

        def last(head: Any, hidden: tuple[torch.Tensor]) -> torch.Tensor:
            """Each prompt ends elsewhere, which `logits_to_keep` can't say."""
            return hidden[0][each, lengths - 1][:, None]

        # Padding stands on the right, where causal order hides it without a mask.
        with self._model.get_output_embeddings().register_forward_pre_hook(last):
            output = self._model(input_ids=ids, use_cache=True)
        prompts = each.repeat_interleave(torch.tensor([len(numbers) for numbers in group.values()], device=device))
        cache = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
        numbers = [number for of_prompt in group.values() for number in of_prompt]
        draws = self._draws([self._waiting.pop(number) for number in numbers])
        rows = torch.arange(len(numbers), device=device)
        cohort = Cohort(rows, prompts, lengths, cache, draws.steps)
        return Running(cohort, draws, numbers), output.logits[prompts, 0]


def next_group(
    waiting: dict[int, Request], max_rows: int, max_tokens: int, *, at_least: bool
) -> dict[tuple[int, ...], list[int]]:
    """The shortest prompts that wait, as many as may enter together: numbers by prompt.

    Their prompts are padded to the longest, so lengths stay within a factor. Each prompt has room for as many rows as
    the one with most (`Cohort`), and half of these places are taken.

    Args:
        at_least: one of them, even if it exceeds the bounds.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for number, request in waiting.items():
        by_prompt.setdefault(tuple(request.prompt_ids), []).append(number)
    group: dict[tuple[int, ...], list[int]] = {}
    rows = budget = widest = 0
    shortest = min(map(len, by_prompt))
    for prompt in sorted(by_prompt, key=len):
        width, numbers = len(group) + 1, by_prompt[prompt]
        budget = max(budget, *(waiting[number].params.max_tokens for number in numbers))
        if not group:
            numbers = numbers[: max(min(max_rows, (max_tokens - len(prompt)) // budget), int(at_least))]
            if not numbers:
                return {}
        rows, widest = rows + len(numbers), max(widest, len(numbers))
        if group and (
            rows > max_rows
            or width * (len(prompt) + widest * budget) > max_tokens
            or width * widest > 2 * rows
            or len(prompt) > shortest * 1.25 + 8
            or width * len(prompt) > _PREFILL_TOKENS
        ):
            return group
        group[prompt] = numbers
    return group
