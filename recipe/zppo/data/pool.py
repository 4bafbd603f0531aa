"""Runs tasks in worker processes, in whatever order they end; the results must not depend on it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from recipe.zppo.data.errors import BuildError


class Pool:
    """With one worker everything runs in this process. Close it after use, whatever happened."""

    def __init__(self, workers: int):
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._others: set = set()
        """Children of this process that are not ours."""

    def run(self, function: Callable[..., object], tasks: Sequence[tuple], done: Callable[[], object]) -> None:
        """Calls `function(*task)` for each task, and `done` whenever one has ended.

        Raises:
            BuildError: a worker was killed. An error of the function is passed on, the tasks left are dropped.
        """
        if self._workers == 1 or len(tasks) <= 1:
            for task in tasks:
                function(*task)
                done()
            return
        if self._executor is None:
            context = multiprocessing.get_context("spawn")  # tokenizers and arrow have threads, which a fork loses
            self._others = set(multiprocessing.active_children())
            self._executor = ProcessPoolExecutor(self._workers, context, _end_with_parent, (os.getpid(),))
        futures: list[Future] = []
        try:
            futures += (self._executor.submit(function, *task) for task in tasks)
            for future in as_completed(futures):
                future.result()
                done()
        except BrokenProcessPool as error:
            raise BuildError(
                "a worker process was killed, perhaps for lack of memory; the same command goes on where it stopped, "
                f"with fewer workers than {self._workers} it needs less"
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Ends the workers, in the middle of a task if need be: half of a file is never taken for a whole one."""
        if self._executor is not None:
            for process in set(multiprocessing.active_children()) - self._others:
                process.terminate()
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


def _end_with_parent(parent: int) -> None:
    """A worker whose parent was killed would wait for tasks forever. An interruption is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
