"""`vllm serve` on this machine's GPUs, as long as the command runs."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.engines.server import ServerEngine
from recipe.zppo.evaluate.protocol import MODEL_LENGTH
from recipe.zppo.teacher.endpoint import EndpointError, EndpointSpec, SettingNames
from recipe.zppo.teacher.secret import Secret

_LOOK_EVERY_S = 1.0
_END_S = 20.0
_WITH_US = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Runs a command that ends when its parent does, however that ends (PR_SET_PDEATHSIG of linux/prctl.h)."""


@dataclass(frozen=True, kw_only=True)
class VLLMSettings:
    """How it is started."""

    gpus: int
    tensor_parallel: int = 1
    max_model_len: int = MODEL_LENGTH
    gpu_memory: float = 0.9
    """Share of each GPU's memory."""
    media: str | None = None
    """Folder below which it may open files of videos."""
    more: tuple[str, ...] = ()
    """Further arguments of `vllm serve`, which win."""
    start_s: float = 1800.0
    """Seconds until it must be ready, downloads included."""


def serve_command(path: str, port: int, settings: VLLMSettings) -> list[str]:
    """One copy of the model for each `tensor_parallel` GPUs.

    The model's own generation_config.json is left out: all of the decoding comes with each request. Images are within
    the protocol's limits when they come, and the limits of processors are wider.
    """
    return [
        "vllm", "serve", path,
        "--served-model-name", path,
        "--host", "127.0.0.1",
        "--port", str(port),
        "--max-model-len", str(settings.max_model_len),
        "--gpu-memory-utilization", str(settings.gpu_memory),
        "--tensor-parallel-size", str(settings.tensor_parallel),
        "--data-parallel-size", str(settings.gpus // settings.tensor_parallel),
        "--generation-config", "vllm",
        *(("--allowed-local-media-path", settings.media) if settings.media else ()),
        *settings.more,
    ]  # fmt: skip


def check_vllm(settings: VLLMSettings) -> None:
    """
    Raises:
        ConfigError: vLLM is not installed, or there are too few GPUs.
    """
    if shutil.which("vllm") is None:
        raise ConfigError("engine=vllm: there is no vllm on the PATH; pip install 'open-zppo[gpu]', or give server=URL")
    if settings.gpus < settings.tensor_parallel:
        raise ConfigError(
            f"tensor_parallel: {settings.tensor_parallel} GPUs are wanted and {settings.gpus} seen; give server=URL, "
            "or engine=hf for a small model"
        )


@asynccontextmanager
async def vllm_engine(path: str, settings: VLLMSettings, log: Path) -> AsyncIterator[ServerEngine]:
    """An engine as soon as the server answers. It ends with the block, and with this process.

    Args:
        log: file for what vLLM prints.

    Raises:
        ConfigError: vLLM is not installed, there are too few GPUs, it ends at once, or it is not ready in time.
    """
    check_vllm(settings)
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _WITH_US, *serve_command(path, port, settings)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    names = SettingNames("engine=vllm", "model", "engine=vllm", "server_openai_fields_only")
    engine = ServerEngine(
        EndpointSpec(f"http://127.0.0.1:{port}/v1", path, Secret(), names), same_disk=settings.media is not None
    )
    try:
        await _ready(engine, process, settings.start_s, path, log)
        yield engine
    finally:
        await engine.close()
        await asyncio.to_thread(_end, process)


async def _ready(engine: ServerEngine, process: subprocess.Popen, start_s: float, path: str, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + start_s
    while True:
        with suppress(EndpointError, TimeoutError):
            async with asyncio.timeout(10):
                await engine.models()
                return
        if process.poll() is not None:
            raise ConfigError(
                f"engine=vllm: vLLM ended with status {process.returncode} while it loaded {path}: {_last_words(log)}"
            )
        if asyncio.get_running_loop().time() > deadline:
            raise ConfigError(f"engine=vllm: vLLM was not ready with {path} after {start_s:g} s; {log} has its output")
        await asyncio.sleep(_LOOK_EVERY_S)


def _end(process: subprocess.Popen) -> None:
    """Its whole group: the server, and the processes that hold the GPUs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_words(log: Path) -> str:
    """The last line that names an error, else the last one."""
    lines: Sequence[str] = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error:" in line]
    return f"{(errors or lines or ['it said nothing'])[-1][-300:]} ({log} has the rest)"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
