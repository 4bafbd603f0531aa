"""A start warns when the answers of its first rollouts can't be read."""

import logging

import pytest

from recipe.zppo.run.first_look import FirstLook
from recipe.zppo.types import Group, Kind, Question, Rollout, StepResult


def step(answers):
    rollouts = [Rollout(i, str(i), "It is\n#### 42\n", 0.0, answer, 1, 1) for i, answer in enumerate(answers)]
    group = Group("u", Kind.PLAIN, Question("q", 0, False, {}), 1, rollouts)
    return StepResult(1, [group] if answers else [], [], {}, {})


@pytest.mark.parametrize(
    ("answers", "warns"), [([""] * 20, True), (["4"] + [""] * 19, True), (["4"] + [""] * 9, False)]
)
def test_it_warns_once_where_hardly_any_has_one(caplog, answers, warns):
    look = FirstLook()
    with caplog.at_level(logging.WARNING):
        for outcome in (step([]), step(answers), step(answers)):
            look(outcome)
    assert len(caplog.records) == warns
    if warns:
        count = sum(map(bool, answers))
        assert caplog.messages[0].startswith(
            f"{count} of the {len(answers)} first rollouts have an answer that can be read; unless the reward "
            r"function gives one, it is looked for as \boxed{{answer}} (zppo.answer.form). One of them ends with "
            r"'It is\n#### 42'"
        )
