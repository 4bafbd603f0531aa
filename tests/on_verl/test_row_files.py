"""JSON files as tables: no column is lost, and gold answers stay what they are."""

import json
from typing import Any

import pyarrow as pa
import pytest

from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_json_table, read_rows, read_schema

BIG = 2**70


def write(file, rows: list[dict[str, Any]]) -> str:
    as_list = file.suffix == ".json"
    file.write_text(json.dumps(rows) if as_list else "\n".join(map(json.dumps, rows)))
    return str(file)


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_rows_need_not_have_the_columns_of_the_first(tmp_path, ending: str) -> None:
    rows = [
        {"prompt": "a?", "reward_model": 3},
        {"prompt": "<image> b?", "reward_model": "4", "images": ["/nowhere.png"], "extra_info": {"index": 1}},
    ]
    file = write(tmp_path / f"rows.{ending}", rows)
    assert read_json_table(file).to_pylist() == [
        {"prompt": "a?", "reward_model": "3", "images": None, "extra_info": None},
        {"prompt": "<image> b?", "reward_model": "4", "images": ["/nowhere.png"], "extra_info": {"index": 1}},
    ]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("golds", "read"),
    [
        ([3, "x"], ["3", "x"]),
        ([3, 0.5], ["3", "0.5"]),
        ([BIG, 1], [str(BIG), "1"]),
        ([BIG, BIG], [str(BIG)] * 2),
        ([3, None, ""], ["3", None, ""]),
        ([["a"], "b"], ["a", "b"]),
        ([[3], [0.5]], ["3", "0.5"]),
        ([True, 1], ["True", "1"]),
        ([3, 4], [3, 4]),
        ([2.5, 0.5], [2.5, 0.5]),
        ([["a", "b"], ["c"]], [["a", "b"], ["c"]]),
    ],
)
def test_gold_answers(tmp_path, golds: list[Any], read: list[Any], ending: str) -> None:
    """Plain, within `reward_model`, and in a column of the user's: always the same."""
    plain = write(tmp_path / f"plain.{ending}", [{"reward_model": gold} for gold in golds])
    assert read_json_table(plain)["reward_model"].to_pylist() == read
    models = [{"reward_model": {"style": "rule", "ground_truth": gold}} for gold in golds]
    found = read_json_table(write(tmp_path / f"model.{ending}", models))["reward_model"].to_pylist()
    assert found == [{"style": "rule", "ground_truth": gold} for gold in read]
    own = write(tmp_path / f"own.{ending}", [{"gold": gold} for gold in golds])
    answers = Columns({"columns": {"answer": "gold"}}).answers
    assert [row["gold"] for row in read_rows(own, ["gold"], 1, answers)] == read


def test_other_columns_stay_as_they_are(tmp_path) -> None:
    rows = [{"reward_model": 3, "level": 1}, {"reward_model": 0.5, "level": 0.5}]
    assert read_json_table(write(tmp_path / "rows.jsonl", rows))["level"].to_pylist() == [1.0, 0.5]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_column_whose_name_has_a_dot(tmp_path, ending: str) -> None:
    file = write(tmp_path / f"rows.{ending}", [{"q.text": "a?", "extra_info": {"options": ["x"]}}])
    assert list(read_rows(file, ["q.text", "extra_info.options"], 1)) == [
        {"q.text": "a?", "extra_info": {"options": ["x"]}}
    ]


@pytest.mark.parametrize("values", [[BIG, BIG], ["a", 1]])
def test_what_no_table_holds_is_named(tmp_path, values: list[Any]) -> None:
    with pytest.raises(pa.ArrowInvalid, match="column level: "):
        read_schema(write(tmp_path / "rows.json", [{"level": value} for value in values]))
