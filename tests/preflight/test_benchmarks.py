"""Benchmarks during training that a run can't ask or score."""

from pathlib import Path

import pytest

from recipe.zppo.benchmarks.scoring import ocrbench_v2
from tests.runnable import Run

ASKED = ("zppo.evaluate.benchmarks=[AIME25]", "trainer.test_freq=5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["zppo.evaluate.benchmarks=[AIME52]"], "zppo.evaluate.benchmarks: there is no benchmark or family 'AIME52'"),
        (
            ["zppo.evaluate.benchmarks=[video]"],
            "zppo.evaluate.benchmarks: MMVU has videos, which validation does not ask",
        ),
        (["zppo.evaluate.benchmarks=[HLE]"], "zppo.judge.enable: HLE is scored by a judge; set it to true"),
        (["trainer.test_freq=-1"], "trainer.test_freq: no validation would ask zppo.evaluate.benchmarks"),
        (["data.val_max_samples=16"], "data.val_max_samples: it would cut zppo.evaluate.benchmarks off"),
        (["zppo.evaluate.limit=0"], "zppo.evaluate.limit: 0 is out of range; it must be at least 1"),
    ],
)
def test_what_can_not_work(run: Run, changes: list[str], message: str) -> None:
    assert run.refused(*ASKED, "trainer.val_before_train=false", *changes).startswith(message)


def test_a_metric_needs_its_packages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ocrbench_v2.check.cache_clear()
    monkeypatch.setattr(ocrbench_v2, "_MODULES", ("no_such_package",))
    message = run.refused("zppo.evaluate.benchmarks=[OCREN]", "trainer.test_freq=5")
    assert message.startswith("zppo.evaluate.benchmarks: OCRBench v2's metrics need no_such_package; install them")
    ocrbench_v2.check.cache_clear()


def test_a_local_copy_must_be_there(run: Run, tmp_path: Path) -> None:
    own = f"zppo.evaluate.data={tmp_path}"
    message = run.refused(*ASKED, own)
    assert message == (
        f"zppo.evaluate.data: AIME25 needs the folder {tmp_path}/opencompass/AIME2025, which is not there"
    )
    (tmp_path / "opencompass" / "AIME2025").mkdir(parents=True)
    run.check(*ASKED, own)
