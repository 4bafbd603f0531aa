"""Requests of concurrent coroutines, answered together by one model in this thread."""

import asyncio
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

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
            self._pump.add_done_callback(lambda pump: pump.cancelled() or pump.exception())  # Ctrl-C is looked at
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
            if _nobody_waits(asked.values()):
                session.stop()
                asked.clear()
                continue
            responses: dict[int, Response] = {}
            failure: Exception | None = None
            try:
                if self._in_thread:
                    await asyncio.to_thread(_until_one_ends, session, responses, list(asked.values()))
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


def _nobody_waits(asked: Collection[asyncio.Future]) -> bool:
    return all(future.done() for future in asked)


def _until_one_ends(session: Session, responses: dict[int, Response], asked: Collection[asyncio.Future]) -> None:
    """Or until nobody waits: a command that was interrupted ends no sooner than its threads."""
    while session and not responses and not _nobody_waits(asked):
        responses |= session.step(lambda: _nobody_waits(asked))


def _until_all_end(session: Session, responses: dict[int, Response]) -> None:
    """Whoever asks next does so at once with all others, which is cheaper than a few rows at a time."""
    with _interrupted_at_once():
        while session:
            responses |= session.step()


@contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """asyncio has Ctrl-C wait until its loop is free, which here takes as long as all responses."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():  # or it is ignored
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
