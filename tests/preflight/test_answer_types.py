"""Gold answers of types that the reward can't compare, and files of different writers, before Ray starts."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.errors import RewardError
from recipe.zppo.preflight.gold_answers import answer_problem
from recipe.zppo.reward import compute_score, gold_answer
from tests.runnable import BATCH, Run, row, write_rows


def table_of(answers: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    rows = [row(i) for i in range(len(answers))]
    table = pa.Table.from_pylist(rows)
    columns = [pa.array(["rule"] * len(rows)), pa.array(answers, kind)]
    graded = pa.StructArray.from_arrays(columns, ["style", "ground_truth"])
    return table.set_column(table.schema.get_field_index("reward_model"), "reward_model", graded)


def parquet(run: Run, answers: list[Any], kind: pa.DataType | None = None) -> Path:
    path = run.folder / "answers.parquet"
    pq.write_table(table_of(answers, kind), path)
    return path


def jsonl(run: Run, answers: list[Any]) -> Path:
    path = run.folder / "answers.jsonl"
    rows = [row(i, reward_model={"style": "rule", "ground_truth": answer}) for i, answer in enumerate(answers)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


_SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3).filter(lambda text: text.strip() not in ("nan", "inf", "-inf", "None"))
    | st.binary(max_size=3)
    | st.decimals()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.floats().map(np.float64)
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
    | st.dates().map(lambda day: np.datetime64(day, "ns"))
)
GOLDS = st.recursive(
    _SIMPLE, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=1), inner, max_size=2)
)
DAY = datetime.date(2024, 1, 31)
COLUMN = "reward_model.ground_truth"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([DAY] * BATCH, f"row 0 has no answer that the reward can compare ({COLUMN} is a date, which readers of JSON…"),
        (
            [b"7"] * BATCH,
            f"row 0 has no answer that …{COLUMN} is b'7' of the type bytes; make it…",
        ),
        ([Decimal("3.50")] * BATCH, "row 0 has no answer that …of the type Decimal; make it text, …"),
        ([datetime.time(1)] * BATCH, "row 0 has no answer that …of the type time; …"),
        ([["1"]] * 3 + [["1", "2"]] + [["1"]] * 4, "row 3 has no answer that …of the type list; …"),
        ([[["1"]]] * BATCH, "row 0 has no answer that …of the type list; …"),
        ([[" "]] * BATCH, "row 0 has no answer that …"),
        ([1.5, float("nan"), *[2.5] * 6], f"row 1 has no answer ({COLUMN} is nan); 1 such…"),
        ([1.5, float("inf"), *[2.5] * 6], f"row 1 has no answer ({COLUMN} is inf); 1 such…"),
        ([[1.5], [float("nan")], *[[2.5]] * 6], f"row 1 has no answer ({COLUMN} is nan)…"),
        ([["1"], [None], *[["1"]] * 6], "row 1 has no answer that …of the type NoneType; …"),
        ([["1"], [], *[["1"]] * 6], f"row 1 has no answer ({COLUMN} is empty)…"),
        (["1", None, *["1"] * 6], f"row 1 has no answer ({COLUMN} is empty); 1 such…"),
        ([{"a": 1}] * BATCH, "row 0 has no answer that …of the type dict; …"),
        (
            [datetime.datetime(2024, 1, 31)] * BATCH,
            f"row 0 has no answer that the reward can compare ({COLUMN} is a d…",
        ),
        ([datetime.timedelta(1)] * BATCH, "row 0 has no answer that …of the type timedelta; …"),
        ([[Decimal("1.5")]] * BATCH, "row 0 has no answer that …of the type Decimal; …"),
        ([1.0, 2.0**70, *[2.5] * 6], f"row 1 has no exact answer ({COLUMN} is 1.1805916207174113e+21, too large…"),
    ],
)
def test_refused(run: Run, answers: list[Any], message: str) -> None:
    path = parquet(run, answers)
    for key in ("data.train_files", "data.val_files"):
        found = run.refused(f"{key}={path}")
        start, *rest = message.split("…")
        assert found.startswith(f"{key}: {path} {start}")
        assert all(part in found for part in rest)
    own = run.folder / "reward.py"
    own.write_text("def compute_score(**_): return 0.0")
    run.check(f"data.train_files={path}", f"reward.custom_reward_function.path={own}")


@pytest.mark.parametrize("answer", [0.3, [0.3]])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_short_floats(run: Run, kind: pa.DataType, answer: Any) -> None:
    """0.3 comes out as 0.30000001192092896, which the reward tells from 0.3."""
    path = parquet(run, [answer] * BATCH, pa.list_(kind) if isinstance(answer, list) else kind)
    assert run.refused(f"data.train_files={path}").startswith(
        f"data.train_files: {path}: {COLUMN} is a {kind.bit_width}-bit float, in"
    )


def test_the_judge_needs_a_gold_answer_whatever_the_reward_function(run: Run) -> None:
    own = run.folder / "reward.py"
    own.write_text("def compute_score(**_): return 0.0")
    own_function = f"reward.custom_reward_function.path={own}"
    path = parquet(run, ["1", None, *["1"] * 6])
    run.check(f"data.train_files={path}", own_function)
    judged = (own_function, "zppo.judge.enable=true", "zppo.judge.route=unresolved")
    assert f"{path} row 1 has no answer" in run.refused(f"data.train_files={path}", *judged)


@settings(max_examples=300, deadline=None)
@given(GOLDS)
def test_what_the_check_lets_through_the_reward_accepts(gold: Any) -> None:
    problem = answer_problem({"ground_truth": gold}, needed=True)
    try:
        compute_score("", "\\boxed{1}", gold)
    except RewardError:
        assert problem
    else:
        assert not problem and gold_answer(gold).strip() not in ("", "nan", "inf", "-inf", "None")


@pytest.mark.parametrize(
    ("answers", "kind", "read"),
    [
        ([3.0, 2.5] * 4, None, "3"),
        ([3] * BATCH, pa.int8(), "3"),
        ([2**63] * BATCH, pa.uint64(), str(2**63)),
        ([True] * BATCH, None, "True"),
        ([[True]] * BATCH, None, "True"),
        ([[2**63]] * BATCH, pa.list_(pa.uint64()), str(2**63)),
        (["a"] * BATCH, pa.large_string(), "a"),
        (["a"] * BATCH, pa.string_view(), "a"),
        (["a"] * BATCH, pa.dictionary(pa.int8(), pa.string()), "a"),
        ([["a"]] * BATCH, pa.large_list(pa.string()), "a"),
        ([["a"]] * BATCH, pa.list_(pa.string(), 1), "a"),
    ],
)
def test_taken_and_graded(run: Run, answers: list[Any], kind: pa.DataType | None, read: str) -> None:
    path = parquet(run, answers, kind)
    run.check(f"data.train_files={path}")
    (loaded,) = datasets.load_dataset("parquet", data_files=str(path), cache_dir=run.folder / "cache")["train"].take(1)
    gold = loaded["reward_model"]["ground_truth"]
    assert compute_score("", f"\\boxed{{{read}}}", gold)["score"] == 1
    assert compute_score("", "\\boxed{17}", gold)["score"] == 0


def test_dates_in_jsonl(run: Run) -> None:
    """`datasets` would make timestamps of them in the run, as pyarrow does here."""
    path = jsonl(run, ["2024-01-31"] * BATCH)
    message = run.refused(f"data.train_files={path}")
    assert message.startswith(f"data.train_files: {path} row 0 has no answer that the reward can compare")
    assert "python -m recipe.zppo.data.convert name=verl" in message and f"{BATCH} such row(s)" in message
    run.check(f"data.train_files={jsonl(run, ['2024-01-31'] * (BATCH - 1) + ['May'])}")


def test_large_numbers_in_jsonl(run: Run) -> None:
    assert "row 0 has no exact answer" in run.refused(f"data.train_files={jsonl(run, [2.0**70] * BATCH)}")
    run.check(f"data.train_files={jsonl(run, [2**70, 2**62] * (BATCH // 2))}")


def test_files_of_pandas_and_of_datasets_go_together(run: Run) -> None:
    first, second = run.folder / "pandas.parquet", run.folder / "datasets.parquet"
    pd.DataFrame([row(i) for i in range(BATCH)]).to_parquet(first)
    datasets.Dataset.from_list([row(i) for i in range(BATCH, 2 * BATCH)]).to_parquet(second)
    run.check(f"data.train_files=[{first},{second}]", f"data.val_files=[{second},{first}]")


def test_files_that_do_not_go_together(run: Run) -> None:
    numbers = run.folder / "numbers.parquet"
    rows = [row(i, prompt_id=f"n{i}", data_source=i) for i in range(BATCH)]
    datasets.Dataset.from_list(rows).to_parquet(numbers)
    for key in ("train_files", "val_files"):
        message = run.refused(f"data.{key}=[{run.data},{numbers}]")
        assert message == (
            f"data.{key}: {run.data} and {numbers} do not go together: data_source is string in one and int64 in the "
            "other; write them with one type"
        )


def test_gold_answers_and_ids_of_numbers_and_of_text_go_together(run: Run) -> None:
    numbers = run.folder / "numbers.parquet"
    rows = [row(i, prompt_id=i, reward_model={"style": "rule", "ground_truth": i}) for i in range(BATCH)]
    datasets.Dataset.from_list(rows).to_parquet(numbers)
    run.check(f"data.train_files=[{run.data},{numbers}]", f"data.val_files=[{numbers},{run.data}]")
    twice = write_rows(run.folder / "twice.parquet", [row(9, prompt_id="3")])
    assert "repeats prompt_id=" in run.refused(f"data.train_files=[{numbers},{twice}]")


def test_gold_answers_that_have_no_common_type(run: Run) -> None:
    """A reward function of the user's may know lists, but not beside texts."""
    own = run.folder / "reward.py"
    own.write_text("def compute_score(**_): return 0.0")
    reward = f"reward.custom_reward_function.path={own}"
    rows = [row(i, prompt_id=f"l{i}", reward_model={"ground_truth": ["x", "y"][: 1 + i % 2]}) for i in range(BATCH)]
    lists = write_rows(run.folder / "lists.parquet", rows)
    run.check(f"data.train_files={lists}", reward)
    said = run.refused(f"data.train_files=[{run.data},{lists}]", reward)
    assert said.startswith(f"data.train_files: {lists} row 1: the gold answer must be a text, a number")
    assert said.endswith("go together as text only, so give those of one type")
    lists = write_rows(lists, [row(i, prompt_id=f"l{i}", reward_model={"ground_truth": ["x"]}) for i in range(BATCH)])
    run.check(f"data.train_files=[{run.data},{lists}]", reward)


def test_files_of_a_type_that_datasets_does_not_have(run: Run) -> None:
    path = run.folder / "map.parquet"
    table = pa.Table.from_pylist([row(i, prompt_id=f"m{i}") for i in range(BATCH)])
    pq.write_table(table.append_column("tags", pa.array([[("a", 1)]] * BATCH, pa.map_(pa.string(), pa.int64()))), path)
    message = run.refused(f"data.train_files=[{run.data},{path}]")
    assert message.startswith("data.train_files: ") and "map<string, int64" in message
