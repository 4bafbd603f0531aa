"""Requests of concurrent coroutines, answered together by one model in this thread."""

import asyncio
from collections.abc import Sequence

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_requests import Request, Response
from recipe.cpu.hf_session import Session


class GenerationError(RuntimeError):
    """The model failed."""


_IDLE_TURNS = 40
"""Turns of the event loop without a new request after which everybody is taken to wait: nothing here awaits a clock or
a socket, and a request is a few turns away from the event that causes it."""


class BatchedModel:
    """`HFGenerator` behind ``await generate(requests)``.

    Requests gather until the event loop has nothing else to do; then they run together. The same requests in the same
    order run in the same way, so results repeat to the last bit.

    Args:
        max_padded_tokens: what the key-value cache may grow to, each prompt and a whole budget for each row.
        in_thread: let the event loop go on meanwhile: where somebody waits for a server elsewhere, whose connections
            would otherwise seem to hang. Responses then come as they end, and who runs beside whom depends on time.
    """

    def __init__(self, generator: HFGenerator, *, max_seqs: int, max_padded_tokens: int, in_thread: bool = False):
        self.generator = generator
        self._in_thread = in_thread
        self._limits = {"max_seqs": max_seqs, "max_tokens": max_padded_tokens}
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
        session = self.generator.session(**self._limits)
        asked: dict[int, asyncio.Future[Response]] = {}
        while self._waiting or session:
            seen = -1
            while seen != self._arrivals:
                seen = self._arrivals
                for _ in range(_IDLE_TURNS):
                    await asyncio.sleep(0)
            waiting, self._waiting = self._waiting, []
            asked |= {session.add(request): future for request, future in waiting if not future.done()}
            session.forget({number for number, future in asked.items() if future.done()})
            responses: dict[int, Response] = {}
            failure: Exception | None = None
            try:
                if self._in_thread:
                    await asyncio.to_thread(_until_one_ends, session, responses)
                else:
                    _until_all_end(session, responses)
            except Exception as error:  # fails those who wait for it; they are counted, and the cause is named
                failure = error
            for number, response in responses.items():
                future = asked.pop(number)
                if not future.done():
                    future.set_result(response)
            if failure is not None:
                lost = [future for future in asked.values() if not future.done()]
                for future in lost:
                    future.set_exception(GenerationError(f"generating {len(lost)} responses failed: {failure!r}"))
                session, asked = self.generator.session(**self._limits), {}


def _until_one_ends(session: Session, responses: dict[int, Response]) -> None:
    while session and not responses:
        responses |= session.step()


def _until_all_end(session: Session, responses: dict[int, Response]) -> None:
    """Whoever asks next does so at once with all others, which is cheaper than a few rows at a time."""
    while session:
        responses |= session.step()
