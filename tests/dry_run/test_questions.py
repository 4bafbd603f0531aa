"""What a dry run says of the training questions."""

import pytest

from recipe.zppo.preflight.gold_answers import CONVERTER
from tests.media.pictures import picture, png
from tests.runnable import BATCH, row, write_rows

from .conftest import PlannedRun

VERLS = 'Let\'s think step by step and output the final answer after "####".'
"""How the questions of GSM8K end in the files that verl makes of it."""


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def said(run: PlannedRun, rows: list[dict], *changes: str) -> list[str]:
    """Of the data. The file is one of two, of which the other has ids and nothing odd."""
    file = write_rows(run.folder / "other.parquet", rows)
    files = f"data.train_files=[{file},{run.data}]"
    return [line for line in run.plan(files, *changes).warnings if line.startswith("data.train_files: ")]


def test_questions_that_say_how_to_answer(run: PlannedRun) -> None:
    rows = [row(i, prompt_id=f"r{i}", prompt=asked(f"What is {i} + 1? {VERLS if i >= 3 else ''}")) for i in range(120)]
    assert said(run, rows) == [
        f"data.train_files: 97 of the first {100 + 2 * BATCH} questions say how to answer, and the closer says it "
        f"again, maybe otherwise (the first is {run.folder}/other.parquet row 3); {CONVERTER} takes such "
        "instructions off"
    ]
    assert said(run, rows, "zppo.answer.closer=''") == []


def test_rows_without_ids_that_repeat_others(run: PlannedRun) -> None:
    rows = [{name: value for name, value in row(i % 5).items() if name != "prompt_id"} for i in range(12)]
    (line,) = said(run, rows)
    assert line.startswith("data.train_files: 7 of 12 rows without prompt_id repeat another's question and answer; ")
    assert line.endswith(f", in the replay buffer too; {CONVERTER} writes each once")
    assert said(run, [each | {"prompt_id": f"r{i}"} for i, each in enumerate(rows)]) == []
    assert said(run, [each | {"images": [png(picture(i))]} for i, each in enumerate(rows)]) == []


@pytest.mark.parametrize("content", [None, 5, ["What is it?"]])
def test_nothing_is_said_of_what_is_refused(run: PlannedRun, content: object) -> None:
    file = write_rows(run.folder / "odd.parquet", [row(i, prompt=asked(content)) for i in range(2 * BATCH)])
    planned = run.plan(f"data.train_files={file}")
    assert [line.partition(":")[0] for line in planned.problems] == ["data.train_files"]
    assert not any(line.startswith("data.") for line in planned.warnings)
