"""Worker processes, and the answers that they give."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipe.zppo.study.backends import cause_in_log, death
from recipe.zppo.study.errors import StudyError

_LAST_WORDS_S = 2.0


@dataclass(frozen=True)
class Ended:
    """A run has ended; `error` is None if it went well."""

    job_id: str
    error: str | None


class Pool:
    """`size` workers at most, started when there is work for them, and replaced when they die.

    Life cycle: `start(job)` while `free`, `next_event` again and again, `close` at the end, whatever happened.
    """

    def __init__(self, backend: str, size: int, logs: Path):
        self._backend, self._size, self._logs = backend, size, logs
        self._events: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: list[_Worker] = []

    @property
    def free(self) -> bool:
        return len(self._workers) < self._size or any(worker.job_id is None for worker in self._workers)

    def start(self, job: dict[str, Any]) -> None:
        """Hand ``{"id", "folder", "overrides", "steps"}`` to a free worker."""
        worker = next((worker for worker in self._workers if worker.job_id is None), None)
        if worker is None:
            number = min(set(range(self._size)) - {worker.number for worker in self._workers})
            worker = _Worker(number, self._backend, self._logs / f"worker-{number}.log", self._events)
            self._workers.append(worker)
        worker.send(job)

    def next_event(self, timeout_s: float) -> Ended | None:
        """The next run that has ended; None if none has within the time, or if something else happened.

        Raises:
            StudyError: workers can't start.
        """
        try:
            worker, message = self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if worker not in self._workers:
            return None
        if message is None:
            return self._died(worker)
        if message["event"] == "ready":
            worker.ready = True
            return None
        worker.job_id = None
        return Ended(message["id"], message["error"])

    def _died(self, worker: _Worker) -> Ended | None:
        status = worker.process.wait()
        self._workers.remove(worker)
        if not worker.ready:
            raise StudyError(f"a worker did not start: {cause_in_log(worker.log) or death(status)} (see {worker.log})")
        return Ended(worker.job_id, death(status)) if worker.job_id is not None else None

    def close(self) -> None:
        """End the workers and what they have started."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(30)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            with suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
        self._workers.clear()


class _Worker:
    def __init__(self, number: int, backend: str, log: Path, events: queue.Queue):
        self.number, self.log = number, log
        self.ready = False
        self.job_id: str | None = None
        log.parent.mkdir(parents=True, exist_ok=True)
        # One thread each: there are as many workers as cores.
        environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | dict(os.environ)
        with open(log, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recipe.zppo.study.worker", backend],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                text=True,
                bufsize=1,
                start_new_session=True,  # Ctrl-C is for the study, which then ends its workers
            )
        reader = threading.Thread(target=self._read, args=(events,), daemon=True)
        reader.start()
        threading.Thread(target=self._watch, args=(events, reader), daemon=True).start()

    def send(self, job: dict[str, Any]) -> None:
        self.job_id = job["id"]
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died, and `_watch` says so

    def _read(self, events: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            events.put((self, json.loads(line)))

    def _watch(self, events: queue.Queue, reader: threading.Thread) -> None:
        """Not by the end of its output, which forked children that outlive it may keep open."""
        self.process.wait()
        reader.join(_LAST_WORDS_S)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        events.put((self, None))
