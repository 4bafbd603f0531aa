"""What Ray starts for a worker: `fork_client.py MODULE,MODULE SCRIPT --raylet-name=SOCKET ...`. See `forks.py`."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time

ROOT = os.path.abspath(f"{__file__}/../../..")
NURSERY = """
import sys
address, modules, root = sys.argv[1:]
sys.path.insert(0, root)
from recipe.cpu.forks import serve
serve(address, modules.split(","))
"""
START_S = 120


def main(modules: str, *arguments: str) -> None:
    names = [argument.partition("=")[2] for argument in arguments if argument.startswith("--raylet-name=")]
    try:
        if names and _forked(f"{names[0]}.forks", modules, arguments):
            return
    except OSError as error:
        print(f"this worker is no fork but a new process: {error}", file=sys.stderr)
    os.execv(sys.executable, [sys.executable, *arguments])


def _forked(address: str, modules: str, arguments: tuple[str, ...]) -> bool:
    worker = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    with open(f"{address}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(address):
            _start_nursery(address, modules)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(worker).encode()], [0, 1, 2])
        return connection.recv(16) == b"forked"


def _start_nursery(address: str, modules: str) -> None:
    command = [sys.executable, "-P", "-c", NURSERY, address, modules, ROOT]
    nursery = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + START_S
    while not os.path.exists(address) and nursery.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
