"""Many nodes: who is called with what on the head and on the others, and how each of them ends."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, TRAINER, Site, planned

LAUNCHER = TRAINER / "run_qwen3_5_multinode.sh"

# Writes down its call, and that it was stopped; goes on until then, or as long as the test says.
_STAYS = """#!/bin/bash
{ printf '%s\\0' "$(basename "$0")" "$@"; printf '\\n'; } >> "$CALLS"
trap 'printf "stopped\\0%s\\0\\n" "$(basename "$0")" >> "$CALLS"; exit 143' TERM
for _ in $(seq ${RAY_LASTS:-600}); do sleep 0.1; done
"""

_AFTER_RAY = '#!/bin/sh\nuntil [ -s "$CALLS" ]; do sleep 0.05; done\n'


@pytest.fixture
def nodes(tmp_path: Path) -> Site:
    """A place of its own, with a `ray` that stays up."""
    site = Site(tmp_path)
    site.stand_in("ray", _STAYS)
    return site


@pytest.fixture
def head() -> Iterator[socket.socket]:
    """What answers at the head's port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def launched(site: Site, rank: int, *arguments: str, **environment: str) -> subprocess.Popen:
    values = {"HEAD_ADDRESS": "127.0.0.1", "NODE_RANK": str(rank), "SIZE": "9b", "ENGINE": "fsdp", **environment}
    return subprocess.Popen(
        [LAUNCHER, *arguments],
        env=site.environment(MODEL_PATH=str(site.model("9b")), **values),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Its exit status, and what it said of errors."""
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def calls_of(site: Site) -> list[list[str]]:
    path = site.folder / "calls"
    return [line.split("\0")[:-1] for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_call(site: Site, word: str) -> None:
    deadline = time.monotonic() + 30
    while not any(word in call for call in calls_of(site)):
        assert time.monotonic() < deadline, f"{word} was not called"
        time.sleep(0.05)


def test_the_head_starts_ray_waits_for_all_nodes_and_trains(nodes: Site) -> None:
    status, errors = ended(launched(nodes, 0, "method=hint", RAY_PORT="6400"))
    assert status == 0, errors
    called = calls_of(nodes)
    by_name = {tuple(call[:3]): call[3:] for call in called}
    ray = by_name["ray", "start", "--head"]
    assert ray == ["--node-ip-address=127.0.0.1", "--port=6400", "--num-gpus=8", "--block"]
    wait = by_name["python3", "-m", "recipe.zppo.wait_for_nodes"]
    assert wait == ["--nodes", "8", "--gpus", "8", "--limit", "900"]
    assert called[-1] == ["stopped", "ray"]  # and no `ray stop`, which would end what others started
    overrides = tuple(by_name["python3", "-m", "verl.trainer.main_zppo"])
    plan = planned(overrides, "8x8x80")
    assert plan.problems == []
    assert plan.layout.by_node() == [(node, {"student": 6, "teacher": 2}) for node in range(8)]


def test_the_heads_exit_status_is_the_trainers(nodes: Site) -> None:
    nodes.stand_in("python3", _AFTER_RAY + 'case "$*" in *main_zppo*) exit 2;; esac\n')
    assert ended(launched(nodes, 0))[0] == 2
    assert calls_of(nodes)[-1] == ["stopped", "ray"]


def test_the_head_gives_up_when_nodes_do_not_come(nodes: Site) -> None:
    nodes.stand_in("python3", _AFTER_RAY + 'case "$*" in *wait_for_nodes*) exit 1;; esac\necho trained >> "$CALLS"\n')
    assert ended(launched(nodes, 0))[0] == 1
    assert calls_of(nodes)[-1] == ["stopped", "ray"] and ["trained"] not in calls_of(nodes)


def test_the_head_does_not_wait_for_nodes_when_its_own_ray_fails(nodes: Site) -> None:
    nodes.stand_in("ray", "#!/bin/sh\nexit 1\n")
    nodes.stand_in("python3", _STAYS)
    status, errors = ended(launched(nodes, 0))
    assert status == 1 and "Ray ended at once on the head" in errors
    assert not any("verl.trainer.main_zppo" in call for call in calls_of(nodes))


def test_a_signal_ends_trainer_and_ray(nodes: Site) -> None:
    stays = _STAYS.replace("trap", 'case "$*" in *wait_for_nodes*) exit 0;; esac\ntrap')
    nodes.stand_in("python3", stays)
    process = launched(nodes, 0)
    wait_for_call(nodes, "ray")
    wait_for_call(nodes, "verl.trainer.main_zppo")
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    assert {tuple(call) for call in calls_of(nodes) if call[0] == "stopped"} == {
        ("stopped", "ray"),
        ("stopped", "python3"),
    }


def test_a_worker_joins_and_ends_with_the_head(nodes: Site, head: socket.socket) -> None:
    port = head.getsockname()[1]
    process = launched(nodes, 3, RAY_PORT=str(port), RAY_LASTS="10")
    wait_for_call(nodes, "ray")
    head.close()
    status, errors = ended(process)
    assert status == 0, errors
    assert "the head has ended" in errors
    assert calls_of(nodes) == [["ray", "start", f"--address=127.0.0.1:{port}", "--num-gpus=8", "--block"]]


def test_a_worker_whose_ray_ends_alone_fails(nodes: Site, head: socket.socket) -> None:
    status, errors = ended(launched(nodes, 3, RAY_PORT=str(head.getsockname()[1]), RAY_LASTS="1"))
    assert status == 1 and "Ray ended on this node while the head goes on" in errors


def test_a_worker_waits_for_the_head_with_a_limit(nodes: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again afterwards
    status, errors = ended(launched(nodes, 1, RAY_PORT=str(port), WAIT_S="1"))
    assert status == 1
    assert f"waiting for the Ray head at 127.0.0.1:{port}, 0 of 1 s" in errors
    assert f"no Ray head at 127.0.0.1:{port} after 1 s" in errors and calls_of(nodes) == []


def test_what_must_be_set_is_named(nodes: Site) -> None:
    for name in ("HEAD_ADDRESS", "NODE_RANK"):
        environment = nodes.environment(HEAD_ADDRESS="a", NODE_RANK="1")
        del environment[name]
        done = subprocess.run([LAUNCHER], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and f"{name}: " in done.stderr


def test_slurm_starts_one_launcher_a_node(nodes: Site) -> None:
    nodes.stand_in("scontrol", "#!/bin/sh\nprintf 'node%s\\n' 11 12 13\n")
    nodes.stand_in(
        "srun",
        '#!/bin/bash\n[[ "$1 $2" == "--kill-on-bad-exit=1 --cpu-bind=none" ]] || exit 9\n'
        'SLURM_PROCID=2 exec "${@:3}"\n',
    )
    nodes.stand_in("ray")
    environment = nodes.environment(SLURM_SUBMIT_DIR=str(ROOT), SLURM_JOB_NODELIST="node[11-13]", SLURM_NNODES="3")
    # the stand-in is task 2 of 3; no such head answers, so that the launcher says where it looks
    done = subprocess.run(
        [TRAINER / "run_qwen3_5_slurm.sbatch", "method=zppo"],
        env={**environment, "WAIT_S": "0"},
        cwd=nodes.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "zppo: node 2: no Ray head at node11:6379 after 0 s" in done.stderr


def test_the_job_asks_for_the_papers_machines() -> None:
    text = (TRAINER / "run_qwen3_5_slurm.sbatch").read_text()
    assert {"#SBATCH --nodes=8", "#SBATCH --ntasks-per-node=1", "#SBATCH --gpus-per-node=8", "#SBATCH --mem=0"} <= {
        *text.splitlines()
    }
