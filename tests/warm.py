"""Commands of ours as forks of one process that has imported verl and the trainer: a start without its seven seconds.

What a fork runs is what `python -m MODULE ARGUMENTS` would: in `__main__`, in a folder, with an environment, arguments
and an output of its own. It differs in what has been imported, and in verl's platform, which is the CPU already.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.warm_imports"])


class Started:
    """A command that runs; of `subprocess.Popen` what tests ask for."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
    ) -> None:
        """Start `module`, a module's name or a script's path; its two streams are appended to files, or to one."""
        streams = (str(output), str(errors or output))
        process = _server.Process(target=_become, args=(module, [*arguments], str(folder), dict(environment), streams))
        process.start()
        self._process = process
        self.pid: int = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a fork", timeout)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def run(
    module: str, *arguments: object, folder: Path, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end in `folder`."""
    with tempfile.TemporaryDirectory() as apart:
        output, errors = Path(apart, "output"), Path(apart, "errors")
        words = [*map(str, arguments)]
        started = Started(module, words, folder, os.environ | environment, output, errors)
        try:
            status = started.wait(timeout)
        finally:
            started.send_signal(signal.SIGKILL)
        said = (file.read_text(encoding="utf-8", errors="replace") for file in (output, errors))
        return subprocess.CompletedProcess([module, *words], status, *said)


def _become(
    module: str, arguments: list[str], folder: str, environment: dict[str, str], streams: Sequence[str]
) -> None:
    for number, file in enumerate(streams, start=1):
        stream = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [module, *arguments]
    try:
        if module.endswith(".py"):
            sys.path.insert(0, str(Path(module).parent))
            sys.orig_argv = [sys.executable, *sys.argv]
            runpy.run_path(module, run_name="__main__")
        else:
            sys.path.insert(0, folder)
            sys.orig_argv = [sys.executable, "-m", *sys.argv]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends a process without; Ray stops its node there
