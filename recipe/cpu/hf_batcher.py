"""One thread that owns the model: lets requests enter together, and runs everything else while none is answered.

Requests enter once none has arrived for `quiet_s`, at the latest `gather_s` after the first one that waits, or as soon
as they are many; those of one prompt, which come one by one, so compute it once. They need not wait for others to end.

Nothing waits for ever: a failing model fails the requests that it has; whatever ends the thread fails those that wait
and every later one, with the cause.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from recipe.cpu.hf_generator import HFGenerator
from recipe.cpu.hf_requests import Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherConfig:
    max_seqs: int = 256
    """Rows that are generated at a time."""
    max_padded_tokens: int = 65536
    """What the key-value cache can grow to: prompts, and the largest response budget for each row."""
    quiet_s: float = 0.01
    gather_s: float = 0.25
    num_threads: int = 1
    """`torch.set_num_threads` of the generating thread."""


class _Job(NamedTuple):
    """A call to run while no request is answered."""

    call: Callable[[], Any]
    future: Future


class _Waiting(NamedTuple):
    request: Request
    future: Future


class Batcher:
    """`submit` requests, `run` calls; both return `concurrent.futures.Future`s and are thread-safe."""

    def __init__(self, generator: HFGenerator, config: BatcherConfig):
        self._generator = generator
        self._config = config
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._running: dict[int, Future] = {}  # that the session has, by its numbers
        self._first_arrival = self._last_arrival = 0.0  # of those that wait
        self._jobs: deque[_Job] = deque()
        self._abort = False
        self._closed = False
        self._cause: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="hf-generate", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Future[Response]:
        waiting = _Waiting(request, Future())
        with self._changed:
            self._raise_if_dead()
            self._last_arrival = time.monotonic()
            if not self._waiting:
                self._first_arrival = self._last_arrival
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def run(self, call: Callable[[], Any]) -> Future:
        """Have `call()` executed by the generating thread, after the requests that run now; later ones wait for it."""
        job = _Job(call, Future())
        with self._changed:
            self._raise_if_dead()
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def abort(self) -> int:
        """End what waits (no token) and what runs (with the tokens drawn so far); returns how many requests."""
        with self._changed:
            waiting, self._waiting = self._waiting, deque()
            self._abort = bool(self._running)
            count = len(waiting) + len(self._running)
        for item in waiting:
            _resolve(item.future, Response([], None, aborted=True))
        return count

    def close(self, timeout: float | None = None) -> None:
        """Stop the thread after the requests that run; what waits fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    # The thread

    def _main(self) -> None:
        import torch

        try:
            torch.set_num_threads(self._config.num_threads)
            self._begin()
            while True:
                job = self._next()
                if job is not None:
                    _settle(job.future, job.call)
                else:
                    self._step()
        except BaseException as error:  # the thread must not die without telling those who wait
            self._die(error)

    def _begin(self) -> None:
        config = self._config
        self._session = self._generator.session(max_seqs=config.max_seqs, max_tokens=config.max_padded_tokens)

    def _next(self) -> _Job | None:
        """A job, or None: requests are to be answered, among them those that enter now.

        Raises:
            RuntimeError: the batcher has been closed, and nothing runs.
        """
        with self._changed:
            while True:
                if not self._running:
                    if self._closed:
                        raise RuntimeError("the hf rollout has been closed")
                    if self._jobs:
                        return self._jobs.popleft()
                enter_in = self._enter_in()
                if enter_in is not None and enter_in <= 0:
                    waiting, self._waiting = self._waiting, deque()
                    asked = [item for item in waiting if not item.future.cancelled()]
                    self._running |= {self._session.add(item.request): item.future for item in asked}
                if self._running:
                    return None
                self._changed.wait(enter_in if self._waiting else None)

    def _enter_in(self) -> float | None:
        """Seconds until those that wait may enter; None as long as nobody may."""
        if not self._waiting or self._jobs or self._closed:
            return None
        if len(self._waiting) >= self._config.max_seqs:
            return 0.0
        first, last = self._first_arrival + self._config.gather_s, self._last_arrival + self._config.quiet_s
        return min(first, last) - time.monotonic()

    def _step(self) -> None:
        session = self._session
        for number in session.forget({n for n, future in self._running.items() if future.cancelled()}):
            del self._running[number]
        try:
            responses = session.stop() if self._abort else session.step(lambda: self._abort)
        except Exception as error:
            lost = list(self._running.values())
            for future in lost:
                _fail(future, RuntimeError(f"generating {len(lost)} responses failed: {error!r}"), error)
            self._running = {}
            self._begin()
        else:
            for number, response in responses.items():
                _resolve(self._running.pop(number), response)
        with self._changed:
            self._abort &= bool(self._running)

    def _die(self, cause: BaseException) -> None:
        with self._changed:
            self._cause = cause
            lost = [*self._running.values(), *(item.future for item in (*self._waiting, *self._jobs))]
            self._running = {}
            self._waiting.clear()
            self._jobs.clear()
        for future in lost:
            _fail(future, self._dead(), cause)

    def _raise_if_dead(self) -> None:
        if self._cause is not None:
            raise self._dead() from self._cause
        if self._closed:
            raise RuntimeError("the hf rollout has been closed")

    def _dead(self) -> RuntimeError:
        return RuntimeError(f"the generating thread of the hf rollout has ended: {self._cause!r}")


def _resolve(future: Future, result: Any) -> None:
    if future.set_running_or_notify_cancel():  # the caller may have given up
        future.set_result(result)


def _fail(future: Future, error: BaseException, cause: BaseException) -> None:
    if future.done():
        return
    error.__cause__ = cause
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def _settle(future: Future, call: Callable[[], Any]) -> None:
    try:
        result = call()
    except Exception as error:
        _fail(future, error, error.__cause__)
    else:
        _resolve(future, result)
