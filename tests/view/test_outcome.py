import math

import pytest

from recipe.zppo.run.metrics import validation_counts
from recipe.zppo.view import outcome
from recipe.zppo.view.held_out import validations


def test_validation_reads_verls_names():
    rows = [
        {"step": 0, "val-core/openai/gsm8k/acc/mean@4": 0.25, "val-aux/openai/gsm8k/acc/std@4": 0.1},
        {"step": 8, "val-core/openai/gsm8k/acc/mean@4": 0.5, "val-core/openai/gsm8k/acc/best@4/mean": 0.9},
        {"step": 8, "val-core/other/reward/mean@1": 1.0, "zppo/validation/other/questions": 10},
    ]
    first, second = validations(rows)
    assert (first.source, first.samples, first.questions) == ("openai/gsm8k", 4, None)
    assert [(a.step, a.value, a.std_error) for a in first.history] == [(0, 0.25, None), (8, 0.5, None)]
    assert first.z_score is None, "without the number of questions nobody knows"
    assert (second.source, second.questions, second.after) == ("other", 10, None)


@pytest.mark.parametrize("before, after, questions", [(0.2, 0.3, 100), (0.2, 0.3, 1000), (0.5, 0.4, 64)])
def test_z_score_is_that_of_two_proportions(before: float, after: float, questions: int):
    key, count = "val-core/s/acc/mean@1", "zppo/validation/s/questions"
    rows = [{"step": 0, key: before, count: questions}, {"step": 1, key: after, count: questions}]
    (validation,) = validations(rows)
    pooled = (before * questions + after * questions) / (2 * questions)
    expected = (after - before) / math.sqrt(pooled * (1 - pooled) * (1 / questions + 1 / questions))
    assert validation.z_score == pytest.approx(expected)
    assert validation.before.std_error == pytest.approx(math.sqrt(before * (1 - before) / questions))


def test_certainty_at_the_edges_is_not_claimed():
    key, count = "val-core/s/acc/mean@1", "zppo/validation/s/questions"
    (same,) = validations([{"step": step, key: 0.0, count: 16} for step in (0, 1)])
    assert same.z_score == 0
    (one,) = validations([{"step": 0, key: 0.0, count: 16}, {"step": 1, key: 1 / 16, count: 16}])
    assert 0 < one.z_score < 1.96, "one question more is noise, though the binomial error at 0% is 0"


def counts(level, *numbers):
    names = ("size", "admissions", "graduations", "evictions")
    return {f"zppo/buffer/{name}{level}": number for name, number in zip(names, numbers, strict=True)}


def test_fates_are_those_of_the_last_step_that_has_them():
    rows = [
        {"step": 1, "zppo/buffer/size": 3, "zppo/buffer/admissions": 3},
        {"step": 2, "zppo/buffer/admissions/from_0.125": 4}
        | counts("", 4, 9, 2, 3)
        | counts("/from_0.000", 1, 5, 1, 3),
        {"step": 3},
    ]
    fate = outcome.buffer_fate(rows)
    assert fate == outcome.Fate(admitted=9, graduated=2, evicted=3, inside=4)
    assert fate.graduation_rate == pytest.approx(2 / 5)
    by_entry = outcome.buffer_fate_by_entry(rows)
    assert by_entry == {0.0: outcome.Fate(5, 1, 3, 1), 0.125: outcome.Fate(4, 0, 0, 0)}
    assert by_entry[0.125].graduation_rate is None


def test_reformulations_weigh_steps_by_their_groups():
    rows = [
        {"step": 1, "zppo/bcq/count": 1, "zppo/bcq/accuracy": 1.0, "zppo/bcq/solved_share": 1.0},
        {"step": 2, "zppo/bcq/count": 3, "zppo/bcq/accuracy": 0.5, "zppo/bcq/solved_share": 2 / 3},
        {"step": 3, "zppo/bcq/count": 0, "zppo/bcq/does_not_fit": 2, "zppo/bcq/failed": 1},
    ]
    expected = outcome.Reformulations(groups=4, solved=3, accuracy=2.5 / 4, not_fitting=2, failed=1)
    assert outcome.reformulations(rows, "bcq") == expected
    assert outcome.reformulations(rows, "ncq") == outcome.Reformulations(0, 0, None, 0, 0)


def test_hints_that_gave_the_answer_away_are_counted():
    rows = [{"step": 1, "zppo/hint/leaked": 2.0, "zppo/hint/count": 0.0}, {"step": 2, "zppo/hint/leaked": 1.0}]
    assert outcome.reformulations(rows, "hint") == outcome.Reformulations(0, 0, None, 0, 0, leaked=3)
    assert outcome.kinds(rows) == ("hint",)


def test_the_forms_of_candidates_are_counted():
    rows = [
        {"step": 1, "zppo/bcq/form_summary": 3.0, "zppo/bcq/form_raw": 0.0, "zppo/bcq/mixed_dropped": 1.0},
        {"step": 2, "zppo/bcq/form_summary": 1.0, "zppo/bcq/form_mixed": 2.0, "zppo/bcq/mixed_fell_back": 4.0},
    ]
    found = outcome.reformulations(rows, "bcq")
    assert (found.forms, found.mixed_dropped, found.mixed_fell_back) == ({"summary": 4, "mixed": 2}, 1, 4)
    assert outcome.kinds(rows) == ("bcq",)  # also if all were dropped


