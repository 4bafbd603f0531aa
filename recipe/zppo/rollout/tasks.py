"""Tasks of which none may fail unseen: an exception in any of them reaches whoever waits for the step."""

import asyncio
from collections.abc import Coroutine


class Tasks:
    """Starts tasks on the running event loop and keeps the first exception that one of them raises."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task] = set()
        self.fatal: asyncio.Future | None = None

    def watch(self) -> asyncio.Future:
        """The future that gets the first exception, also of a task that outlives the step which started it."""
        if self.fatal is None:
            self.fatal = asyncio.get_running_loop().create_future()
        return self.fatal

    def spawn(self, coroutine: Coroutine) -> asyncio.Task:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel_all(self) -> None:
        for task in list(self._running):
            task.cancel()

    def _done(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self.fatal and not self.fatal.done():
            self.fatal.set_exception(error)
            self.fatal.exception()  # looked at; whoever watches raises it
