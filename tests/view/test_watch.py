import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.status import StatusFile
from recipe.zppo.view import watch
from recipe.zppo.view.progress import ProgressReader, clock

ENDED = 2**22 + 1  # more than the largest process number of Linux


class Run:
    """A run that the test drives from stage to stage."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.status = StatusFile(str(folder / "status.json"))
        self.log = EventLog(str(folder / "events.jsonl"))

    def step(self, step: int, **metrics: float) -> None:
        self.log.log({"timing_s/step": 2.0, "zppo/accuracy/new": 0.25 * step} | metrics, step)


@pytest.fixture
def running(tmp_path: Path) -> Run:
    run = Run(tmp_path)
    run.status.total_steps = 3
    run.status.write(0, "start")
    run.log.resume(0)
    return run


def lines_of(folder: Path, actions: list) -> tuple[bool, list[str]]:
    """Watch with ``actions`` carried out one after the other, one before each look; the process ends after the last."""
    lines: list[str] = []
    waiting = iter(actions)

    def alive() -> bool:
        action = next(waiting, None)
        if action is not None:
            action()
        return action is not None

    done = watch.watch(ProgressReader(RunFolder(folder)), watch.PlainDisplay(lines.append), alive, interval_s=0)
    return done, lines


def test_one_line_for_each_finished_step(running: Run):
    done, lines = lines_of(
        running.folder,
        [
            lambda: None,
            lambda: running.status.write(0, "validate"),
            lambda: running.log.log({"val-core/s/acc/mean@1": 0.2}, 0),
            lambda: running.status.write(1, "generate"),
            lambda: running.step(1),
            lambda: None,
            lambda: running.step(2),
            lambda: running.step(3, **{"val-core/s/acc/mean@1": 0.5}),
            lambda: running.status.write(3, "done"),
        ],
    )
    assert done
    assert "servers of student and teacher" in lines[0]
    assert [line.split(",")[0] for line in lines[1:]] == [
        "validating on held-out questions",
        "before training",
        "answers of student and teacher are generated",
        "step 1/3",
        "step 2/3",
        "step 3/3",
    ]
    assert lines[2] == "before training, held out s 20.0%"
    assert "accuracy new 25.0%, step time 2.0 s, about 0:0" in lines[4]
    assert "held out s 50.0%" in lines[6]


def test_a_run_that_ends_early_is_not_done(running: Run):
    done, lines = lines_of(running.folder, [lambda: running.step(1)])
    assert not done and lines[-1].startswith("step 1/3")


def test_the_last_step_before_the_end_is_not_missed(running: Run):
    """The process writes its last step and ends between two looks."""
    reader, lines = ProgressReader(RunFolder(running.folder)), []

    def alive() -> bool:
        running.step(1)
        return False

    assert not watch.watch(reader, watch.PlainDisplay(lines.append), alive, interval_s=0)
    assert lines[-1].startswith("step 1/3")


def test_files_of_an_earlier_run_do_not_count(finished_run: Path, tmp_path: Path):
    for name in ("events.jsonl", "status.json"):
        (tmp_path / name).write_bytes((finished_run / name).read_bytes())
    os.utime(tmp_path / "events.jsonl", (time.time() - 60,) * 2)
    reader = ProgressReader(RunFolder(tmp_path), since=time.time())
    progress = reader.look()
    assert (progress.stage, progress.done, progress.rows) == ("", False, [])
    status = StatusFile(str(tmp_path / "status.json"))
    status.write(0, "start")
    assert reader.look().stage == "start"
    assert reader.look().rows == [], "the trainer has not yet taken up the old metrics"
    EventLog(str(tmp_path / "events.jsonl")).resume(5)
    assert reader.look().finished == 5


def test_time_to_go_follows_recent_steps_and_their_validations(running: Run):
    running.status.total_steps = 12
    running.step(1, **{"timing_s/testing": 4.0})
    running.step(2)
    running.status.write(3, "generate")
    wrote = (running.folder / "events.jsonl").stat().st_mtime
    progress = ProgressReader(RunFolder(running.folder), now=lambda: wrote + 1).look()
    assert progress.seconds_to_go == pytest.approx(10 * 4.0 - 1)


def test_the_live_display_shows_the_numbers(broken_run: Path):
    shown, _ = shown_of(broken_run)
    last = RunFolder(broken_run).metrics()[-1]
    for text in (
        "step 7/40",
        f"accuracy new {last['zppo/accuracy/new']:.1%}",
        f"accuracy replayed {last['zppo/accuracy/replayed']:.1%}",
        f"hard {last['zppo/hard_share']:.0%}",
        "BCQ 0",
        f"NCQ {last['zppo/ncq/count']:.0f} ({last['zppo/ncq/accuracy']:.0%} right)",
        f"buffer {last['zppo/buffer/size']:.0f}",
        f"graduated {last['zppo/buffer/graduations']:.0f}",
        f"teacher failures {last['zppo/teacher/failed_requests']:.0f}",
        f"step time {last['timing_s/step']:.1f} s",
        "held out price_list 20.3%",
        "updating the student",
    ):
        assert text in shown


def shown_of(folder: Path) -> tuple[str, str]:
    """What a terminal shows, and the last line elsewhere."""
    console, lines = Console(width=100, record=True, file=open(os.devnull, "w")), []  # noqa: SIM115
    progress = ProgressReader(RunFolder(folder)).look()
    console.print(watch.LiveDisplay(console, "the run").render(progress))
    watch.PlainDisplay(lines.append).show(progress)
    return console.export_text(), lines[-1]


def test_hints_teachers_and_groups_left_out_are_shown(hint_run: Path):
    last = RunFolder(hint_run).metrics()[-1]
    for shown in shown_of(hint_run):
        assert f"hint {last['zppo/hint/count']:.0f} ({last['zppo/hint/accuracy']:.0%} right)" in shown
        assert "teacher 0 solved 5 of 9" in shown and "teacher 1 solved 1 of 4" in shown
        assert f"groups left out {last['zppo/batch/dropped_trivial']:.0f}" in shown
        assert "BCQ" not in shown and "prefix" not in shown and "divergence" not in shown


def test_distillation_is_shown(distilled_run: Path):
    last = RunFolder(distilled_run).metrics()[-1]
    for shown in shown_of(distilled_run):
        assert f"sequences {last['zppo/distillation/sequences']:.0f}" in shown and "divergence 0.0417" in shown
        assert not [word for word in ("BCQ", "NCQ", "hint", "left out") if word in shown]


def test_events_of_a_step_are_shown_in_its_line_only(running: Run):
    events = {"zppo/hint/leaked": 2.0, "zppo/batch/skipped_updates": 1.0}
    running.step(1, **events)
    running.step(2, **dict.fromkeys(events, 0.0))
    _, lines = lines_of(running.folder, [])
    assert "hints dropped 2" in lines[-2] and "updates skipped 1" in lines[-2]
    assert "dropped" not in lines[-1] and "skipped" not in lines[-1]


@pytest.mark.parametrize("status", ["", '{"stage": 3}', '{"stage": "generate", "step": "x", "since": null}', "[]"])
def test_hostile_status_files_are_survived(tmp_path: Path, status: str):
    (tmp_path / "status.json").write_text(status)
    (tmp_path / "events.jsonl").write_text('{"type": "measured", "step": 1\n{"type": "measured", "step": 2}\n')
    assert not ProgressReader(RunFolder(tmp_path)).look().done
    shown_of(tmp_path)


def test_the_command_tells_why_the_process_ended(tmp_path: Path):
    """As the quickstart does: training in the background, this in the foreground, without a terminal."""
    run, log = tmp_path / "run", tmp_path / "train.log"
    failing = "import sys, time; time.sleep(1); print('zppo: teacher path /x is missing', file=sys.stderr); sys.exit(2)"
    with open(log, "wb") as output:
        process = subprocess.Popen([sys.executable, "-c", failing], stderr=output)
    command = [sys.executable, "-m", "recipe.zppo.watch", str(run), "--log", str(log), "--pid", str(process.pid)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    process.wait()
    assert result.returncode == 1
    assert "has ended before it was done" in result.stderr
    assert result.stderr.splitlines()[-1].strip() == "zppo: teacher path /x is missing"


def test_the_command_ends_when_the_run_is_done(finished_run: Path, capsys: pytest.CaptureFixture):
    assert watch.main([str(finished_run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("step 12/12, ")


def test_a_process_that_failed_at_once_is_not_taken_for_the_finished_run_before(finished_run: Path, tmp_path: Path):
    log = tmp_path / "train.log"
    log.write_text("zppo: wrong key\n")
    later = (finished_run / "status.json").stat().st_mtime + 3600
    os.utime(log, (later, later))
    assert watch.main([str(finished_run), "--pid", str(ENDED), "--log", str(log)]) == 1


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert watch.main([str(tmp_path / "missing"), "--pid", str(ENDED)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (65.9, "1:05"), (3661, "1:01:01")])
def test_clock(seconds: float, text: str):
    assert clock(seconds) == text
