"""Requests of concurrent coroutines, answered in batches by one model in this thread."""

import asyncio
from collections.abc import Sequence

from recipe.cpu.hf_generator import HFGenerator, Request, Response


class GenerationError(RuntimeError):
    """The model failed on a batch."""


_IDLE_TURNS = 40
"""Turns of the event loop without a new request after which everybody is taken to wait: nothing here awaits a clock or
a socket, and a request is a few turns away from the event that causes it."""


class BatchedModel:
    """`HFGenerator` behind ``await generate(requests)``.

    Requests gather until the event loop has nothing else to do; then they run in batches of prompts of a similar
    length. The same requests in the same order make the same batches, so results repeat to the last bit.

    Args:
        max_padded_tokens: rows times (longest prompt + largest budget) of a batch; bounds the key-value cache.
        in_thread: let the event loop go on meanwhile: where somebody waits for a server elsewhere, whose connections
            would otherwise seem to hang. What arrives during a batch then depends on time.
    """

    def __init__(self, generator: HFGenerator, *, max_seqs: int, max_padded_tokens: int, in_thread: bool = False):
        self.generator = generator
        self._in_thread = in_thread
        self._max_seqs, self._max_padded_tokens = max_seqs, max_padded_tokens
        self._waiting: list[tuple[Request, asyncio.Future[Response]]] = []
        self._arrivals = 0
        self._pump: asyncio.Task | None = None

    async def generate(self, requests: Sequence[Request]) -> list[Response]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in requests]
        self._waiting += zip(requests, futures, strict=True)
        self._arrivals += len(futures)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return list(await asyncio.gather(*futures))

    async def idle(self) -> None:
        """Wait until the model answers nothing: before its weights change."""
        if self._pump is not None:
            await self._pump

    async def _run(self) -> None:
        while self._waiting:
            seen = -1
            while seen != self._arrivals:
                seen = self._arrivals
                for _ in range(_IDLE_TURNS):
                    await asyncio.sleep(0)
            waiting, self._waiting = [item for item in self._waiting if not item[1].done()], []
            waiting.sort(key=lambda item: len(item[0].prompt_ids))
            while waiting := [item for item in waiting if not item[1].done()]:
                batch = self._take(waiting)
                del waiting[: len(batch)]
                await self._answer(batch)

    def _take(self, waiting: list[tuple[Request, asyncio.Future]]) -> list[tuple[Request, asyncio.Future]]:
        """From the front, as many as fit; rows are padded to the longest prompt, so lengths stay within a factor."""
        shortest, budget = len(waiting[0][0].prompt_ids), 0
        for count, (request, _) in enumerate(waiting):
            length = len(request.prompt_ids)
            budget = max(budget, request.params.max_tokens)
            fits = count < self._max_seqs and (count + 1) * (length + budget) <= self._max_padded_tokens
            if count and not (fits and length <= shortest * 1.5 + 16):
                return waiting[:count]
        return list(waiting)

    async def _answer(self, batch: list[tuple[Request, asyncio.Future]]) -> None:
        requests = [request for request, _ in batch]
        try:
            if self._in_thread:
                responses = await asyncio.to_thread(self.generator.generate, requests)
            else:
                responses = self.generator.generate(requests)
        except Exception as error:  # fails those who wait for it; the pipeline counts them and names the cause
            for _, future in batch:
                if not future.done():
                    future.set_exception(GenerationError(f"generating a batch of {len(batch)} failed: {error!r}"))
            return
        for (_, future), response in zip(batch, responses, strict=True):
            if not future.done():
                future.set_result(response)
