"""The page of runs on this machine's own address, kept current while they run: ``--serve``.

``/`` is the page, ``/report.json`` what it shows, ``/question.json?run=0&id=...`` a question's texts. The page asks
for news. Numbers are put together anew when a run has written something, and for half of the time at most. Nobody else
can ask: it listens on 127.0.0.1, and refuses requests that came under another host's name.
"""

import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from recipe.zppo.errors import ZPPOError
from recipe.zppo.report.page import as_json, page
from recipe.zppo.report.payload import live_report
from recipe.zppo.report.texts import in_full
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.view.question_life import Life, lives
from recipe.zppo.view.run_summary import state_of

PORT = 8765

EVERY_S = 5.0
"""Between two questions of the page for news."""


class PortError(ZPPOError, ValueError):
    """The port can't be had."""


class Live:
    """What the page shows of the runs now."""

    def __init__(self, folders: Sequence[RunFolder]):
        for folder in folders:
            folder.require_events()
        self.folders = folders
        self._lock = threading.Lock()
        self._seen: Any = None
        self._not_before = 0.0
        self._content: dict[str, Any] = {}
        self._lives: list[dict[str, Life]] = []
        self._renew()

    def content(self) -> dict[str, Any]:
        """Of the moment; of an earlier one while somebody puts it together, or after the folder has gone."""
        if time.monotonic() >= self._not_before and self._lock.acquire(blocking=False):
            try:
                if self._look() != self._seen:
                    self._renew()
            except (OSError, ZPPOError):
                self._not_before = time.monotonic() + EVERY_S
            finally:
                self._lock.release()
        return self._content

    def question(self, run: int, prompt_id: str) -> dict[str, Any] | None:
        """None for one that there is not."""
        if not 0 <= run < len(self._lives) or (life := self._lives[run].get(prompt_id)) is None:
            return None
        return next(content for _, content in in_full(self.folders[run], [life]))

    def _look(self) -> list[Any]:
        """What changes when a run has something new."""
        found = []
        for folder in self.folders:
            events, status = folder.events_file.stat(), folder.status() or {}
            found.append((events.st_mtime_ns, events.st_size, status.get("stage"), state_of(status)))
        return found

    def _renew(self) -> None:
        began = time.monotonic()
        seen, found = self._look(), [lives(folder) for folder in self.folders]
        content = live_report(self.folders, found) | {"live": EVERY_S, "version": f'"{time.time_ns()}"'}
        for run in content["runs"]:
            run["sample"] += " While the page is served, all can be read."
        self._lives = [{life.prompt_id: life for life in each} for each in found]
        self._content, self._seen = content, seen
        self._not_before = 2 * time.monotonic() - began


def serve(folders: Sequence[RunFolder], port: int) -> int:
    """Until Ctrl-C.

    Raises:
        RunFolderError: a folder is not that of a run.
        PortError: see there.
    """
    server = bound(Live(folders), port)
    try:
        print(f"http://127.0.0.1:{server.server_port}/ shows the report; Ctrl-C ends it", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print("no longer served; the run goes on")
    finally:
        server.server_close()
    return 0


def bound(live: Live, port: int) -> ThreadingHTTPServer:
    """A server that has its port. Raises `PortError`."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(live))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a port"
        raise PortError(f"--port {port}: {reason}; give another, or 0 for a free one") from error
    server.daemon_threads = True
    return server


def _handler(live: Live) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host, _, port = self.headers.get("Host", "").partition(":")
            if host not in ("127.0.0.1", "localhost") or port != str(self.connection.getsockname()[1]):
                return self.send_error(HTTPStatus.FORBIDDEN)
            address = urlsplit(self.path)
            match address.path:
                case "/":
                    self._send("text/html", page(live.content()))
                case "/report.json":
                    content = live.content()
                    if self.headers.get("If-None-Match") == content["version"]:
                        self.send_response(HTTPStatus.NOT_MODIFIED)
                        return self.end_headers()
                    self._send("application/json", as_json(content))
                case "/question.json":
                    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
                    run = asked.get("run", "0")
                    found = live.question(int(run), asked.get("id", "")) if run.isdecimal() else None
                    if found is None:
                        return self.send_error(HTTPStatus.NOT_FOUND)
                    self._send("application/json", json.dumps(found))
                case _:
                    self.send_error(HTTPStatus.NOT_FOUND)

        def _send(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(HTTPStatus.OK)
            for name, value in {
                "Content-Type": f"{kind}; charset=utf-8",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # a reader that has left
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Not a line a request."""

    return Handler
