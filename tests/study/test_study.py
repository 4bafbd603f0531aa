"""Whole studies with a training that is faked: what survives a stop, a failure, a second start."""

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from recipe.zppo.run.processes import started_at
from recipe.zppo.study.__main__ import main
from recipe.zppo.study.backends import Job
from recipe.zppo.study.pool import Ended, Pool
from recipe.zppo.study.run_files import study_lock
from tests.run.conftest import room_for
from tests.study.conftest import attempts, read_csv
from tests.study.fake_backend import metrics

Study = Callable[..., tuple[int, Path]]


def test_a_study_ends_with_tables_plots_and_a_mark_in_every_run(study: Study, capsys: pytest.CaptureFixture[str]):
    status, out = study()
    assert status == 0
    runs = read_csv(out / "runs.csv")
    assert [(run["row"], run["seed"], run["state"]) for run in runs] == [
        ("grpo_replay", "0", "finished"),
        ("grpo_replay", "1", "finished"),
        ("zppo", "0", "finished"),
        ("zppo", "1", "finished"),
    ]
    last = metrics("zppo", 1, 4, 4)
    assert float(runs[3]["accuracy"]) == pytest.approx(last["val-core/price_list/acc/mean@1"])
    assert float(runs[3]["shifted_accuracy"]) == pytest.approx(last["val-core/price_list_shifted/acc/mean@1"])
    assert float(runs[3]["accuracy_before"]) == pytest.approx(0.2)
    assert float(runs[3]["graduation_rate"]) == pytest.approx(3 / 9)
    assert float(runs[3]["graduation_rate_from_0"]) == pytest.approx(1 / 5)
    assert (float(runs[3]["train_seconds"]), float(runs[3]["step_seconds"])) == (8, 2)
    assert (float(runs[3]["student_tokens"]), float(runs[3]["teacher_tokens"])) == (4000, 400)
    assert {path.name for path in (out / "plots").iterdir()} == {
        "own_accuracy.png",
        "own_graduation.png",
        "own_differences.png",
        "own_accuracy_over_steps.png",
        "own_accuracy_over_time.png",
        "own_graduations_over_steps.png",
    }
    for folder in (out / "runs").iterdir():
        assert json.loads((folder / "result.json").read_text())["measures"]["accuracy"] > 0.2
        assert "training" in (folder / "train.log").read_text()
    assert float(runs[3]["accuracy/price_list_shifted"]) == pytest.approx(
        last["val-core/price_list_shifted/acc/mean@1"]
    )
    assert "After 3 s of processor time a run" in (out / "table.md").read_text()
    assert (out / "table.md").read_text() in capsys.readouterr().out
    assert len({path.read_text() for path in out.glob("runs/*/attempts")}) == 1  # one worker for all


def test_the_students_accuracy_is_where_runs_begin_that_do_not_measure_it(study: Study, tmp_path: Path):
    for seed in (0, 1):
        (tmp_path / f"student-{seed}.json").write_text('{"price_list": 0.2, "price_list_shifted": 0.1}')
    rows = [f"rows.{row}.overrides=['+fake.validate_from=4']" for row in ("grpo_replay", "zppo")]
    after = "After 3 s of processor time a run, all that the shortest run took"
    status, out = study(*rows)
    assert status == 0 and "| ZPPO | 2 | – | – | – | – |" in (out / "table.md").read_text().partition(after)[2]
    status, out = study(*rows, f"own.accuracy_before={tmp_path}/student-@seed.json")
    assert status == 0 and set(attempts(out).values()) == {1}  # what is finished counts
    ends = [metrics("zppo", seed, 4, 4)["val-core/price_list/acc/mean@1"] for seed in (0, 1)]
    half_way = 0.1 + sum(ends) / 4  # after half of the time, between 0.2 and the mean of the ends
    assert f"| ZPPO | 2 | {half_way:.1%} ± " in (out / "table.md").read_text().partition(after)[2]


@pytest.mark.parametrize("content", ["", "[0.2]", '{"price_list": 20.0}', '{"price_list": true}'])
def test_an_accuracy_that_is_none_is_refused_before_anything_runs(content: str, study: Study, tmp_path: Path, capsys):
    (tmp_path / "student-0.json").write_text(content)
    assert study(f"own.accuracy_before={tmp_path}/student-@seed.json")[0] == 2
    assert f"own.accuracy_before: {tmp_path}/student-" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_baselines_time_counts_beside_that_of_the_shortest_run(study: Study):
    status, out = study("baseline=zppo")
    table = (out / "table.md").read_text()
    assert status == 0 and "After 3 s of processor time a run, all that the shortest run took" in table
    _, found, of_base = table.partition("After 6 s of processor time a run, all that the shortest run of ZPPO took")
    assert found and "| GRPO† | 2 | – | – |" in of_base


