"""Workers that are forked off one process, without Ray: a script that says what it is, started as Ray would."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from recipe.cpu.forks import py_executable
from recipe.zppo.run.processes import started_at

SAYS = """
import json, os, sys, time
print("words", file=sys.stderr, flush=True)
told = [os.environ["MARK"], os.getcwd(), sys.argv[1:], sys.path[0], __name__, os.getpid() == os.getpgid(0)]
print(json.dumps([told, "colorsys" in sys.modules, os.getpid(), hash("a")]), flush=True)
time.sleep(float(os.environ.get("STAYS_S", "0")))
"""


class Node:
    """What Ray's raylet is to its workers: a process that they end with, and a folder for sockets."""

    def __init__(self, folder: Path):
        self.folder, self.script, self.socket = folder, folder / "worker" / "script.py", f"{folder}/raylet"
        self.script.parent.mkdir()
        self.script.write_text(SAYS)
        self.process = subprocess.Popen(["sleep", "600"])

    def worker(self, mark: str, modules: str = "colorsys", **environment: str) -> tuple[bool, int, int, str]:
        """Of a worker: whether the modules were there already, its process, a hash, and what was said on the way."""
        environment |= {"MARK": mark, "RAY_RAYLET_PID": str(self.process.pid)}
        client = subprocess.Popen(
            f"exec {py_executable(modules.split(','))} {self.script} --raylet-name={self.socket}",
            **{"shell": True, "cwd": self.folder, "env": os.environ | environment},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        )
        lines = [client.stdout.readline()]
        while not lines[-1].startswith("["):  # its end would be that of the nursery, which has the same pipe
            lines.append(client.stdout.readline())
        told, *rest = json.loads(lines.pop())
        arguments = [f"--raylet-name={self.socket}"]
        # A fork has a process group of its own, with which Ray ends a worker.
        assert told == [mark, str(self.folder), arguments, str(self.script.parent), "__main__", rest[0]]
        return (*rest, "".join(lines))


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.process.kill()
    node.process.wait()


def test_workers_are_forks_with_their_own_arguments_environment_and_streams(node):
    pids = set()
    for mark in ("a", "b"):
        forked, pid, _, said = node.worker(mark)
        assert forked and said == "words\n"
        pids.add(pid)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:  # that says nothing, and costs nothing
            client.connect(f"{node.socket}.forks")
    assert len(pids) == 2


def test_a_worker_with_another_hash_seed_is_a_process_of_its_own(node):
    forked, _, hashes, _ = zip(*(node.worker("a", PYTHONHASHSEED=seed) for seed in "112"), strict=True)
    assert forked == (True, True, False) and hashes[0] == hashes[1] != hashes[2]


def test_without_a_nursery_a_worker_is_a_new_process(node):
    forked, _, _, said = node.worker("a", "no_such_module")
    assert not forked and "no_such_module" in said and "this worker is no fork but a new process: " in said


def test_the_nursery_and_its_forks_end_with_their_node(node):
    _, pid, _, _ = node.worker("a", STAYS_S="600")
    running = {p.pid for p in psutil.process_iter(["cmdline"]) if f"{node.socket}.forks" in (p.info["cmdline"] or ())}
    assert running > {pid}
    node.process.kill()
    node.process.wait()
    deadline = time.monotonic() + 60
    while any(started_at(pid) for pid in running):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("undrawn", [True, False])
def test_forks_have_random_ids_of_their_own_if_no_import_has_drawn(tmp_path, undrawn):
    """The second case fails when Ray reseeds a fork by itself, and `import_undrawn` is needed no longer."""
    (tmp_path / "an_actor.py").write_text("import ray\n\n@ray.remote\nclass Actor: ...\n")
    module = "forks.import_undrawn(['an_actor'])" if undrawn else "import an_actor"
    script = f"import recipe.cpu.forks as forks; {module}; print(forks._id_in_a_fork() == forks._id_in_a_fork())"
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
    alike = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert alike.stdout == f"{not undrawn}\n"
