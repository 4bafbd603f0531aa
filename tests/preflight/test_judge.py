"""What a judge needs: rows, a teacher, a template, options, a context."""

import json
from pathlib import Path

import pytest

from tests.runnable import BATCH, Run, row, write_rows


def free_form(number: int) -> dict:
    return row(number, extra_info={"index": number, "answer_type": "free_form"})


def test_free_form_rows_need_a_judge(run: Run) -> None:
    rows = [row(i, extra_info={"index": i, "answer_type": "rule"}) for i in range(2 * BATCH)]
    rows[3], rows[5] = free_form(3), free_form(5)
    train = write_rows(run.folder / "free.parquet", rows)
    message = run.refused(f"data.train_files={train}")
    assert message.startswith(f"data.train_files: {train} row 3 has no judge (extra_info.answer_type is free_form; ")
    assert "set zppo.judge.enable=true" in message and "2 such row(s) in all" in message
    assert run.refused(f"data.val_files={train}").startswith(f"data.val_files: {train} row 3 has no judge")
    lines = run.folder / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(r) for r in rows))
    assert "row 3 has no judge" in run.refused(f"data.train_files={lines}")
    run.check(f"data.train_files={lines}", f"data.val_files={train}", "zppo.judge.enable=true")


def test_a_judge_needs_a_teacher_also_where_the_method_needs_none(run: Run) -> None:
    grpo = ("zppo.reformulation.enable=false", "zppo.replay.enable=false", "zppo.judge.enable=true")
    assert run.refused(*grpo, "zppo.teacher.path=null").startswith("zppo.teacher.path: this method needs a teacher")
    zppo = run.check(*grpo)
    assert zppo.needs_teacher and zppo.placed_teachers == [str(run.teacher)]
    assert not run.check(*grpo[:2]).needs_teacher


GOOD = b"{question} {response} {gold}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the placeholder {question} is missing; there are {question}, {options}, {response}, {gold}"),
        (b"{question} {response}", "the placeholder {gold} is missing; …"),
        (GOOD + b" {answer}", "{answer} is no placeholder; there are {question}, …"),
        (GOOD + b" {gold}", "{gold} stands there more than once; …"),
        (GOOD + b" \xff", "is no text in UTF-8"),
        (GOOD + b"." * 65_536, "has more than 65536 bytes; that is no template"),
    ],
)
def test_a_template_of_the_judge_that_can_not_work(run: Run, content: bytes, message: str) -> None:
    path = run.folder / "judge.txt"
    path.write_bytes(content)
    own = f"zppo.judge.template={path}"
    refused = run.refused(own, "zppo.judge.enable=true")
    start, _, _ = message.partition("…")
    assert refused.removeprefix(f"zppo.judge.template: {path}").lstrip(": ").startswith(start)
    path.write_bytes(GOOD + b' {options} {"verdict": "correct"}')
    run.check(own, "zppo.judge.enable=true")


@pytest.mark.parametrize("options", ["A or B", ["A", None], [["A"]], {"A": [1]}])
def test_options_that_the_judge_can_not_be_shown(run: Run, options: object) -> None:
    def written(name: str, value: object, *, of: int, free_form: bool = True) -> Path:
        kind = "free_form" if free_form else "rule"
        rows = [row(i, extra_info={"answer_type": kind, "options": value if i >= of else None}) for i in range(16)]
        return write_rows(run.folder / name, rows)

    bad = written("bad.parquet", options, of=3)
    message = run.refused(f"data.val_files={bad}", "zppo.judge.enable=true")
    assert message.startswith(f"data.val_files: {bad} row 3 has no usable options (extra_info.options: a list of at ")
    others = written("others.parquet", options, of=3, free_form=False)  # nobody is shown them
    run.check(f"data.val_files={others}", "zppo.judge.enable=true")
    every = ("zppo.judge.enable=true", "zppo.judge.validation_route=unresolved")
    assert f"{others} row 3 has no usable options" in run.refused(f"data.val_files={others}", *every)
    for number, good in enumerate((["x", "y"], {"A": "x", "B": "y"})):
        file = written(f"good{number}.parquet", good, of=3)
        run.check(f"data.val_files={file}", "zppo.judge.enable=true")


def test_the_judges_context(run: Run) -> None:
    key = "zppo.teacher.inference.max_model_len"
    grpo = ("zppo.reformulation.enable=false", "zppo.judge.enable=true")
    message = run.refused(f"{key}=5500", *grpo)
    assert message.startswith(f"{key}: 5500 tokens of context are too few to judge an answer, ")
    needed = int(message.split("answer, ")[1].split(" =")[0])
    run.check(f"{key}={needed}", *grpo)
    assert "too few to judge" in run.refused(f"{key}={needed - 1}", *grpo)