def test_a_finished_study_runs_nothing_again_and_another_plan_shares_its_runs(study: Study):
    study()
    status, out = study()
    assert status == 0 and set(attempts(out).values()) == {1}
    assert "| ZPPO | 2 |" in (out / "table.md").read_text().partition("processor time a run")[2]
    # An empty log leaves its run out of what is made of them, and stops no table.
    next(out.glob("runs/zppo-own-seed1-*/events.jsonl")).write_text("")
    assert study()[0] == 0 and set(attempts(out).values()) == {1}
    assert "| ZPPO | 1 |" in (out / "table.md").read_text().partition("processor time a run")[2]
    status, _ = study("plan=table3", "seeds=[0]", "only=[grpo,grpo_replay,zppo]")
    assert status == 0
    assert attempts(out) == {
        "grpo-own-seed0": 1,
        "grpo_replay-own-seed0": 1,
        "grpo_replay-own-seed1": 1,
        "zppo-own-seed0": 1,
        "zppo-own-seed1": 1,
    }


def test_a_failed_run_is_told_passed_over_and_tried_again(study: Study, tmp_path: Path, capsys):
    fails = f"rows.zppo.overrides=['+fake.fail_at=3','+fake.mend={tmp_path}/mend']"
    status, out = study(fails, "seeds=[0]")
    output = capsys.readouterr()
    assert status == 1
    assert "failed: zppo, own, seed 0: the fake disk is full (log: " in output.out
    assert "second line" not in output.out
    assert "1 of the runs failed; the same command tries them again" in output.err
    assert "- ZPPO, seed 0: failed: the fake disk is full" in (out / "table.md").read_text()
    (tmp_path / "mend").touch()
    status, _ = study(fails, "seeds=[0]")
    assert status == 0
    assert attempts(out) == {"grpo_replay-own-seed0": 1, "zppo-own-seed0": 2}
    assert not list(out.glob("runs/*/error.json"))


def test_a_killed_worker_is_a_failed_run_and_is_replaced(study: Study, capsys: pytest.CaptureFixture[str]):
    status, out = study("rows.grpo_replay.overrides=['+fake.die_at=2']", "seeds=[0]")
    assert status == 1
    cause = "its process was killed (SIGKILL); most likely the machine ran out of memory"
    assert f"failed: grpo_replay, own, seed 0: {cause}" in capsys.readouterr().out
    assert [run["state"] for run in read_csv(out / "runs.csv")] == [f"failed: {cause}", "finished"]


def test_a_run_that_ends_early_is_not_finished(study: Study):
    status, out = study("rows.zppo.overrides=['+fake.stop_at=3']", "seeds=[0]")
    assert status == 1
    assert [run["state"] for run in read_csv(out / "runs.csv")] == ["finished", "failed: ended after step 2 of 4"]


def test_what_the_full_stack_says_of_a_bad_run_is_the_cause(study: Study):
    # Found before Ray starts: the model's folder holds no model.
    status, out = study("backend=verl", "only=[zppo]", "seeds=[0]")
    assert status == 1
    (run,) = read_csv(out / "runs.csv")
    assert run["state"].startswith("failed: actor_rollout_ref.model.path: ")


def test_workers_that_cannot_start_end_the_study(study: Study, capsys: pytest.CaptureFixture[str]):
    status, out = study("backend=tests.study.fake_backend:BrokenBackend")
    assert status == 1
    said = f"study: a worker did not start: RuntimeError: no such device (see {out}/logs/worker-0.log)"
    assert said in capsys.readouterr().err


