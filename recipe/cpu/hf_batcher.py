"""One thread that owns the model: gathers requests into batches, and runs everything else between batches.

Requests that arrive together are generated together, unless their prompts differ much in length. A batch starts once
no request has arrived for `quiet_s`, at the latest `gather_s` after its first one, or as soon as it is full. Arrivals
during a batch wait for the next.

Nothing waits for ever: a failing batch fails its own requests; whatever ends the thread fails those that wait and
every later one, with the cause.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from recipe.cpu.hf_generator import HFGenerator, Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class BatcherConfig:
    max_seqs: int = 256
    """Rows of a batch."""
    max_padded_tokens: int = 65536
    """Rows times (longest prompt + largest response budget): what the key-value cache can grow to."""
    quiet_s: float = 0.01
    gather_s: float = 0.25
    num_threads: int = 1
    """`torch.set_num_threads` of the generating thread."""


class _Job(NamedTuple):
    """A call to run between batches."""

    call: Callable[[], Any]
    future: Future


class _Waiting(NamedTuple):
    request: Request
    future: Future


class Batcher:
    """`submit` requests, `run` calls between batches; both return `concurrent.futures.Future`s and are thread-safe."""

    def __init__(self, generator: HFGenerator, config: BatcherConfig):
        self._generator = generator
        self._config = config
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._running: list[_Waiting] = []
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
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def run(self, call: Callable[[], Any]) -> Future:
        """Have `call()` executed by the generating thread, after the batch that runs now."""
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
        """Stop the thread after the batch that runs; what waits fails."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    # The thread

    def _main(self) -> None:
        import torch

        try:
            torch.set_num_threads(self._config.num_threads)
            while True:
                job, batch = self._next()
                if job is not None:
                    _settle(job.future, job.call)
                elif batch:
                    self._answer(batch)
                else:
                    raise RuntimeError("the hf rollout has been closed")
        except BaseException as error:  # the thread must not die without telling those who wait
            self._die(error)

    def _next(self) -> tuple[_Job | None, list[_Waiting] | None]:
        """A job, or else the next batch; (None, None) once closed."""
        config = self._config
        with self._changed:
            first_seen, seen, last_change = None, 0, 0.0
            while not self._closed:
                if self._jobs:
                    return self._jobs.popleft(), None
                now = time.monotonic()
                if not self._waiting:
                    first_seen, seen = None, 0
                    self._changed.wait()
                    continue
                if len(self._waiting) != seen:
                    first_seen, seen, last_change = first_seen or now, len(self._waiting), now
                deadline = min(first_seen + config.gather_s, last_change + config.quiet_s)
                if now >= deadline or seen >= config.max_seqs:
                    self._running = self._take()
                    self._abort = False
                    return None, self._running
                self._changed.wait(deadline - now)
            return None, None

    def _take(self) -> list[_Waiting]:
        """The oldest request and what fits with it, in order of arrival: bounds kept, prompts of a similar length.

        Rows are padded to the longest prompt, so one long prompt among many short ones multiplies the work of all.
        """
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        oldest = len(self._waiting[0].request.prompt_ids)
        prompt = budget = 0
        for item in self._waiting:
            length = len(item.request.prompt_ids)
            longest = max(prompt, length)
            largest = max(budget, item.request.params.max_tokens)
            similar = oldest / 2 - 16 <= length <= oldest * 2 + 16
            fits = len(batch) < self._config.max_seqs and (
                (len(batch) + 1) * (longest + largest) <= self._config.max_padded_tokens
            )
            if not batch or (similar and fits):
                batch.append(item)
                prompt, budget = longest, largest
            else:
                left.append(item)
        self._waiting = left
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        try:
            responses = self._generator.generate([item.request for item in batch], lambda: self._abort)
        except Exception as error:
            for item in batch:
                _fail(item.future, RuntimeError(f"generating a batch of {len(batch)} failed: {error!r}"), error)
        else:
            for item, response in zip(batch, responses, strict=True):
                _resolve(item.future, response)
        finally:
            with self._changed:
                # Left in place by an exception that ends the thread: `_die` then fails these, too.
                if all(item.future.done() for item in batch):
                    self._running = []

    def _die(self, cause: BaseException) -> None:
        with self._changed:
            self._cause = cause
            lost = [item.future for item in (*self._running, *self._waiting)] + [job.future for job in self._jobs]
            self._running = []
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
