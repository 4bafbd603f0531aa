"""Which checkpoint a run goes on from."""

import pytest

from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, TRACKER, latest_complete


def test_nothing_there(tmp_path):
    assert latest_complete(str(tmp_path / "none")) is None
    assert latest_complete(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("complete", "tracker", "latest"),
    [
        ([9], "10", 9),  # 10 was being written: verl writes its tracker before ours is complete
        ([20, 15, 10], "15", 15),  # a run that went further has left 20
        ([3], "", 3),  # a half-written tracker
    ],
)
def test_the_last_one_that_is_complete_and_of_this_run_counts(tmp_path, complete, tracker, latest):
    for step in (3, 9, 10, 15, 20):
        if step in complete or str(step) == tracker:
            (tmp_path / f"global_step_{step}" / "actor").mkdir(parents=True)
        if step in complete:
            (tmp_path / f"global_step_{step}" / COMPLETE_FILE).write_text("{}")
    (tmp_path / TRACKER).write_text(tracker)
    assert latest_complete(str(tmp_path)) == str(tmp_path / f"global_step_{latest}")
