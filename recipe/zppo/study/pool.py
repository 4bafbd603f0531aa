"""Worker processes, and the answers that they give.

Not `concurrent.futures`: its pool is broken as a whole, the runs of the others with it, when one worker dies.
"""

import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from recipe.zppo.study.backends import Job, cause_in_log, death
from recipe.zppo.study.run_files import StudyError
from recipe.zppo.study.worker import work


@dataclass(frozen=True)
class Ended:
    """A run has ended; `error` is None if it went well."""

    job_id: str
    error: str | None


class Pool:
    """`size` workers at most, started when there is work for them, and replaced when they die.

    Life cycle: `start(job_id, job)` while `free`, `next_event` again and again, `close` at the end, whatever happened.
    """

    def __init__(self, backend: str, size: int, logs: Path):
        self._backend, self._size, self._logs = backend, size, logs
        self._workers: list[_Worker] = []

    @property
    def free(self) -> bool:
        return len(self._workers) < self._size or any(worker.idle for worker in self._workers)

    def start(self, job_id: str, job: Job) -> None:
        worker = next((worker for worker in self._workers if worker.idle), None)
        if worker is None:
            number = min(set(range(self._size)) - {worker.number for worker in self._workers})
            worker = _Worker(number, self._backend, self._logs / f"worker-{number}.log")
            self._workers.append(worker)
        worker.take(job_id, job)

    def next_event(self, timeout_s: float) -> Ended | None:
        """The next run that has ended; None if none has within the time, or if something else happened.

        Raises:
            StudyError: workers can't start.
        """
        wait([worker.connection for worker in self._workers], timeout_s)
        for worker in self._workers:
            # The end of its connection does not tell: forked children that outlive it may keep that open.
            ended = worker.process.exitcode is not None
            if worker.connection.poll():
                with suppress(EOFError, ConnectionError):
                    return worker.hear()
                worker.process.join()
                ended = True
            if ended:
                return self._died(worker)
        return None

    def _died(self, worker: "_Worker") -> Ended | None:
        self._workers.remove(worker)
        worker.end()
        status = worker.process.exitcode
        assert status is not None
        if not worker.ready:
            raise StudyError(f"a worker did not start: {cause_in_log(worker.log) or death(status)} (see {worker.log})")
        if worker.job and not worker.taken:  # it died idle, and nobody has begun the run
            self.start(worker.job_id, worker.job)
            return None
        return Ended(worker.job_id, death(status)) if worker.job else None

    def close(self) -> None:
        """End the workers and what they have started."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.end(patience_s=30)
        self._workers.clear()


class _Worker:
    def __init__(self, number: int, backend: str, log: Path):
        self.number, self.log = number, log
        self.ready = self.taken = False
        self.job_id = ""
        self.job: Job | None = None
        context = multiprocessing.get_context("spawn")  # this process has threads, which a fork loses
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, backend, log))
        self.process.start()
        theirs.close()

    @property
    def idle(self) -> bool:
        return self.job is None

    def take(self, job_id: str, job: Job) -> None:
        self.job_id, self.job, self.taken = job_id, job, False
        with suppress(ConnectionError):  # it has died
            self.connection.send(job)

    def hear(self) -> Ended | None:
        """What it says: first that it is ready, then of each job that it has it, and how the run ended."""
        error = self.connection.recv()
        if not self.ready:
            self.ready = True
        elif not self.taken:
            self.taken = True
        else:
            self.job = None
            return Ended(self.job_id, error)
        return None

    def end(self, patience_s: float = 0) -> None:
        self.process.join(patience_s)
        self.process.kill()
        self.process.join()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
