"""Other training data than a checkpoint's: refused with what changed, or taken up as far as it is still there."""

import pytest

from recipe.zppo.errors import CheckpointError
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.run.data_change import DataChange, check_data, take_up
from recipe.zppo.run.identity import TRAIN_FILES, data_identity

IDS = ["a", "b", "c", "d"]
SAVED = {TRAIN_FILES: data_identity(IDS)}


def check(now: list[str], *, accept: bool = False, then: list[str] | None = IDS) -> DataChange | None:
    return check_data(SAVED, then, now, "folder", accept=accept, place=lambda row: f"x.parquet row {row}")


@pytest.mark.parametrize(
    ("now", "told", "in_place"),
    [
        (["a", "B", "c", "d"], "1 of them changed (x.parquet row 1)", True),
        (["A", "B", "c", "D"], "3 of them changed (x.parquet row 0, x.parquet row 1, x.parquet row 3)", True),
        (["a", "b", "c"], "1 of them are gone and 0 are new", False),
        (["a", "b", "c", "d", "e"], "0 of them are gone and 1 are new (x.parquet row 4)", False),
        (["b", "c", "d", "e"], "1 of them are gone and 1 are new (x.parquet row 3)", False),
        (["a", "c", "B", "d"], "1 of them are gone and 1 are new (x.parquet row 2)", False),
        (["b", "a", "c", "d"], "the prompts have another order", False),
    ],
)
def test_what_changed_is_said_and_refused_or_accepted(now: list[str], told: str, in_place: bool, capsys) -> None:
    begin = f"data.train_files: folder was written with 4 prompts; {told}"
    with pytest.raises(CheckpointError) as error:
        check(now)
    assert str(error.value).startswith(f"{begin}. Set them back, go on with zppo.data.accept_changes=true, or start")
    assert "\n" not in str(error.value)
    assert check(now, accept=True).in_place is in_place
    rest = "" if in_place else " with a new pass over the data"
    assert capsys.readouterr().err == f"zppo: {begin}; going on{rest}\n"


def test_many_rows_are_not_all_named() -> None:
    now = [f"{i}" for i in range(100)]
    told = DataChange.between([f"{i}" if i % 10 else f"old{i}" for i in range(100)], now).told(str)
    assert told == "10 of them changed (0, 10, 20, 30, 40, ...)"


def test_the_same_data_and_a_checkpoint_from_before_pass() -> None:
    assert check(IDS) is None
    assert check_data(None, None, ["x"], "folder", accept=False, place=str) is None


def test_a_checkpoint_without_ids_can_be_gone_on_from() -> None:
    with pytest.raises(CheckpointError, match=r"4 prompts; now there are 4, and which changed it does not tell. Set"):
        check(["a", "B", "c", "d"], then=None)
    assert not check(["a", "B", "c", "d"], accept=True, then=None).in_place


def test_what_is_gone_leaves_buffer_and_unfinished_work(capsys) -> None:
    buffer = PromptReplayBuffer(8, 0.5, 0)
    buffer.update(1, [(prompt_id, 0.25, row) for row, prompt_id in enumerate(IDS)])
    pending = {
        "step": 3,
        "order": ["d", "b"],
        "rows": {"d": (3, True), "b": (1, False)},
        "plain": {"d": [1], "b": [2]},
        "teacher": {"b": 1},
        "compressed": [(("b", "student", 0), 1), (("d", "student", 0), 2)],
    }
    left, gone = take_up(buffer, pending, ["d", "x", "a", "c"])
    assert [entry.prompt_id for entry in gone] == ["b"]
    assert {entry.prompt_id: entry.reference for entry in buffer.sample(8)} == {"d": 0, "a": 2, "c": 3}
    assert buffer.metrics()["evictions"] == 1 and buffer.metrics()["size/from_0.250"] == 3
    assert left == {
        "step": 3,
        "order": ["d"],
        "rows": {"d": (0, True)},
        "plain": {"d": [1]},
        "teacher": {},
        "compressed": [(("d", "student", 0), 2)],
    }
    assert "of the replay buffer 1 prompts are gone, 3 stay; of unfinished reformulations 1" in capsys.readouterr().err
    left, gone = take_up(buffer, pending, ["x"])
    assert left is None and len(gone) == 3 and len(buffer) == 0
    assert take_up(buffer, None, IDS) == (None, [])
