"""Data files and rows that no run could learn from are refused, with the row's number."""

import json

import pyarrow.parquet as pq
import pytest

from recipe.zppo.preflight.data_columns import check_named_columns
from recipe.zppo.preflight.settings import find_problems
from tests.media.pictures import picture, png
from tests.runnable import BATCH, Run, row, write_rows
from tests.tiny_models import make_tokenizer


def refused_rows(run: Run, rows: list[dict], *changes: str) -> str:
    write_rows(run.data, rows)
    return run.refused(*changes)


def test_data_file_empty_or_unreadable(run: Run) -> None:
    empty = run.folder / "empty.parquet"
    empty.touch()
    assert "is empty (0 bytes)" in run.refused(f"data.train_files={empty}")
    empty.write_bytes(b"not a parquet file")
    assert "can't be read" in run.refused(f"data.train_files={empty}")
    (run.folder / "rows.txt").write_text("x")
    assert "is not a .parquet, .json or .jsonl file" in run.refused(f"data.train_files={run.folder}/rows.txt")
    no_rows = run.folder / "no_rows.parquet"
    pq.write_table(pq.read_table(run.data).slice(0, 0), no_rows)
    assert "has no rows" in run.refused(f"data.train_files={no_rows}")


@pytest.mark.parametrize("column", ["prompt", "reward_model"])
def test_column_missing(run: Run, column: str) -> None:
    rows = [{key: value for key, value in row(i).items() if key != column} for i in range(BATCH)]
    assert f"has no column '{column}'; it has prompt_id, " in refused_rows(run, rows)


@pytest.mark.parametrize(
    "prompt", [None, [], [{"role": "user", "content": "  "}], [{"role": "system", "content": "Be brief."}]]
)
def test_row_without_question(run: Run, prompt: object) -> None:
    rows = [row(i) for i in range(BATCH)]
    rows[3] = row(3, prompt=prompt)
    rows[5] = row(5, prompt=prompt)
    message = refused_rows(run, rows)
    assert f"{run.data} row 3 has no question" in message and "2 such row(s) in all" in message


@pytest.mark.parametrize("answer", [None, "", " "])
def test_row_without_answer(run: Run, answer: str | None) -> None:
    rows = [row(i) for i in range(BATCH)]
    rows[2] = row(2, reward_model={"style": "rule", "ground_truth": answer})
    message = refused_rows(run, rows)
    assert f"{run.data} row 2 has no answer (reward_model.ground_truth is empty); 1 such row(s)" in message


def test_content_of_neither_text_nor_parts(run: Run) -> None:
    make_tokenizer().save_pretrained(run.student)
    rows = [row(i, prompt=[{"role": "user", "content": ["What", "is it?"]}]) for i in range(BATCH)]
    said = "row 0 has no usable content in message 0 of prompt (neither a text nor a list of parts); 8 such row(s)"
    assert said in refused_rows(run, rows)
    problems = find_problems(run.config())  # goes on to later checks
    assert [said in problem for problem in problems if problem.startswith("data.train_files")] == [True]


def test_checks_that_presume_on_what_has_failed_say_nothing(run: Run) -> None:
    """Of a batch of no questions nobody counts the steps."""
    assert find_problems(run.config("data.train_batch_size=0")) == [
        "data.train_batch_size: must be a whole number of at least 1, got 0"
    ]


def test_a_column_that_no_file_has(run: Run) -> None:
    own = write_rows(run.folder / "own.parquet", [row(i, set="s") for i in range(BATCH)])
    run.check("data.columns.data_source=set", f"data.val_files={own}")
    there = "they have data_source, prompt, prompt_id, reward_model"
    for name in ("prompt", "answer", "images", "data_source"):
        key = f"data.columns.{name}"
        assert run.refused(f"{key}=misspelt") == f"{key}: no file has a column 'misspelt'; {there}"
    check_named_columns(run.config("data.columns.images=there", "data.val_files=hdfs://far/away.parquet").data)


def test_question_with_an_image_only_passes(run: Run) -> None:
    content, images = [{"type": "image", "text": None}], [{"bytes": png(picture(1)), "path": None}]
    write_rows(run.data, [row(i, prompt=[{"role": "user", "content": content}], images=images) for i in range(BATCH)])
    for model in (run.student, run.teacher):
        (model / "preprocessor_config.json").write_text("{}")
    run.check()


def test_duplicate_prompt_ids(run: Run) -> None:
    message = refused_rows(run, [row(i, prompt_id=f"q{i % 7}") for i in range(9)])
    assert f"{run.data} row 7 repeats prompt_id='q0' of row 0 (2 repeated in all)" in message


def test_prompt_id_column(run: Run) -> None:
    rows = [{key: value for key, value in row(i).items() if key != "prompt_id"} for i in range(BATCH)]
    assert "row 1 has no id" in refused_rows(run, [row(0), row(1, prompt_id=None), row(2)])
    assert "has no column 'key'" in refused_rows(run, rows, "zppo.data.prompt_id_key=key")
    run.check()  # under its default name the column may be absent


def test_jsonl_files_are_read_too(run: Run) -> None:
    path = run.folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row(i)) for i in range(BATCH)))
    run.check(f"data.train_files={path}")
    path.write_text("\n".join(json.dumps(row(i, prompt_id="same")) for i in range(BATCH)))
    assert "row 1 repeats prompt_id='same' of row 0" in run.refused(f"data.train_files={path}")


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_rows_that_name_an_agent_loop_which_cuts(run: Run, ending: str) -> None:
    file = run.folder / f"named.{ending}"
    train, plain = f"data.train_files={file}", "zppo.reformulation.enable=false"

    def write(*names: str | None) -> None:
        rows = [row(i, agent_name=names[i % len(names)]) for i in range(2 * BATCH)]
        if ending == "parquet":
            write_rows(file, rows)
        else:
            file.write_text("".join(json.dumps(each) + "\n" for each in rows))

    write("single_turn_agent", None)
    run.check(train)
    write(None, "tool_agent")
    assert run.refused(train) == (
        f"data.train_files: {file} row 1: agent_name=tool_agent would cut reformulated prompts from the left at "
        f"data.max_prompt_length; {BATCH} such row(s) in all; leave the column out, or train by method=grpo_replay"
    )
    run.check(train, plain)
    run.check(f"data.val_files={file}")
