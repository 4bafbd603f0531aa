"""Workers that are forked off one process, without Ray: a script that says what it is, started as Ray would."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from recipe.cpu.forks import py_executable
from recipe.zppo.run.processes import started_at

SAYS = """
import json, os, sys, time
told = ["colorsys" in sys.modules, os.environ["MARK"], os.getcwd(), sys.argv[1:], sys.path[0], __name__]
print("words", file=sys.stderr, flush=True)
print(json.dumps({"pid": os.getpid(), "group": os.getpgid(0), "told": told, "hash": hash("a")}), flush=True)
time.sleep(float(os.environ.get("STAYS_S", "0")))
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Node:
    """What Ray's raylet is to its workers: a process that they end with, and a folder for sockets."""

    def __init__(self, folder: Path, modules: str):
        self.folder = folder
        self.script = folder / "worker" / "script.py"
        self.script.parent.mkdir()
        self.script.write_text(SAYS)
        self.process = subprocess.Popen(["sleep", "600"])
        self.command = py_executable(modules.split(","))
        self.pids: set[int] = set()

    def worker(self, mark: str, **environment: str) -> tuple[dict, str]:
        """What one of this mark says, on its two streams."""
        name, out, errors = self.folder / "raylet", self.folder / f"{mark}.out", self.folder / f"{mark}.err"
        subprocess.run(
            f"exec {self.command} {self.script} --raylet-name={name}",
            shell=True,
            cwd=self.folder,
            env=os.environ | {"MARK": mark, "RAY_RAYLET_PID": str(self.process.pid), **environment},
            stdout=out.open("w"),
            stderr=errors.open("w"),
            timeout=60,
            check=True,
        )
        wait_for(lambda: out.read_text().endswith("\n"))
        said = json.loads(out.read_text())
        told = [mark, str(self.folder), [f"--raylet-name={name}"], str(self.script.parent), "__main__"]
        assert said["told"][1:] == told and errors.read_text().endswith("words\n")
        assert said["pid"] not in self.pids
        self.pids.add(said["pid"])
        return said, errors.read_text()


@pytest.fixture
def node(tmp_path):
    made = []

    def make(modules: str = "colorsys") -> Node:
        made.append(Node(tmp_path, modules))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()


def test_workers_are_forks_with_their_own_arguments_environment_and_streams(node):
    first = node()
    for mark in ("a", "b"):
        said, errors = first.worker(mark)
        assert said["told"][0] and errors == "words\n"
        assert said["group"] == said["pid"]  # Ray ends a worker with its group


def test_a_worker_with_another_hash_seed_is_a_process_of_its_own(node):
    first = node()
    plain, _ = first.worker("a", PYTHONHASHSEED="1")
    forked, _ = first.worker("b", PYTHONHASHSEED="1")
    other, _ = first.worker("c", PYTHONHASHSEED="2")
    assert (plain["told"][0], forked["told"][0], other["told"][0]) == (True, True, False)
    assert plain["hash"] == forked["hash"] != other["hash"]


def test_without_a_nursery_a_worker_is_a_new_process(node):
    said, errors = node("no_such_module").worker("a")
    assert not said["told"][0]
    assert "no_such_module" in errors and "this worker is no fork but a new process: " in errors


def test_the_nursery_and_its_forks_end_with_their_node(node, tmp_path):
    first = node()
    said, _ = first.worker("a", STAYS_S="600")
    processes = psutil.process_iter(["cmdline"])
    listening = [p for p in processes if f"{tmp_path}/raylet.forks" in (p.info["cmdline"] or ())]
    assert {p.pid for p in listening} > {said["pid"]}
    first.process.kill()
    first.process.wait()
    wait_for(lambda: all(started_at(process.pid) is None for process in listening))


@pytest.mark.parametrize("undrawn", [True, False])
def test_forks_have_random_ids_of_their_own_if_no_import_has_drawn(tmp_path, undrawn):
    """The second case fails when Ray reseeds a fork by itself, and `import_undrawn` is needed no longer."""
    (tmp_path / "an_actor.py").write_text("import ray\n\n@ray.remote\nclass Actor: ...\n")
    module = "forks.import_undrawn(['an_actor'])" if undrawn else "import an_actor"
    script = f"import recipe.cpu.forks as forks; {module}; print(forks._id_in_a_fork() == forks._id_in_a_fork())"
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
    alike = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert alike.stdout == f"{not undrawn}\n"


def test_the_nursery_outlives_a_client_that_says_nothing(node, tmp_path):
    first = node()
    first.worker("a")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"{tmp_path}/raylet.forks")
    said, errors = first.worker("b")
    assert said["told"][0] and errors == "words\n"
