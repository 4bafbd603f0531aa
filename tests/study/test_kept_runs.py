"""What `examples/smollm2/study/keep.py` keeps of finished runs is enough to go on elsewhere."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.study.conftest import attempts

SCRIPT = Path(__file__).parents[2] / "examples/smollm2/study/keep.py"


def keep(run: Path, out: Path) -> None:
    spec = importlib.util.spec_from_file_location("smollm2_keep", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.keep(run, out)


def test_kept_runs_count_as_done_and_give_the_same_table(study: Callable, tmp_path: Path):
    named = "own.name=ours"
    status, out = study(named)
    assert status == 0 and len(attempts(out)) == 4
    table, kept = (out / "table.md").read_text(), tmp_path / "kept"
    for run in (out / "runs").iterdir():
        keep(run, kept / run.name)
        assert "overrides" not in json.loads((kept / run.name / "run.json").read_text())
        assert not (kept / run.name / "attempts").exists()
    shutil.rmtree(out)
    (out / "runs").mkdir(parents=True)
    for run in list(kept.iterdir())[:3]:
        shutil.copytree(run, out / "runs" / run.name)
    assert study(named)[0] == 0
    assert len(attempts(out)) == 1  # the fourth only
    assert (out / "table.md").read_text() == table
