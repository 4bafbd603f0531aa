"""`zppo COMMAND`: the same as `python -m MODULE`, under one name, and completed by the shell."""

import os
import select
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from recipe.zppo.completion import SCRIPTS, keys, script
from recipe.zppo.config.commands import COMMANDS


def zppo(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "recipe.zppo.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", [module for module, _ in COMMANDS.values()])
def test_every_command_is_there(module: str) -> None:
    assert find_spec(module) is not None


def test_the_list_of_commands() -> None:
    shown = zppo("--help")
    assert shown.returncode == 0 and all(f"  {name} " in shown.stdout for name in COMMANDS)
    assert zppo().stdout == shown.stdout
    assert zppo("--version").stdout.startswith("open-zppo ")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["sumary", "x"], 2, "zppo: 'sumary x' is no command; zppo --help lists them\n"),
        (["data", "convrt"], 2, "zppo: 'data convrt' is no command; zppo --help lists them\n"),
        (["study", "stepz=3"], 2, "study: unknown key stepz; did you mean steps?\n"),
        (["completion", "tcsh"], 2, "usage: zppo completion bash|zsh|fish\n"),
    ],
)
def test_arguments_and_status_are_the_commands(arguments: list[str], status: int, said: str) -> None:
    done = zppo(*arguments)
    assert (done.returncode, done.stderr) == (status, said)


COMPLETED = [
    ("zppo sum", "zppo summary "),
    ("zppo data conv", "zppo data convert "),
    ("zppo train zppo.replay.cap", "zppo train zppo.replay.capacity="),
    ("zppo local zppo.reward.grader=c", "zppo local zppo.reward.grader=careful "),
    ("zppo local method=grpo_replay_b", "zppo local method=grpo_replay_bcq "),
    ("zppo local data.train_files=a_f", "zppo local data.train_files=a_file "),
    ("zppo summary a_f", "zppo summary a_file "),
]
"""What is typed, and the line after the tabulator: with a space where another word may follow."""

INTERACTIVE = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}


@pytest.fixture(scope="module", params=SCRIPTS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Its name, and a folder with the script for it and a file."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "script").write_text(script(request.param))
    (folder / "a_file").touch()
    return request.param, folder


@pytest.mark.parametrize(("typed", "line"), COMPLETED)
def test_what_the_shell_completes(shell: tuple[str, Path], typed: str, line: str) -> None:
    name, folder = shell
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"}
    if name == "fish":
        ask = ["fish", "--no-config", "-c", f"source script; complete -C'{typed}'"]
        found = subprocess.run(ask, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
        assert found.split() == [line.split()[-1]]
        return
    ours, theirs = os.openpty()
    command = [name, *INTERACTIVE[name]]
    running = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    try:
        os.write(ours, b"PS1=; zppo() { printf '<%s>' $@; }; . ./script; echo READY$((1+1))\n")
        shown_until(ours, "READY2")
        os.write(ours, typed.encode() + b"\t7\n")
        shown_until(ours, "".join(f"<{word}>" for word in f"{line}7".split()[1:]))
    finally:
        running.kill()
        running.wait()
        os.close(ours)
        os.close(theirs)


def shown_until(terminal: int, text: str) -> None:
    shown, deadline = "", time.monotonic() + 20
    while text not in shown:
        ready = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))[0]
        assert ready, f"{text!r} is not in {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace")


def test_the_names_are_there() -> None:
    assert len(list(keys())) > 60
    assert all("zppo.replay.capacity=" in script(shell) for shell in SCRIPTS)
