"""Many nodes: who is called with what on the head and on the others, and how each of them ends."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, TRAINER, WRITES_ITS_CALL, Site, planned

LAUNCHER = TRAINER / "run_qwen3_5_multinode.sh"
SLURM = TRAINER / "run_qwen3_5_slurm.sbatch"

# Writes down its call, and that it was stopped; goes on until then, or as long as the test says. Who sees the call can
# rely on the rest.
_STAYS = f"""#!/bin/bash
trap 'printf "stopped\\0%s\\0\\n" "$(basename "$0")" >> "$CALLS"; exit 143' TERM
{WRITES_ITS_CALL}
for _ in $(seq ${{RAY_LASTS:-600}}); do sleep 0.1; done
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
    nodes.stand_in("python3", _AFTER_RAY + WRITES_ITS_CALL)
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


@pytest.mark.parametrize(
    ("given", "variables", "hardware", "nodes"),
    [
        ((), {}, "8x8x80", 8),
        ((), {"NNODES": "2", "GPUS_PER_NODE": "4", "GPU_GB": "141"}, "2x4x141", 2),
        (("zppo.hardware=4x8x80",), {}, "4x8x80", 4),
    ],
)
def test_a_dry_run_starts_nothing_and_prints_the_plan(site, given, variables, hardware: str, nodes: int) -> None:
    """Nor does it need an address; the last `zppo.hardware` wins, which is the user's."""
    for script in (LAUNCHER, SLURM):
        (called,) = site.calls(script, *given, "zppo.dry_run=true", SIZE="9b", **variables)
        assert called[:3] == ["python3", "-m", "verl.trainer.main_zppo"]
        assert called[-1] == "zppo.dry_run=true" and f"trainer.nnodes={nodes}" in called
        assert [word for word in called if word.startswith("zppo.hardware=")][-1] == f"zppo.hardware={hardware}"
        assert "actor_rollout_ref.model.path=Qwen/Qwen3.5-9B" in called
    done = subprocess.run(
        [LAUNCHER, "zppo.dry_run=True"], env=site.environment(NODE_RANK="3"), capture_output=True, text=True
    )
    assert done.returncode == 0 and "zppo: node 3: a dry run: node 0 prints the plan" in done.stderr
