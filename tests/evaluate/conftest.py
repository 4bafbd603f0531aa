"""A web server in a thread of the test's process, and evaluations that do not pause."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from aiohttp import web

from recipe.zppo.evaluate.runner import Limits


@pytest.fixture
def serve() -> Iterator[Callable[[web.Application], str]]:
    """``serve(app)`` gives its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runners: list[web.AppRunner] = []

    async def started(app: web.Application) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    yield lambda app: asyncio.run_coroutine_threadsafe(started(app), loop).result(10)
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipe.zppo.evaluate.evaluation.Limits", partial(Limits, pause_s=0.0))
