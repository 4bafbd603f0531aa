"""Ray's workers as forks of one process that has imported verl: a start in half of the time, and in less memory.

On the CPU a run is a dozen processes on one machine. Each would import torch, transformers and verl by itself, which
takes seven seconds. Here one process a node, the nursery, imports them once, and each worker is a fork of it.

Ray starts `fork_client.py` where it would start Python (`runtime_env.py_executable`). The client hands its arguments,
environment and standard streams to the nursery, and ends. It starts the nursery if there is none, with the environment
that a worker has. If that fails the client becomes the worker itself, the usual way.

The nursery has computed nothing, has no thread that a fork would miss, has not spoken to Ray and has not drawn from
Ray's random numbers: its fork is what a new process would be after the same imports. It ends when Ray's node does.
"""

import ctypes
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import ray.actor
from ray import ActorClassID

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLIENT = Path(__file__).with_name("fork_client.py")


def py_executable(modules: Sequence[str]) -> str | None:
    """What Ray's shell is to start for a worker, after `modules` have been imported; None where it can't be done."""
    if not hasattr(os, "pidfd_open"):  # Linux only
        return None
    # Isolated: it needs the standard library only, and starts in 20 ms.
    return shlex.join([sys.executable, "-IS", str(CLIENT), ",".join(modules)])


def serve(address: str, modules: Sequence[str]) -> None:
    """Import, then fork a worker for each client that connects to `address`, until Ray's node ends."""
    node = os.pidfd_open(int(os.environ["RAY_RAYLET_PID"]))
    import_undrawn(modules)
    if _id_in_a_fork() == _id_in_a_fork():
        raise RuntimeError("forks would give objects of Ray the same ids")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{address}.new")
        listener.listen(64)
        os.rename(f"{address}.new", address)  # clients look for it
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker: Ray sees its connection end
        while node not in select.select([listener.fileno(), node], [], [])[0]:
            connection, _ = listener.accept()
            with connection, suppress(OSError, ValueError):  # a client that Ray has ended
                message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                worker = json.loads(message)
                # Python reads it when it starts, and never again.
                same = worker["environment"].get("PYTHONHASHSEED") == os.environ.get("PYTHONHASHSEED")
                if same and os.fork() == 0:
                    break
                for stream in streams:
                    os.close(stream)
                connection.sendall(b"forked" if same else b"refused")
        else:
            return
    os.close(node)
    _become(worker, streams)


def import_undrawn(modules: Sequence[str]) -> None:
    """Import without a draw from Ray's own random numbers, whose state all forks would share, and with it their ids.

    `ray.remote` draws an id for each actor class (`ray.actor`: `ActorClassID.from_random()`); here the system does.
    """
    system = SimpleNamespace(from_random=lambda: ActorClassID(os.urandom(ActorClassID.size())))
    with patch.object(ray.actor, "ActorClassID", system):
        for module in modules:
            importlib.import_module(module)


def _id_in_a_fork() -> bytes:
    receiver, sender = os.pipe()
    if (child := os.fork()) == 0:
        os.write(sender, ray.ObjectRef.from_random().binary())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sender)
    with open(receiver, "rb") as drawn:
        return drawn.read()


def _become(worker: dict, streams: Sequence[int]) -> None:
    # Ray ends the workers that it knows. One that has not yet told its process id would be left behind.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)  # Ray ends a worker with its process group
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(worker["environment"])
    os.chdir(worker["folder"])
    sys.argv = worker["arguments"]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
