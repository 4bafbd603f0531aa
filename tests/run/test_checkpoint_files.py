"""Which checkpoint a run goes on from."""

from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, TRACKER, latest_complete


def checkpoint(folder, step, complete=True):
    path = folder / f"global_step_{step}"
    (path / "actor").mkdir(parents=True)
    if complete:
        (path / COMPLETE_FILE).write_text("{}")
    return str(path)


def test_nothing_there(tmp_path):
    assert latest_complete(str(tmp_path / "none")) is None
    assert latest_complete(str(tmp_path)) is None


def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path):
    good = checkpoint(tmp_path, 9)
    checkpoint(tmp_path, 10, complete=False)
    (tmp_path / TRACKER).write_text("10")  # verl writes it before ours is complete
    assert latest_complete(str(tmp_path)) == good


def test_what_a_run_that_went_further_has_left_does_not_count(tmp_path):
    checkpoint(tmp_path, 20)
    good = checkpoint(tmp_path, 15)
    checkpoint(tmp_path, 10)
    (tmp_path / TRACKER).write_text("15")
    assert latest_complete(str(tmp_path)) == good


def test_a_half_written_tracker_is_passed_over(tmp_path):
    good = checkpoint(tmp_path, 3)
    (tmp_path / TRACKER).write_text("")
    assert latest_complete(str(tmp_path)) == good
