"""A process that trains one run after another. It ends, and ends what it has started, when the study does."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from recipe.zppo.run.file_lock import lock_held
from recipe.zppo.study.backends import Backend, Job, load_backend

_MAX_CAUSE = 200


def work(study: Connection, backend_name: str, log: Path) -> None:
    """What the process does. To ``study`` goes None when it is ready, then, for each `Job` that comes from there, None
    when it has it, and at the end the cause of a failure or None. ``log``: for what it says outside of runs.
    """
    os.setsid()  # Ctrl-C is for the study, which then ends its workers
    # One thread each: there are as many workers as cores.
    for name, value in (("OMP_NUM_THREADS", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        os.environ.setdefault(name, value)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    backend = load_backend(backend_name)
    signal.signal(signal.SIGTERM, lambda *_: _end(backend))
    threading.Thread(target=_end_with_study, args=(backend,), daemon=True).start()
    study.send(None)
    while True:
        job = study.recv()
        study.send(None)
        study.send(_train(backend, job))


def _end_with_study(backend: Backend) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _end(backend)


def _end(backend: Backend) -> None:
    backend.stop()
    os._exit(0)  # not by an exception: training may catch it, and its files are whole at any time


def _train(backend: Backend, job: Job) -> str | None:
    job.folder.mkdir(parents=True, exist_ok=True)
    # Waits until a worker of a killed study, which takes a moment to notice, has let go of the folder.
    with lock_held(job.folder / ".lock", print, blocking=True), _logged(job.folder / "train.log"):
        try:
            backend.train(job)
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
