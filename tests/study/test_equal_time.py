"""Accuracies at the same time."""

import pytest

from recipe.zppo.study.equal_time import CLOCK, PROCESSOR, accuracies, at_time, spent, time_key


def rows(seconds: float, gain: float, **more: float) -> list[dict[str, float]]:
    """Four steps, validated after the second and the fourth."""
    run = [{"step": step, CLOCK: seconds, **more} for step in range(1, 5)]
    for step in (2, 4):
        run[step - 1]["val-core/puzzle/acc/mean@1"] = gain * step
    return run


def test_accuracy_lies_on_the_line_between_two_validations():
    course = [(20.0, 0.2), (40.0, 0.4)]
    assert [at_time(course, t) for t in (20, 25, 40)] == pytest.approx([0.2, 0.25, 0.4])
    assert at_time(course, 19) is None and at_time(course, 41) is None
    assert at_time(course[:1], 20) == 0.2


def test_a_dearer_run_counts_as_far_as_its_time_goes():
    seeds = {0: rows(2.0, 0.1), 1: rows(1.0, 0.1)}
    assert accuracies(seeds, ["puzzle"], CLOCK, 4.0) == pytest.approx({0: 0.2, 1: 0.4})
    assert accuracies(seeds, ["puzzle"], CLOCK, 3.0) == pytest.approx({1: 0.3})


def test_time_adds_up_over_steps_and_not_over_validations():
    assert spent([{"step": 0}, *rows(2.0, 0.1)], CLOCK) == {0: 0, 1: 2, 2: 4, 3: 6, 4: 8}


def test_processor_time_is_taken_where_every_step_of_every_run_has_it():
    measured = rows(2.0, 0.1, **{PROCESSOR: 1.5})
    assert time_key([measured, measured]) == PROCESSOR
    assert time_key([measured, rows(2.0, 0.1)]) == CLOCK
    assert time_key([[{"step": 0}]]) == CLOCK
