"""On the whole stack: an update without the rows that have no advantage is the update with all of them."""

import json

import pytest


def test_the_update_is_the_same(training):
    """Five of six groups have equal rewards. Were tokens miscounted, the norms would be far apart."""
    seen = []
    for skip in ("true", "false"):
        run = training(f"skip_{skip}")
        run.run(
            f"zppo.skip_zero_advantages={skip}",
            "trainer.total_training_steps=1",
            "trainer.save_freq=-1",
            "trainer.test_freq=-1",
            "trainer.val_before_train=false",
        )
        lines = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
        seen.append(next(line for line in lines if "actor/grad_norm" in line))
    skipped, every = seen
    assert every["zppo/batch/trivial_group_share"] == skipped["zppo/batch/trivial_group_share"] > 0.5
    assert skipped["actor/entropy"] == every["actor/entropy"]
    assert skipped["actor/grad_norm"] == pytest.approx(every["actor/grad_norm"], rel=1e-4)
    assert skipped["actor/pg_loss"] == pytest.approx(every["actor/pg_loss"], rel=1e-3, abs=1e-6)
