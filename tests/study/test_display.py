"""What is shown of a study under way, and how long it is said to take."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from recipe.zppo.study.config import read_config
from recipe.zppo.study.display import Display, seconds_left, tables
from recipe.zppo.study.inputs import ValidationFiles, plan_inputs
from recipe.zppo.study.ledger import Ledger
from recipe.zppo.study.plan import Plan


@pytest.fixture
def plan() -> Plan:
    config = read_config(["plan=controls", "seeds=[0,1]", "only=[grpo_replay,zppo,grpo_replay_same_time]"])
    return Plan(config, plan_inputs(config))


@pytest.fixture
def unmeasured(plan: Plan, tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path, {"firm": ValidationFiles(("a",), {"held_out": ("a",)})})
    ledger.add(plan.runs())
    return ledger


@pytest.fixture
def ledger(unmeasured: Ledger) -> Ledger:
    """Seed 0: done at 2 s a step, and failed. Seed 1: at step 10 of 40 at 3 s a step, and not begun."""
    done, failed, running, _ = unmeasured.by_id.values()
    done.state, done.seconds_a_step, done.step = "finished", 2.0, 40
    failed.state, failed.error = "failed", "no space"
    running.state, running.step, running.seconds_a_step = "running", 10, 3.0
    return unmeasured


def test_one_worker_does_what_is_left_one_after_the_other(ledger: Ledger):
    # 30 steps at their own 3 s; ZPPO was never timed, so 40 steps at the mean of 2 and 3 s.
    assert seconds_left(list(ledger.by_id.values()), jobs=1) == pytest.approx(30 * 3 + 40 * 2.5)


def test_two_workers_take_as_long_as_the_longer(ledger: Ledger):
    assert seconds_left(list(ledger.by_id.values()), jobs=2) == pytest.approx(40 * 2.5)


def test_no_time_is_guessed_before_one_is_measured(unmeasured: Ledger):
    assert seconds_left(list(unmeasured.by_id.values()), jobs=1) is None


def test_a_log_gets_a_line_every_half_minute(plan: Plan, ledger: Ledger):
    text, now = io.StringIO(), [1000.0]
    with Display(2, Console(file=text, width=400), lambda: now[0]) as display:
        for now[0] in (1001.0, 1029.0, 1031.0, 1032.0, 1060.0, 1062.0):
            display.show(plan, ledger)
    first, second = text.getvalue().splitlines()
    assert first == (
        "1 of 6 runs done, 1 failed; running: grpo_replay, firm, seed 1 (10/40); 0:31 elapsed, about 1:40 left "
        "and 2 runs whose length is not known yet"
    )
    assert "1:02 elapsed" in second


def test_a_terminal_gets_a_table_of_rows_and_seeds(plan: Plan, ledger: Ledger):
    console = Console(file=io.StringIO(), width=100)
    console.print(*tables(plan, ledger))
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.file.getvalue().splitlines()]
    assert ["GRPO†", "done", "10/40"] in shown
    assert ["ZPPO", "failed", "·"] in shown
    assert ["GRPO†, ZPPO's wall-clock", "waits for times", "waits for times"] in shown


def test_a_bracket_in_a_label_is_no_markup(tmp_path: Path):
    config = read_config(["plan=pair", "seeds=[0]", "rows.zppo.label='ZPPO [/bold]'"])
    plan = Plan(config, plan_inputs(config))
    ledger = Ledger(tmp_path, {"firm": ValidationFiles(("a",), {"held_out": ("a",)})})
    ledger.add(plan.runs())
    console = Console(file=io.StringIO(), width=100)
    console.print(*tables(plan, ledger))
    assert "ZPPO [/bold]" in console.file.getvalue()


def test_a_terminal_is_kept_up_to_date(plan: Plan, ledger: Ledger):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with Display(2, console) as display:
        display.show(plan, ledger)
        display.ended(ledger.with_state("failed")[0])
    assert "failed: zppo, firm, seed 0: no space" in console.file.getvalue()
    assert "10/40" in console.file.getvalue()
