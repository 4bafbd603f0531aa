"""Who is shown to the student, and in which order."""

from collections import Counter

import pytest

from recipe.zppo.candidates import draw_candidates
from recipe.zppo.types import Group, Kind, Question, Rollout, TeacherRollout


def group(name: str, rewards: list[float]) -> Group:
    question = Question(name, 0, False, {"raw_prompt": []})
    rollouts = [Rollout(i, f"{i}", f"student {i}", reward, "", 1, 1) for i, reward in enumerate(rewards)]
    return Group("uid", Kind.PLAIN, question, 1, rollouts)


TEACHER = [TeacherRollout(f"teacher {i}", float(i != 1), 1) for i in range(3)]


def test_bcq_draws_each_uniformly_and_shuffles():
    drawn = Counter()
    for i in range(4000):
        pair = draw_candidates(group(f"q{i}", [0, 1, 0, 0]), TEACHER, right=True, seed=0, step=1)
        assert {(draft.source, draft.correct) for draft in pair} == {("teacher", True), ("student", False)}
        drawn[tuple(draft.text for draft in pair)] += 1
    # 2 correct teacher rollouts x 3 wrong student rollouts x 2 orders; 4000 / 12 = 333, standard deviation 17.5
    assert len(drawn) == 12
    assert all(abs(count - 333) < 90 for count in drawn.values())


def test_a_worked_solution_is_not_said_to_be_the_teachers():
    solution = [TeacherRollout("the data's", 1.0, 0, source="data")]
    pair = draw_candidates(group("q", [0, 0]), solution, right=True, seed=0, step=1)
    assert {(draft.source, draft.correct) for draft in pair} == {("data", True), ("student", False)}


def test_the_draw_depends_on_seed_step_and_question_only():
    one = draw_candidates(group("q", [0, 0, 0, 0]), TEACHER, right=True, seed=0, step=1)
    shuffled = group("q", [0, 0, 0, 0])
    shuffled.rollouts.reverse()  # finished in another order
    assert draw_candidates(shuffled, TEACHER, right=True, seed=0, step=1) == one
    others = [
        draw_candidates(group("q", [0] * 4), TEACHER, right=True, seed=s, step=t) for s, t in ((1, 1), (0, 2), (2, 3))
    ]
    assert any(other != one for other in others)


def test_ncq_shows_every_wrong_rollout_in_the_order_of_the_group():
    drafts = draw_candidates(group("q", [0, 1, 0, 0]), [], right=False, seed=0, step=1)
    assert [draft.text for draft in drafts] == ["student 0", "student 2", "student 3"]


@pytest.mark.parametrize(("rewards", "teacher"), [([1, 1], TEACHER), ([0, 0], TEACHER[1:2])])
def test_inadmissible_bcq_is_an_error(rewards, teacher):
    with pytest.raises(ValueError, match="has no"):
        draw_candidates(group("q", rewards), teacher, right=True, seed=0, step=1)
