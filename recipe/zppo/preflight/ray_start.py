"""Whether Ray can start, or be joined, as the environment says: by itself it would fail with a traceback, or wait."""

import os
import socket

from omegaconf import DictConfig

from recipe.zppo.errors import ConfigError

_ANSWER_S = 2.0
_SOCKET_BYTES = 107
"""Longest name of a Unix socket on Linux."""
_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""Of Ray's longest socket, below its folder for temporary files."""


def check_ray(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: nobody answers at Ray's address; the run declares slots of its own, which a running Ray does not
            take; or Ray's folder has so long a name that its sockets can't be made.
    """
    ray_init = config.ray_kwargs.ray_init
    named = ray_init.get("address")
    address = named or os.environ.get("RAY_ADDRESS") or "local"
    key = "ray_kwargs.ray_init.address" if named else "RAY_ADDRESS"
    if address == "local":
        _check_sockets(ray_init.get("_temp_dir"))
        return
    for slots in ("num_cpus", "num_gpus"):
        if ray_init.get(slots) is not None:
            raise ConfigError(
                f"{key}: {address} is a Ray that runs already, and does not take ray_kwargs.ray_init.{slots}"
                f"={ray_init[slots]} (platform=cpu sets it); set {key}=local for a Ray of its own"
            )
    if not answers(address):
        raise ConfigError(
            f"{key}: nobody answers at {address}; start its head (`ray start --head`), or set {key}=local for "
            "a Ray of its own"
        )


def answers(address: str) -> bool:
    """Whether somebody listens at ``host:port``; True for what has another form."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdigit()):
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError):
        return False
    return True


def _check_sockets(folder: str | None) -> None:
    name, value = next(((n, os.environ[n]) for n in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(n)), ("", "/tmp"))
    name, used = ("ray_kwargs.ray_init._temp_dir", folder) if folder else (name, f"{value}/ray")
    over = len(os.fsencode(used + _SOCKET)) - _SOCKET_BYTES
    if over > 0:
        raise ConfigError(
            f"{name}: {used} is {over} bytes too long for Ray's sockets, whose names may have {_SOCKET_BYTES}; set "
            "RAY_TMPDIR to a short folder, such as /tmp"
        )
