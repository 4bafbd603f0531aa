"""Requests that come and go while others run."""

from collections.abc import Callable, Sequence

import torch

from recipe.cpu import hf_whole_batches
from recipe.cpu.hf_decoding import Decoding, can_decode
from recipe.cpu.hf_draws import Draws
from recipe.cpu.hf_inputs import ModelInputs
from recipe.cpu.hf_requests import Request, Response
from recipe.cpu.hf_scores import score
from recipe.cpu.packed_linears import PackedLinears


class Session:
    """Of one model. It is false when nothing is left to do.

    Args:
        draws: makes the `Draws` of requests.
        max_seqs: rows that are generated at a time.
        max_tokens: what the key-value cache of these rows may grow to, prompts and whole budgets.
        dtype: see `PackedLinears`.
    """

    def __init__(
        self,
        inputs_of: ModelInputs,
        draws: Callable[[Sequence[Request]], Draws],
        *,
        max_seqs: int,
        max_tokens: int,
        dtype: torch.dtype | None = None,
    ):
        self._inputs_of, self._draws = inputs_of, draws
        self._max_seqs, self._max_tokens = max_seqs, max_tokens
        self._added = 0
        self._requests: dict[int, Request] = {}  # without an answer so far
        self._waiting: dict[int, Request] = {}  # for a score, or a batch of `hf_whole_batches`
        self._decoding: Decoding | None = None
        if can_decode(inputs_of.model):
            limits = {"max_rows": max_seqs, "max_tokens": max_tokens}
            self._decoding = Decoding(inputs_of.model, inputs_of.pad, draws, **limits)
        self._linears = PackedLinears(inputs_of.model, dtype)

    def __bool__(self) -> bool:
        return bool(self._requests)

    def add(self, request: Request) -> int:
        """The number by which its response comes."""
        number, self._added = self._added, self._added + 1
        self._requests[number] = request
        if self._decoding is not None and request.params.prompt_logprobs is None:
            self._decoding.add({number: request})
        else:
            self._waiting[number] = request
        return number

    def forget(self, numbers: set[int]) -> set[int]:
        """Nobody waits for these. Those that have not begun never will, and are given back."""
        forgotten = numbers & self._waiting.keys()
        for number in forgotten:
            del self._waiting[number]
        if self._decoding is not None:
            forgotten |= self._decoding.forget(numbers)
        for number in forgotten:
            del self._requests[number]
        if not self:
            self._linears.release()
        return forgotten

    @torch.inference_mode()
    def step(self, aborted: Callable[[], bool] = lambda: False) -> dict[int, Response]:
        """Do something that does not take long, if that is possible: one more token of each row. Gives what has ended.

        With `hf_whole_batches` a step is a batch; `aborted` is asked in between.
        """
        try:
            responses = self._answered(self._scores() or self._drawn(aborted))
        except BaseException:
            self._linears.release()
            raise
        if not self:
            self._linears.release()
        return responses

    def stop(self) -> dict[int, Response]:
        """End everything: what runs with the tokens drawn so far, what waits without."""
        self._linears.release()
        ended = self._decoding.stop() if self._decoding is not None else []
        responses = self._answered({number: self._response(number, draws, row) for number, draws, row in ended})
        self._waiting.clear()
        return responses | self._answered({number: Response([], None, aborted=True) for number in self._requests})

    def _answered(self, responses: dict[int, Response]) -> dict[int, Response]:
        for number in responses:
            del self._requests[number]
        return responses

    def _scores(self) -> dict[int, Response]:
        scored = {n: r for n, r in self._waiting.items() if r.params.prompt_logprobs is not None}
        if not scored:
            return {}
        self._waiting = {n: request for n, request in self._waiting.items() if n not in scored}
        found = zip(scored, score(self._inputs_of, list(scored.values())), strict=True)
        return {n: Response([], None, aborted=False, prompt_scores=scores) for n, scores in found}

    def _drawn(self, aborted: Callable[[], bool]) -> dict[int, Response]:
        self._linears.pack()
        return self._whole_batch(aborted) if self._waiting else self._token()

    def _token(self) -> dict[int, Response]:
        ended = self._decoding.step() if self._decoding is not None else []
        return {number: self._response(number, draws, row) for number, draws, row in ended}

    def _whole_batch(self, aborted: Callable[[], bool]) -> dict[int, Response]:
        waiting = sorted(self._waiting, key=lambda number: len(self._waiting[number].prompt_ids))
        requests = [self._waiting[number] for number in waiting]
        count = hf_whole_batches.similar(requests, self._max_seqs, self._max_tokens)
        batch = {number: self._waiting.pop(number) for number in sorted(waiting[:count])}
        draws = self._draws(list(batch.values()))
        hf_whole_batches.generate(self._inputs_of, list(batch.values()), draws, aborted)
        return {number: self._response(number, draws, row) for row, number in enumerate(batch)}

    def _response(self, number: int, draws: Draws, row: int) -> Response:
        params, length = self._requests[number].params, int(draws.lengths[row])
        return Response(
            draws.token_ids[:length, row].tolist(),
            draws.log_probs[:length, row].tolist() if params.logprobs else None,
            aborted=not bool(draws.done[row]),
            entropy=draws.entropy(row, length) if params.entropy else None,
        )
