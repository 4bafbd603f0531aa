"""A careless user: whatever is typed wrong ends with status 2 and one line that says what to do, and no traceback.

In this process; what only a process can show is at the end. The trainers' command lines are in tests/config/.
"""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from recipe.zppo.config.commands import COMMANDS
from tests.event_lines import measured
from tests.runnable import row, write_rows
from tests.view.synthetic_run import write_run

WORLDS = ("world", "picture-world")
READERS = ("watch", "summary", "plots", "compare", "candidate-match", "cue-audit")
MODULES = {name: module for name, (module, _) in COMMANDS.items()}

# The command line, in which {d} is a folder as `places` makes it; what the line says.
TABLE: list[tuple[str, str]] = [
    *((reader, f"required: {'A' if reader == 'compare' else 'run_dir'};") for reader in READERS),
    *(
        (f"{reader} {{d}}/nowhere", "is not a folder; give the trainer.default_local_dir of a run")
        for reader in READERS
        if reader != "compare"
    ),
    ("compare {d}/nowhere", "is not a folder; give that of an evaluation or of a run, or a row as in paper:0.8B/zppo"),
    *((f"{reader} ''", "'' is not a folder") for reader in READERS),
    *((f"{reader} {{d}}/file", "is not a folder") for reader in READERS),
    *((f"{reader} {{d}}/run --jsn", "unrecognized arguments: --jsn") for reader in READERS),
    *((f"{reader} {{d}}/run {{d}}/run x", "unrecognized arguments: ") for reader in READERS),
    *(
        (f"{reader} {{d}}/empty", "has no events.jsonl")
        for reader in ("summary", "plots", "compare", "candidate-match")
    ),
    *((f"{reader} {{d}}/garbage", "events.jsonl has no metrics yet") for reader in ("summary", "plots", "compare")),
    ("cue-audit {d}/empty", "has no rollout files"),
    *((f"{reader} {{d}}/garbage", "has no group that can be read") for reader in ("candidate-match", "cue-audit")),
    *((f"{reader} {{d}}/other", "has no group that can be read") for reader in ("candidate-match", "cue-audit")),
    ("plots {d}/other", "has nothing to draw yet"),
    ("compare {d}/other", "has no validation"),
    ("compare {d}/run {d}/nowhere", "nowhere' is not a folder"),
    ("compare {d}/run {d}/stranger", "no benchmark in common"),
    ("plots {d}/run --out", "argument --out: expected one argument"),
    ("plots {d}/run --out ''", "argument --out: is empty"),
    ("plots {d}/run --out {d}/file", "file: File exists"),
    ("plots {d}/run --out {d}/file/x", "file/x: Not a directory"),
    ("plots {d}/run --out /proc/x", "/proc/x: No such file or directory"),
    ("watch {d}/run --pid x", "argument --pid: invalid number value: 'x'"),
    ("watch {d}/run --pid 0", "argument --pid: 0 must be at least 1"),
    ("merge-adapter", "required: folder"),
    ("merge-adapter ''", "argument folder: is empty"),
    ("merge-adapter {d}/nowhere", "nowhere has no lora_adapter/adapter_config.json, so there is nothing to merge"),
    ("merge-adapter {d}/model", "model has no lora_adapter/adapter_config.json"),
    ("wait-for-nodes", "required: --nodes, --gpus"),
    ("wait-for-nodes --nodes two --gpus 1", "argument --nodes: invalid number value: 'two'"),
    ("wait-for-nodes --nodes 0 --gpus 1", "argument --nodes: 0 must be at least 1"),
    ("wait-for-nodes --nodes 1 --gpus 1 --limit nan", "argument --limit: nan must be at least 0"),
    ("wait-for-nodes --nodes 1 --gpus 1 --limit inf", "argument --limit: inf must be"),
    *((f"{world} --sed 3", "unrecognized arguments: --sed") for world in WORLDS),
    *(
        (f"{world} {{d}}/new --seed x", "argument --seed: invalid int value: 'x'")
        for world in ("world", "picture-world")
    ),
    *((f"{world} ''", "argument out_dir: is empty") for world in WORLDS),
    *((f"{world} {{d}}/file", "is a file; give a folder for the world") for world in WORLDS),
    *((f"{world} {{d}}/file/x", "file: File exists") for world in WORLDS),
    *((f"{world} {{d}}/run", "holds files that are not a world") for world in WORLDS),
    *((f"{world} /proc/x", "/proc") for world in WORLDS),
    ("world {d}/new --difficulty hard", "invalid choice: 'hard' (choose from "),
    ("picture-world --smoke", "--smoke needs out_dir"),
    ("completion", "usage: zppo completion bash|zsh|fish"),
    ("completion tcsh", "usage: zppo completion bash|zsh|fish"),
    *((f"data {kind} out", "out: expected key=value; --help lists the keys") for kind in ("convert", "zppo-77k")),
    *((f"data {kind} otu=x", "unknown key otu; did you mean out?") for kind in ("convert", "zppo-77k")),
    *((f"data {kind} out=a out=b", "out: given twice") for kind in ("convert", "zppo-77k")),
    *((f"data {kind} --out=d", "unknown key --out") for kind in ("convert", "zppo-77k")),
    ("data convert out={d}/new", "name: needed"),
    ("data convert name=verl out=", "out: expected a text, got ''"),
    ("data convert name=gsm out={d}/new", "name: 'gsm' is not one of gsm8k"),
    ("data convert name=verl out={d}/new", "source: needed with name=verl"),
    ("data convert name=verl source={d}/nowhere out={d}/new", "nowhere: does not exist"),
    ("data convert name=verl source={d}/empty out={d}/new", "empty: has no parquet file"),
    ("data convert name=verl source={d}/garbage/garbage.parquet out={d}/new", "garbage.parquet"),
    ("data convert name=verl source={d}/garbage/garbage.json out={d}/new", "garbage.json"),
    ("data convert name=verl source={d}/train.parquet out={d}/new limit=0", "limit: expected at least 1, got 0"),
    ("data convert name=verl source={d}/train.parquet out={d}/new limit=ten", "limit: expected a whole number or null"),
    ("data convert name=verl source={d}/train.parquet out={d}/file", "a file stands where a folder is needed"),
    ("data convert name=verl source={d}/train.parquet out=/proc/x", "/proc/x"),
    ("data zppo-77k vero=null mmfinereason=null out={d}/new", "both are null; there is nothing to build from"),
    ("data zppo-77k subsets=[x] out={d}/new", "subsets: x is not one of"),
    ("data zppo-77k workers=0 out={d}/new", "workers: expected at least 1, got 0"),
    ("data reasoning-gym", "required: out"),
    ("data reasoning-gym ''", "argument out: is empty"),
    ("data reasoning-gym {d}/new", "--task: name at least one task"),
    ("data reasoning-gym {d}/new --task chain_sum --train -1", "argument --train: -1 must be at least 0"),
    ("report {d}/nowhere", "nowhere' is not a folder"),
    ("report {d}/empty", "empty has no events.jsonl: not the folder of a run"),
    ("report {d}/run {d}/old", "of an earlier version"),
    ("report {d}/run --out ''", "argument --out: is empty"),
    ("report {d}/run --out {d}/file/x.html", "x.html"),
    ("report {d}/run --serve --port 70000", "--port 70000: not a port"),
    ("study stepz=3", "study: unknown key stepz; did you mean steps?"),
    ("study x", "study: x: expected key=value"),
    ("study ''", "study: : expected key=value"),
    ("study plan=nope", "study: "),
    ("study steps=ten", "study: steps: expected"),
    ("study --hlep", "study: --hlep: expected key=value"),
    ("study worlds=[firmest]", "study: worlds"),
    ("study out={d}/file", "study: out: "),
    ("study out={d}/file/x", "file is a file; name another folder"),
    ("study world_seed=a", "study: world_seed: expected"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and what is none: an empty folder, garbage, lines of another version, another benchmark, a file."""
    folder = tmp_path_factory.mktemp("places")
    write_run(folder / "run", steps=3, total_steps=3)
    write_rows(folder / "train.parquet", [row(0)])
    (folder / "file").touch()
    (folder / "empty").mkdir()
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    garbage = bytes(range(256)) * 9
    other = [{"kind": "bcq", "prompt_id": 3}, {"kind": "bcq", "candidates": 7}, {"kind": "plain", "teacher": []}]
    shown = "\n".join(map(json.dumps, other)).encode()
    for name, events, lines in (
        ("garbage", garbage, garbage),
        ("other", measured([{"step": 1, "loss": 2}]).encode() + b'{"step": "x"}\n[1]\n', shown),
        ("stranger", measured([{"step": 1, "val-core/strange/acc/mean@1": 0.5}]).encode(), b""),
    ):
        (folder / name / "rollouts").mkdir(parents=True)
        (folder / name / "events.jsonl").write_bytes(events)
        (folder / name / "rollouts" / "step_000001.jsonl").write_bytes(lines)
    (folder / "old").mkdir()
    (folder / "old" / "metrics.jsonl").write_text("{}")
    for suffix in ("parquet", "json"):
        (folder / "garbage" / f"garbage.{suffix}").write_bytes(garbage)
    return folder


@pytest.mark.parametrize(("line", "said"), TABLE, ids=[line for line, _ in TABLE])
def test_one_line_and_status_2(
    line: str, said: str, places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    words = [word.strip("'").format(d=places) for word in line.split()]
    module = MODULES.get(" ".join(words[:2])) or MODULES[words[0]]
    rest = words[2 if words[0] == "data" else 1 :]
    module += ".__main__" if module.endswith(("report", "study", "world")) else ""
    monkeypatch.chdir(places)
    monkeypatch.setattr(sys, "argv", [module, *rest])
    before = sorted(places.rglob("*"))
    try:
        status = import_module(module).main()
    except SystemExit as end:  # argparse
        status = end.code
    (shown,) = capsys.readouterr().err.splitlines()
    assert status == 2 and said in shown, shown
    assert [path for path in places.rglob("*") if path not in before and ".lock" not in path.name] == []


# ---- what only a process can show


def run(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    command = ["bash", "-c", line.replace("zppo ", f"{sys.executable} -m recipe.zppo.cli ")]
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("line", ["zppo completion bash | true", "zppo summary run | head -1"])
def test_a_reader_that_has_seen_enough_is_no_error(places: Path, line: str) -> None:
    done = run(f"{line}; exit ${{PIPESTATUS[0]}}", places)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", ["zppo summary run", "zppo --help"])
def test_a_full_disk_is_one_line(places: Path, line: str) -> None:
    done = run(f"{line} > /dev/full", places)
    assert (done.returncode, done.stderr) == (2, "zppo: standard output: No space left on device\n")


def test_a_terminal_without_the_signs(places: Path) -> None:
    done = run("zppo summary run", places, PYTHONIOENCODING="ascii", COLUMNS="20", NO_COLOR="1")
    assert done.returncode == 0 and done.stderr == "" and "?" in done.stdout


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_make_says_which_python_it_takes(tmp_path: Path, version: tuple[int, int]) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = {version}; $2"\n')
    python.chmod(0o755)
    root = Path(__file__).parents[1]
    command = ["make", "-s", "-C", str(root), f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", "venv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    line, of_make = done.stderr.splitlines()
    assert done.returncode == 2 and re.match(r"make(\[\d+\])?: \*\*\* ", of_make)
    assert line.startswith(f"PYTHON={python}: Python 3.11 or 3.12 with venv and ensurepip is needed")
