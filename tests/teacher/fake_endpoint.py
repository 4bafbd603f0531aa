"""A small HTTP server that speaks the chat-completions protocol, in a thread of the test's process."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

KEY = "sk-the-key-that-nobody-may-see-0123456789"


class FakeEndpoint:
    """Serves ``models``; ``answer(body)`` gives the text of a completion, or a whole `web.Response`.

    Example:
        with FakeEndpoint(lambda body: "4") as endpoint:
            ... endpoint.url ...
        endpoint.requests  # bodies in order of arrival
    """

    def __init__(self, answer: Callable[[dict], Any], models: tuple[str, ...] = ("teacher",), key: str | None = None):
        self.answer, self.models, self.key = answer, models, key
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.most_running = 0
        self.delay_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-endpoint", daemon=True)

    def __enter__(self) -> "FakeEndpoint":
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> str:
        app = web.Application(client_max_size=2**26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"

    async def _models(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        return refused or web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})

    async def _chat(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused:
            return refused
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if body["model"] not in self.models:
            return web.json_response({"error": {"message": f"model {body['model']} does not exist"}}, status=404)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.delay_s)
            answer = self.answer(body)
        finally:
            self.running -= 1
        if isinstance(answer, web.Response):
            return answer
        return web.json_response(completion(answer))

    def _refused(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if self.key is None or given == f"Bearer {self.key}":
            return None
        # As some services do: with a part of what they were given.
        return web.json_response({"error": {"message": f"Incorrect API key provided: {given}"}}, status=401)


def completion(text: str | None, *, tokens: int | None = None, **message: Any) -> dict[str, Any]:
    usage = {"completion_tokens": len((text or "").split()) if tokens is None else tokens}
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}
