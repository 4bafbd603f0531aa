"""The rows that all builders write."""

import errno
import hashlib

import pyarrow.parquet as pq
import pytest

from recipe.zppo.data.errors import BuildError, RowError
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.rows import SCHEMA, build_row, text_id, with_placeholders


def row(number: int = 0, **changes):
    fields = dict(data_source="s", question=f"question {number}", answer="1", prompt_id=f"s-{number}")
    return build_row(**(fields | changes))


def test_a_row_survives_the_file(tmp_path):
    rows = [row(0, images=[b"\x89PNG", b"\xff"], pass_rate=0.25, metadata={"b": 1, "a": "é"}), row(1)]
    assert write_rows(tmp_path / "a" / "train.parquet", rows) == 2
    table = pq.read_table(tmp_path / "a" / "train.parquet")
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == rows
    assert rows[0]["prompt"] == [{"role": "user", "content": "<image><image>\nquestion 0"}]
    assert rows[0]["extra_info"]["metadata"] == '{"a": "é", "b": 1}'
    assert rows[1]["images"] == [] and rows[1]["pass_rate"] is None


def test_the_same_rows_give_the_same_bytes_and_bounded_row_groups(tmp_path):
    for name in "ab":
        write_rows(tmp_path / name, (row(number) for number in range(150)))
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "ab"}
    assert len(digests) == 1
    metadata = pq.ParquetFile(tmp_path / "a").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [64, 64, 22]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"question": "  "}, "a row has no question"),
        ({"answer": ""}, "a row has no answer"),
        ({"prompt_id": None}, "a row has no prompt_id"),
        ({"answer_type": "guess"}, "answer_type: 'guess' is not one of rule, free_form"),
        ({"question": "<image> and <image>", "images": [b"x"]}, "the question has 2 <image> for 1 image"),
        ({"question": "<image>"}, "the question has 1 <image> for 0 image"),
        ({"question": "see <video>"}, "the question has <video>"),
    ],
)
def test_unusable_rows_are_refused(changes, complaint):
    with pytest.raises(RowError, match=complaint):
        row(**changes)


def test_placeholders_stay_where_they_are():
    assert with_placeholders("a <image> b", 1) == "a <image> b"
    assert with_placeholders("a", 2) == "<image><image>\na"
    assert with_placeholders("a", 0) == "a"


def test_the_judge_finds_its_rows_by_the_answer_type():
    assert row(answer_type="free_form")["extra_info"]["answer_type"] == "free_form"
    assert row(answer_type="free_form")["reward_model"]["style"] == "model"
    assert row()["extra_info"]["answer_type"] == "rule"


def test_ids_depend_on_the_parts_and_their_borders():
    assert text_id("s", "ab", "c") == text_id("s", "ab", "c")
    assert len({text_id("s", "ab", "c"), text_id("s", "a", "bc"), text_id("t", "ab", "c")}) == 3
    assert text_id("s", "\ud800").startswith("s-")


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EIO, "can't be written")],
)
def test_the_disk_refuses(tmp_path, code, words):
    def rows():
        yield row()
        raise OSError(code, "refused")

    with pytest.raises(BuildError, match=words) as caught:
        write_rows(tmp_path / "train.parquet", rows())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(BuildError, match="a file stands where a folder is needed"):
        write_rows(tmp_path / "out" / "train.parquet", [row()])