def test_kinds_are_those_that_a_run_has_built_or_tried_to():
    none = {"zppo/bcq/count": 0.0, "zppo/bcq/failed": 0.0, "zppo/ncq/count": 0.0, "zppo/prefix/count": 0.0}
    assert outcome.kinds([{"step": 1} | none]) == ()
    rows = [{"step": 1} | none, {"step": 2, "zppo/prefix/count": 1.0}, {"step": 3, "zppo/bcq/does_not_fit": 1.0}]
    assert outcome.kinds(rows) == ("bcq", "prefix")


def test_several_teachers_are_told_apart():
    rows = [
        {"step": 1, "zppo/teacher/asked": 5.0, "zppo/teacher/solved_share": 0.8},
        {"step": 2, "zppo/teacher/0/asked": 5.0, "zppo/teacher/0/solved": 3.0},
        {"step": 3, "zppo/teacher/0/asked": 2.0, "zppo/teacher/0/solved": 0.0, "zppo/teacher/10/asked": 4.0},
    ]
    assert outcome.teachers(rows[:1]) == {}
    assert outcome.teachers(rows) == {0: outcome.TeacherShare(7, 3), 10: outcome.TeacherShare(4, 0)}
    assert list(outcome.teachers(rows)) == [0, 10]


def test_distillation_off_and_on_policy():
    assert outcome.distillation([{"step": 1, "zppo/teacher/asked": 3.0}]) is None
    losses = [{"step": step, "actor/distillation/loss": float(step)} for step in range(1, 21)]
    assert outcome.distillation(losses) == outcome.Distillation(None, first_loss=1.5, last_loss=19.5)
    rows = [row | {"zppo/distillation/sequences": 7.0} for row in losses[:3]]
    assert outcome.distillation(rows) == outcome.Distillation(21, first_loss=1.0, last_loss=3.0)
    assert outcome.distillation([{"zppo/distillation/sequences": 0.0}]) == outcome.Distillation(0, None, None)


def test_what_dynamic_sampling_left_out():
    groups = {"zppo/batch/groups": 20.0}
    assert outcome.left_out([{"step": 1} | groups]) is None
    rows = [{"step": 1, "zppo/batch/dropped_trivial": 0.0} | groups, {"step": 2, "zppo/batch/dropped_trivial": 20.0}]
    assert outcome.left_out(rows[:1]) == outcome.LeftOut(groups=20, dropped=0, skipped_updates=0)
    rows[1] |= groups | {"zppo/batch/skipped_updates": 4.0}
    assert outcome.left_out(rows) == outcome.LeftOut(groups=40, dropped=20, skipped_updates=4)


def test_teacher_time_that_nobody_waited_for_is_hidden():
    rows = [
        {"step": 1, "zppo/time_s/teacher": 3.0, "zppo/time_s/teacher_exposed": 1.0, "zppo/teacher/asked": 2},
        {"step": 2, "zppo/time_s/teacher": 1.0, "zppo/time_s/teacher_exposed": 0.0, "zppo/teacher/asked": 2},
        {"step": 2, "zppo/compression/fall_back_x": 2, "zppo/compression/fall_back_share": 1.0},
    ]
    teacher = outcome.teacher(rows)
    assert teacher.hidden_share == pytest.approx(0.75)
    assert teacher.fall_backs == {"x": 2}
    assert teacher.asked == 4


def test_a_run_without_buffer_and_teacher():
    rows = [{"step": 1, "zppo/teacher/asked": 0.0, "timing_s/step": 2.0, "timing_s/gen": 1.5}]
    assert outcome.buffer_fate(rows) is None
    assert outcome.buffer_fate_by_entry(rows) == {}
    assert outcome.teacher(rows) is None


def test_parts_of_a_step_add_up_to_it():
    rows = [
        {"step": 0},
        {"step": 1, "timing_s/step": 4.0, "timing_s/gen": 2.0, "timing_s/update_actor": 1.0},
        {"step": 2, "timing_s/step": 6.0, "timing_s/gen": 2.0}
        | {"timing_s/save_checkpoint": 3.0, "timing_s/testing": 9.0},
    ]
    times = outcome.step_time(rows)
    assert times.parts_s == {"generation": 2.0, "update": 0.5, "checkpoint": 1.5, "other": 1.0}
    assert sum(times.parts_s.values()) == pytest.approx(times.mean_s) == 5.0
    assert times.validation_s == 9.0
    assert outcome.step_time([{"step": 0}]) is None


def test_the_names_are_those_that_verl_logs():
    """verl's own function, and our count of questions beside it; the third question gave no answer at all."""
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    sources, uids = ["a/b"] * 4 + ["c"], ["1", "1", "2", "2", "4"]
    scores = {"reward": [1.0, 0.0, 1.0, 1.0, 1.0], "acc": [1.0, 0.0, 1.0, 1.0, None]}
    expected = {("a/b", "1"): 2, ("a/b", "2"): 2, ("a/b", "3"): 2, ("c", "4"): 1}
    metrics = PPOTrainerSync._val_metrics_update(None, sources, uids, scores, [], expected_acc_counts=expected)
    first, second = validations([{"step": 0} | metrics | validation_counts(sources, uids, expected)])
    assert (first.source, first.samples, first.questions) == ("a/b", 2, 3)
    assert first.before.value == pytest.approx((0.5 + 1 + 0) / 3)
    assert (second.source, second.samples, second.questions, second.before.value) == ("c", 1, 1, 1.0)
