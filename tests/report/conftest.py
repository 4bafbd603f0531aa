import json
import shutil
from pathlib import Path

import pytest

from recipe.zppo.config.method_keys import DistillationConfig
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.status import StatusFile
from tests.view.synthetic_run import write_run

RIGHT_TO_LEFT = "\u202eabc\u202c \u05e9\u05dc\u05d5\u05dd"
MARKUP = (
    "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 2'><b>bold</b> & &lt; {{payload}}"
)
UNSEEN = "<!--<script> nul \x00 half \ud800 escape \x1b[31m"
HOSTILE = f"{MARKUP} {UNSEEN} {RIGHT_TO_LEFT} \\boxed{{1}} {'long ' * 200_000}the end"
"""A megabyte that would like to be more than text."""


def plain(path: Path) -> list[dict]:
    """The lines of a file, read without the project's readers."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def finished(folder: Path) -> Path:
    return write_run(folder / "finished")


@pytest.fixture(scope="session")
def crashed(folder: Path) -> Path:
    """Killed after step 7 of 40, in the middle of a line; its teacher died at step 4."""
    run = write_run(folder / "crashed", steps=7, total_steps=40, teacher_dies_at=4)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"pid": 2**22 + 1}))
    with (run / "events.jsonl").open("a") as file:
        file.write('{"type": "admitted", "step": 8, "promp')
    return run


@pytest.fixture(scope="session")
def resumed(folder: Path, crashed: Path) -> Path:
    """The same, gone on from step 5."""
    run = Path(shutil.copytree(crashed, folder / "resumed"))
    log = EventLog(str(run / "events.jsonl"))
    log.resume(5)
    log.finish()
    return run


@pytest.fixture(scope="session")
def one_step(folder: Path) -> Path:
    return write_run(folder / "one_step", steps=1, total_steps=1)


@pytest.fixture(scope="session")
def distilled(folder: Path) -> Path:
    config = ZPPOConfig(distillation=DistillationConfig(mode="off_policy"))
    return write_run(folder / "distilled", config=config, steps=4, total_steps=4)


@pytest.fixture(scope="session")
def empty(folder: Path) -> Path:
    """Begun, and nothing else."""
    run = folder / "empty"
    run.mkdir()
    StatusFile(str(run / "status.json")).write(0, "start")
    log = EventLog(str(run / "events.jsonl"))
    log.resume(0)
    log.finish()
    return run


@pytest.fixture(scope="session")
def hostile(folder: Path) -> Path:
    return write_run(folder / "hostile", steps=2, total_steps=2, new=3, replayed=1, reformulated=1, text=HOSTILE)
