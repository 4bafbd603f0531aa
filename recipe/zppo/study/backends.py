"""What trains a run: `local`, in the worker's own process, or `verl`, the full stack in a process of its own."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recipe.zppo.errors import ConfigError, ZPPOError


class TrainingError(ZPPOError, RuntimeError):
    """One run failed; the message is its cause in one line."""


@dataclass(frozen=True)
class Job:
    """One run for a backend: its folder, and the trainer's overrides, which name the folder as well."""

    folder: Path
    overrides: Sequence[str]
    steps: int


class Backend(Protocol):
    """Made once a worker; imports that are dear belong into `__init__`, so that runs share them."""

    def train(self, job: Job) -> None:
        """Run to the end, going on from what an earlier attempt has left in the folder. Standard output and standard
        error are the run's log.

        Raises:
            TrainingError: or any other exception; its first line is shown as the cause.
        """

    def stop(self) -> None:
        """The worker is about to end, maybe in the middle of `train`: end child processes. Called in any thread."""


def load_backend(name: str) -> Backend:
    """`local`, `verl` or ``package.module:Class``. Raises `ConfigError` if there is no such class."""
    if name == "local":
        return LocalBackend()
    if name == "verl":
        return VerlBackend()
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"backend: {name} can't be loaded: {error}") from error


class LocalBackend:
    def __init__(self) -> None:
        from recipe.zppo.config.compose import compose
        from recipe.zppo.local.device import check_device
        from recipe.zppo.local.run import run
        from recipe.zppo.local.supported import check_rows, check_supported, check_text_models
        from recipe.zppo.preflight.everything import check
        from recipe.zppo.preflight.platform import set_platform

        self._compose, self._set_platform, self._run = compose, set_platform, run
        self._checks = check_device, check_supported, check, check_rows, check_text_models
        self._models: dict[str, Any] = {}  # the teachers, which the runs share

    def train(self, job: Job) -> None:
        config = self._compose(job.overrides)
        self._set_platform(config)
        for check in self._checks:
            check(config)
        self._run(config, self._models)

    def stop(self) -> None:
        pass


class VerlBackend:
    _child: subprocess.Popen[bytes] | None = None

    def train(self, job: Job) -> None:
        command = [sys.executable, "-m", "verl.trainer.main_zppo", *job.overrides]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        status = self._child.wait()
        self._child = None
        if status < 0:
            raise TrainingError(death(status))
        if status:
            raise TrainingError(cause_in_log(job.folder / "train.log") or f"ended with status {status}")

    def stop(self) -> None:
        child = self._child
        if child is None:
            return
        for number, patience_s in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
            try:
                child.send_signal(number)
                child.wait(patience_s)
                return
            except subprocess.TimeoutExpired:
                continue


def death(status: int) -> str:
    """In words, the exit status of a process that a signal has ended (negative) or that ended by itself."""
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    hint = "; most likely the machine ran out of memory" if name == "SIGKILL" else ""
    return f"its process was killed ({name}){hint}"


def cause_in_log(log: Path) -> str | None:
    """The project's last error message in a log, or its last line."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 65536))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return None
    ours = [line.removeprefix("zppo: ") for line in lines if line.startswith("zppo: ")]
    return (ours or lines or [None])[-1]
