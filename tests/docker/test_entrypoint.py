"""What a container does with its arguments, by running the entry script with a stand-in for each program."""

import os
import subprocess
from pathlib import Path

import pytest

ENTRY = Path(__file__).parents[2] / "docker" / "entrypoint.sh"
NO_DEVICES = "echo 'No devices found.'; exit 6"
ONE_GPU = "echo 'GPU 0: A device (UUID: GPU-0)'"


@pytest.fixture
def container(tmp_path):
    """``container(*arguments, nvidia_smi=...)`` runs the script; the quickstart tells its arguments and settings."""
    programs, source = tmp_path / "bin", tmp_path / "source"
    quickstart = source / "examples" / "quickstart" / "run_cpu.sh"
    quickstart.parent.mkdir(parents=True)
    programs.mkdir()

    def program(path: Path, body: str) -> None:
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    program(quickstart, 'echo "quickstart: $*"; echo "$PYTHON $OMP_NUM_THREADS $HF_HUB_OFFLINE"; exit ${STATUS:-0}')
    program(programs / "python", 'echo "python: $*"; exit ${STATUS:-0}')

    def run(*arguments: str, nvidia_smi: str | None = None, **env: str) -> subprocess.CompletedProcess:
        if nvidia_smi is not None:
            program(programs / "nvidia-smi", nvidia_smi)
        # The tools of the system, without a real nvidia-smi that a machine may have beside them.
        for name in ("bash", "cat", "df", "tail"):
            if not (programs / name).exists():
                (programs / name).symlink_to(
                    f"/usr/bin/{name}" if os.path.exists(f"/usr/bin/{name}") else f"/bin/{name}"
                )
        return subprocess.run(
            ["/bin/bash", str(ENTRY), *arguments],
            env={"PATH": str(programs), "ZPPO_SOURCE": str(source)} | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def test_it_is_sound_and_executable():
    assert subprocess.run(["bash", "-n", str(ENTRY)]).returncode == 0
    assert os.access(ENTRY, os.X_OK)


@pytest.mark.parametrize("nvidia_smi", [None, NO_DEVICES, "exit 9"])
def test_without_a_gpu_it_says_what_it_can_do_and_runs_the_quickstart(container, nvidia_smi):
    done = container(nvidia_smi=nvidia_smi)
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["quickstart: ", "python 1 1"]
    assert "docker run IMAGE COMMAND" in done.stderr
    assert "no GPU found" in done.stderr


def test_with_a_gpu_and_no_terminal_it_only_says_what_it_can_do(container):
    done = container(nvidia_smi=ONE_GPU)
    assert (done.returncode, done.stdout) == (0, "")
    assert "docker run IMAGE COMMAND" in done.stderr
    assert "no GPU found" not in done.stderr


def test_the_quickstart_takes_arguments_and_settings_with_a_gpu_as_well(container):
    done = container("quickstart", "trainer.total_training_steps=2", "a=b c", nvidia_smi=ONE_GPU, OMP_NUM_THREADS="4")
    assert done.stdout.splitlines() == ["quickstart: trainer.total_training_steps=2 a=b c", "python 4 1"]
    assert "docker run" not in done.stderr


@pytest.mark.parametrize("nvidia_smi", [None, ONE_GPU])
def test_a_command_is_executed_as_it_is(container, nvidia_smi):
    done = container("python", "-m", "verl.trainer.main_zppo", "a=b c", nvidia_smi=nvidia_smi)
    assert (done.stdout, done.stderr) == ("python: -m verl.trainer.main_zppo a=b c\n", "")


def test_exit_statuses_come_through(container):
    assert container("python", STATUS="3").returncode == 3
    assert container("quickstart", STATUS="4").returncode == 4
    assert container("no-such-program").returncode == 127


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help(container, word):
    done = container(word)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("open-zppo: ")


def test_small_shared_memory_is_mentioned(container, tmp_path):
    df = tmp_path / "bin" / "df"
    df.write_text("#!/bin/bash\necho 1K-blocks; echo 65536\n")
    df.chmod(0o755)
    assert "--shm-size=2g" in container("quickstart").stderr
    df.write_text("#!/bin/bash\necho 1K-blocks; echo 16777216\n")
    assert "--shm-size" not in container("quickstart").stderr
