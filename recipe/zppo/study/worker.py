"""A process that trains one run after another: ``python -m recipe.zppo.study.worker BACKEND``.

JSON objects, one a line. In: ``{"id", "folder", "overrides", "steps"}``. Out: ``{"event": "ready"}`` once, then for
each run ``{"event": "ended", "id", "error"}`` with the cause of a failure or null. It ends, and ends what it has
started, when its standard input does: so it never outlives the study.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock

from recipe.zppo.study.backends import Backend, Job, load_backend

_MAX_CAUSE = 200


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever libraries print is no answer
    # Not `sys.stdin`: the reader holds its lock all the time, and forked children would wait for that lock forever.
    requested = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    backend = load_backend(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: _end(backend))
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(requested, requests, backend), daemon=True).start()
    _send(answers, {"event": "ready"})
    while True:
        request = requests.get()
        _send(answers, {"event": "ended", "id": request["id"], "error": _train(backend, request)})


def _read(requested: TextIO, requests: queue.Queue[dict[str, Any]], backend: Backend) -> None:
    for line in requested:
        requests.put(json.loads(line))
    _end(backend)


def _end(backend: Backend) -> None:
    backend.stop()
    os._exit(0)  # not by an exception: training may catch it, and its files are whole at any time


def _send(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")


def _train(backend: Backend, request: dict[str, Any]) -> str | None:
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    # Waits until a worker of a killed study, which takes a moment to notice, has let go of the folder.
    with FileLock(folder / ".lock", fallback_to_soft=False), _logged(folder / "train.log"):
        try:
            backend.train(Job(folder, request["overrides"], request["steps"]))
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            text = str(error).strip() or type(error).__name__
            return text.splitlines()[0][:_MAX_CAUSE]
    return None


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Everything that is printed goes to `path`, by child processes as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in enumerate(kept, start=1):
            os.dup2(original, number)
            os.close(original)
        os.close(log)


if __name__ == "__main__":
    sys.exit(main())