def test_no_run_is_lost_to_a_worker_that_died_idle(tmp_path: Path):
    pool = Pool("tests.study.fake_backend:NotingBackend", 1, tmp_path / "logs")

    def run(name: str, meanwhile: Callable[[], object] = bool) -> int:
        _wait_for(lambda: pool.free or pool.next_event(0.1))
        pool.start(name, Job(tmp_path / name, [], 1))
        meanwhile()
        ended = []
        _wait_for(lambda: ended.append(pool.next_event(0.1)) or ended[-1])
        assert ended[-1] == Ended(name, None)
        return int((tmp_path / name / "pid").read_text())

    try:
        first = run("first")
        assert run("second") == first
        os.kill(first, signal.SIGKILL)
        _wait_for(lambda: started_at(first) is None)
        third = run("third")
        assert third != first
        os.kill(third, signal.SIGSTOP)  # so that the next job is still in the pipe when it dies
        assert run("fourth", lambda: os.kill(third, signal.SIGKILL)) not in (first, third)
    finally:
        pool.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_study_goes_on(number: signal.Signals, fake_arguments: list[str], study: Study, tmp_path: Path):
    waits = f"rows.zppo.overrides=['+fake.wait_at=2','+fake.mend={tmp_path}/mend']"
    out = tmp_path / "out"
    # Forked: a new Python would import for seconds.
    arguments = ([*fake_arguments, waits, "seeds=[0]"], tmp_path / "stderr")
    process = multiprocessing.get_context("fork").Process(target=_main, args=arguments)
    process.start()
    _wait_for(lambda: [path for path in out.glob("runs/zppo-*/events.jsonl") if path.read_text().count("\n") >= 2])
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    os.kill(process.pid, number)
    process.join(60)
    _wait_for(lambda: not any(worker.is_running() for worker in workers))
    if number is signal.SIGKILL:
        assert process.exitcode == -signal.SIGKILL
    else:
        assert process.exitcode == 130
        assert (
            tmp_path / "stderr"
        ).read_text() == "study: stopped; the same command goes on, and keeps what is finished\n"
    # What is finished is in the tables, and what is not is named in them.
    states = [run["state"] for run in read_csv(out / "runs.csv")]
    assert states[0] == "finished" and re.fullmatch(r"step \d of 4|not begun", states[1])

    (tmp_path / "mend").touch()
    status, _ = study(waits, "seeds=[0]")
    assert status == 0
    assert attempts(out) == {"grpo_replay-own-seed0": 1, "zppo-own-seed0": 2}
    (folder,) = out.glob("runs/zppo-*")
    steps = [json.loads(line)["step"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 2, 3, 4]  # it went on where it was


def test_a_second_study_in_the_same_folder_is_refused(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as file:
        file.write("4711")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        status, out = study()
    assert status == 1
    assert "in use by another study (process 4711); wait for it, or set out=" in capsys.readouterr().err
    assert not (out / "runs").exists()


def test_a_study_where_the_file_system_has_no_locks_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with study_lock(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").read_text() == str(os.getpid())
    said = capsys.readouterr().err
    assert said.startswith("study: the file system has no locks (Function not implemented; ") and said.count("\n") == 1


def test_a_study_on_a_full_disk_names_the_file(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with room_for(0):
        status, out = study()
    assert (status, capsys.readouterr().err) == (1, f"study: {out}/.lock: File too large\n")


def test_the_control_of_the_same_time_gets_its_steps_from_what_was_measured(study: Study):
    # The fake ZPPO takes two seconds a step, the fake GRPO† one.
    status, out = study("plan=controls", "seeds=[0]")
    assert status == 0
    runs = {run["row"]: run for run in read_csv(out / "runs.csv")}
    assert {row: run["steps"] for row, run in runs.items()} == {
        "grpo_replay": "4",
        "zppo": "4",
        "grpo_replay_more": "4",
        "grpo_replay_same_time": "8",
    }
    assert runs["grpo_replay_same_time"]["train_seconds"] == runs["zppo"]["train_seconds"]
    (derived,) = json.loads((out / "derived.json").read_text())
    assert (derived["steps"], derived["available"], derived["clipped"]) == (8, 10, False)
    # A later seed takes the number that is fixed, and the first one is kept.
    status, _ = study("plan=controls", "seeds=[0,1]")
    assert status == 0
    assert attempts(out)["grpo_replay_same_time-own-seed0"] == 1
    assert {run["steps"] for run in read_csv(out / "runs.csv") if run["row"] == "grpo_replay_same_time"} == {"8"}


def test_the_control_is_derived_from_runs_that_were_finished_before(study: Study):
    assert study("plan=pair", "seeds=[0]")[0] == 0
    status, out = study("plan=controls", "seeds=[0]", "only=[grpo_replay,zppo,grpo_replay_same_time]")
    assert status == 0
    assert {run["row"]: run["steps"] for run in read_csv(out / "runs.csv")}["grpo_replay_same_time"] == "8"


def test_runs_of_two_versions_of_the_code_are_named(study: Study):
    _, out = study("plan=pair", "seeds=[0]")
    assert "versions of the code" not in (out / "table.md").read_text()
    (folder,) = (out / "runs").glob("zppo-*")
    content = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(content | {"code": "another"}))
    study("plan=pair", "seeds=[0]")
    assert "**the runs are of 2 versions of the code**" in (out / "table.md").read_text()


def test_the_control_takes_all_that_the_data_have_at_most(study: Study):
    status, out = study("plan=controls", "seeds=[0]", "steps=8")
    assert status == 0
    (derived,) = json.loads((out / "derived.json").read_text())
    assert (derived["steps"], derived["clipped"]) == (10, True)


def test_a_control_whose_times_cannot_be_measured_is_named(study: Study, capsys: pytest.CaptureFixture[str]):
    status, out = study("plan=controls", "seeds=[0]", "rows.zppo.overrides=['+fake.fail_at=1']")
    assert status == 1
    assert "grpo_replay_same_time, own: not run" in capsys.readouterr().out
    assert "- GRPO†, ZPPO's wall-clock, seed 0: waits for measured times" in (out / "table.md").read_text()


def _main(arguments: list[str], stderr: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background of a shell
    with open(stderr, "w") as file, contextlib.redirect_stderr(file):
        sys.exit(main(arguments))


def _wait_for(condition: Callable[[], object], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
