from pathlib import Path

import pytest

from recipe.zppo.run.events import EventLogError
from recipe.zppo.run.folder import RunFolder, RunFolderError, read_json_lines
from tests.event_lines import measured


def test_what_is_not_a_whole_event_is_passed_over(tmp_path: Path):
    lines = [
        *measured([{"step": 0, "a": 1}]).splitlines(),
        "garbage",
        "[1, 2]",
        '"text"',
        "",
        "\x00\xff",
        "[" * 100_000,
        '{"type": "measured", "step": 1, "time": 0, "metrics": ' + "[" * 100_000,
        '{"type": "measured", "step": 1, "time": 0, "metrics": '
        '{"a": null, "b": "text", "c": true, "d": NaN, "e": 1e999, "f": 7}}',
        '{"type": "measured", "time": 0, "metrics": {"a": 3}}',
        '{"type": "measured", "step": "x", "time": 0, "metrics": {}}',
        '{"type": "unheard_of", "step": 3}',
        f'{{"type": "measured", "step": 3, "time": 0, "metrics": {{"big": {"9" * 400}}}}}',
        '{"type": "measured", "step": 4, "time": 0, "metrics": {"a": 0.',
    ]
    (tmp_path / "events.jsonl").write_bytes("\n".join(lines).encode("utf-8"))
    assert RunFolder(tmp_path).metrics() == [{"step": 0, "a": 1}, {"step": 1, "f": 7}, {"step": 3}]


def test_events_of_one_step_become_one_row_and_steps_ascend(tmp_path: Path):
    rows = [{"step": 2, "a": 1, "b": 1}, {"step": 1, "a": 5}, {"step": 2, "b": 2, "c": 3}]
    (tmp_path / "events.jsonl").write_text(measured(rows))
    assert RunFolder(tmp_path).metrics() == [{"step": 1, "a": 5}, {"step": 2, "a": 1, "b": 2, "c": 3}]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"', "\x00"])
def test_a_damaged_status_is_none(tmp_path: Path, content: str):
    (tmp_path / "status.json").write_text(content)
    assert RunFolder(tmp_path).status() is None


def test_rollout_files_come_in_the_order_of_steps(tmp_path: Path):
    (tmp_path / "rollouts").mkdir()
    for name in ("step_1000000.jsonl", "step_000002.jsonl", "step_000010.jsonl", "step_3.jsonl.17.tmp", "notes"):
        (tmp_path / "rollouts" / name).touch()
    names = [path.name for path in RunFolder(tmp_path).rollout_files()]
    assert names == ["step_000002.jsonl", "step_000010.jsonl", "step_1000000.jsonl"]


def test_places_name_what_exists_only(tmp_path: Path):
    folder = RunFolder(tmp_path)
    assert folder.places() == {}
    (tmp_path / "global_step_4" / "actor").mkdir(parents=True)
    assert folder.places() == {}, "a checkpoint without its last file is none"
    (tmp_path / "global_step_4" / "zppo_complete.json").touch()
    (tmp_path / "global_step_8").mkdir()
    (tmp_path / "hf_model").mkdir()
    assert folder.places() == {"checkpoint": tmp_path / "global_step_4", "hf_model": tmp_path / "hf_model"}


@pytest.mark.parametrize("content", ["zppo: {answer: {form: '#### {answer}'}}", "zppo: 3", "a: [", None])
def test_a_setting_is_the_last_start_s(tmp_path: Path, content: str | None):
    (tmp_path / "config_2.yaml").write_text("zppo: {answer: {form: old}}")
    if content is not None:
        (tmp_path / "config_10.yaml").write_text(content)
    expected = "old" if content is None else "#### {answer}" if "####" in content else "none"
    assert RunFolder(tmp_path).setting("zppo.answer.form", "none") == expected
    assert RunFolder(tmp_path).setting("zppo.nothing.here", "none") == "none"


def test_no_metrics_yet(tmp_path: Path):
    (tmp_path / "events.jsonl").write_text('{"type": "started", "step": 0')
    with pytest.raises(RunFolderError, match="has no metrics yet"):
        RunFolder(tmp_path).require_metrics()


def test_a_run_from_before_there_were_events_is_named(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(RunFolderError, match=r"has no events\.jsonl: its run is of an earlier version"):
        RunFolder(tmp_path).require_metrics()
    (tmp_path / "events.jsonl").write_text('{"type": "started", "step": 0, "time": 0, "version": 2}\n')
    with pytest.raises(EventLogError, match=r"events\.jsonl has version 2, this version reads 1"):
        RunFolder(tmp_path).metrics()


def test_no_file_has_no_lines(tmp_path: Path):
    assert list(read_json_lines(tmp_path / "missing")) == []
