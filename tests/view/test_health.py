"""Each warning on a run made for it; none on a healthy one, and the same ones in watch, summary and report."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recipe.zppo.methods import METHODS
from recipe.zppo.report.head import GOOD, LOOK, ten_numbers
from recipe.zppo.report.payload import report
from recipe.zppo.run.folder import Row, RunFolder
from recipe.zppo.types import Candidate, Group, Kind, Question, Rollout
from recipe.zppo.view import health, watch
from recipe.zppo.view.progress import ProgressReader
from recipe.zppo.view.run_summary import Summary
from recipe.zppo.view.sparkline import sparkline


def rows(steps: int, healthy: dict[str, float], **late: float) -> list[Row]:
    """Of a healthy run whose last ``steps`` are not."""
    late = {key.replace("__", "/"): value for key, value in late.items()}
    return [{"step": float(i)} | healthy | (late if i > 30 - steps else {}) for i in range(1, 31)]


@pytest.fixture(scope="module")
def healthy(finished_run: Path) -> dict[str, float]:
    """The last step of a healthy run."""
    row = RunFolder(finished_run).metrics()[-1]
    return {key: value for key, value in row.items() if key != "step"} | {
        "actor/pg_clipfrac": 0.01,
        "zppo/buffer/step_graduated": 2.0,
    }


def test_a_healthy_run_has_none(finished_run: Path, hint_run: Path, distilled_run: Path, healthy):
    for run in (finished_run, hint_run, distilled_run):
        assert health.warnings(RunFolder(run).metrics()) == []
    assert health.warnings(rows(0, healthy)) == health.warnings([]) == health.warnings([{"step": 0.0}]) == []


BCQS = {"zppo__bcq__form_summary": 4, "zppo__bcq__form_mixed": 0}
CASES: dict[str, tuple[int, dict[str, float], int, dict[str, float], str]] = {
    # name: steps that fire, of what; steps or values that do not yet; what is said
    "rewards all zero": (3, {"zppo__accuracy__all": 0}, 2, {"zppo__accuracy__all": 0}, "in 3 steps in a row"),
    "teacher failing": (
        20,
        {"zppo__teacher__asked": 10, "zppo__teacher__failed_requests": 2},
        20,
        {"zppo__teacher__asked": 10, "zppo__teacher__failed_requests": 1},
        "40 failed requests and 0 late answers for 200 questions",
    ),
    "buffer full and nothing graduating": (
        20,
        {"zppo__buffer__step_evicted": 1, "zppo__buffer__step_graduated": 0},
        19,
        {"zppo__buffer__step_evicted": 2, "zppo__buffer__step_graduated": 0},
        "20 evicted and none graduated in the last 20 steps",
    ),
    "entropy collapsing": (
        5,
        {"actor__entropy": 0.1},
        5,
        {"actor__entropy": 0.2},
        "14% of the first step's",
    ),
    "clip fraction high": (20, {"actor__pg_clipfrac": 0.3}, 5, {"actor__pg_clipfrac": 0.3}, "30% of the tokens"),
    "summaries falling back": (
        20,
        {"zppo__compression__fall_back_share": 0.5, "zppo__compression__fall_back_too_long": 99},
        20,
        {"zppo__compression__fall_back_share": 0.09},
        "50% of the candidates in the last 20 steps, above 10%; mostly: too long",
    ),
    "candidates give the answer away": (
        20,
        BCQS | {"zppo__bcq__accuracy_summary": 0.95},
        20,
        BCQS | {"zppo__bcq__accuracy_summary": 0.85},
        "95% of the answers to BCQs of form 'summary' are right, above 90%",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_warning_fires_at_its_bound(name: str, healthy: dict[str, float]):
    steps, values, fewer, lower, said = CASES[name]
    (concern,) = health.warnings(rows(steps, healthy, **values))
    assert concern.name == name and said in concern.seen and len(concern.remedy) > 40
    assert health.warnings(rows(fewer, healthy, **lower)) == []


def test_a_student_that_gets_worse(healthy: dict[str, float]):
    def run(*last: float) -> list[health.Concern]:
        shares = [0.1, 0.2, 0.15, 0.25] * 5 + [0.2] * 20 + list(last) * 5
        return health.warnings(
            [{"step": i} | healthy | {"zppo/accuracy/new": share} for i, share in enumerate(shares, start=1)]
        )

    (concern,) = run(0.1, 0.15, 0.1, 0.15)  # a standard error of 1.4 points
    assert concern.name == "student getting worse"
    assert "12.5% of the answers to new questions are right in the last 20 steps, 17.5% in the first" in concern.seen
    assert run(0.05, 0.15, 0.1, 0.2) == []  # of 1.8 points


def test_a_form_that_tells_which_candidate_is_right(healthy: dict[str, float]):
    shown = {"zppo__bcq__form_mixed": 4, "zppo__bcq__accuracy_mixed": 0.5, "zppo__bcq__form_summary": 0}
    (concern,) = health.warnings(rows(30, healthy, **shown, zppo__bcq__mixed_summary_right=3))
    assert concern.name == "candidates give the answer away" and "the summary is right in 75% of 120" in concern.seen
    assert health.warnings(rows(30, healthy, **shown, zppo__bcq__mixed_summary_right=2)) == []


def test_accuracy_is_counted_by_form():
    def group(forms: tuple[str, str], right: int) -> Group:
        rollouts = [Rollout(i, f"r_{i}_0", "", float(i < right), "1", 1, 1) for i in range(4)]
        candidates = (Candidate("t", "teacher", True, "1", forms[0]), Candidate("s", "student", False, "2", forms[1]))
        return Group("g", Kind.BCQ, Question("q", 0, False, {}), 1, rollouts, candidates=candidates)

    groups = [group(("teacher", "tail:late"), 4), group(("tail:late", "teacher"), 2), group(("teacher",) * 2, 1)]
    metrics = METHODS[Kind.BCQ].metrics(groups, {})
    assert (metrics["zppo/bcq/accuracy_mixed"], metrics["zppo/bcq/accuracy_summary"]) == (0.75, 0.25)
    assert metrics["zppo/bcq/accuracy_raw"] is None and metrics["zppo/bcq/mixed_summary_right"] == 1


def test_watch_summary_and_report_say_the_same(broken_run: Path):
    """Its teacher died at step 4."""
    folder = RunFolder(broken_run)
    (concern,) = health.warnings(folder.metrics())
    assert concern.name == "teacher failing" and "in the last 7 steps" in concern.seen
    assert Summary.of(folder).warnings == [concern]
    (run,) = report([folder])["runs"]
    assert run["warnings"] == [{"name": concern.name, "seen": concern.seen, "remedy": concern.remedy}]
    written: list[str] = []
    reader, display = ProgressReader(folder), watch.PlainDisplay(written.append)
    for _ in range(2):
        display.show(reader.look())
    assert written[-1] == f"WARNING {concern}" and sum(map(str.isupper, (line[:7] for line in written))) == 1


def test_the_head_line_has_the_same_bounds(healthy: dict[str, float]):
    def states(**late: float) -> dict[str, str]:
        return {number.name: number.state for number in ten_numbers(rows(30, healthy, **late), 30, 30, "finished")}

    assert states()["BCQ right"] == GOOD
    assert (
        states(zppo__bcq__accuracy=0.9)["BCQ right"] == GOOD and states(zppo__bcq__accuracy=0.91)["BCQ right"] == LOOK
    )
    last = ten_numbers(rows(5, healthy, actor__entropy=0.1), 30, 30, "finished")
    assert {number.name: number.state for number in last}["entropy"] == LOOK


@pytest.mark.parametrize(
    "values, width, shown",
    [([], 5, ""), ([3], 5, "▁"), ([0, 1], 5, "▁█"), ([0, 0, 7, 7, 3.5, 3.5], 3, "▁█▅"), ([2, 2], 5, "▁▁")],
)
def test_sparklines(values: list[float], width: int, shown: str):
    assert sparkline(values, width) == shown


def test_the_display_has_lines_and_warnings(broken_run: Path, written: Callable[..., Path]):
    from tests.view.test_watch import shown_of

    shown, _ = shown_of(broken_run)
    text = " ".join(shown.split())
    assert "WARNING teacher failing: " in text and "accuracy new ▁" in text
    assert "updating the student (for 0:00, as a rule 0:01)" in text
    assert "WARNING" not in shown_of(written("whole"))[0]
