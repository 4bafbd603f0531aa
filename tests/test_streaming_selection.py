"""The decisions on arrival against the selection on complete data."""

import itertools
import random
import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.zppo.errors import SelectionError
from recipe.zppo.selection import HardQuestion, Reformulation, select_reformulations
from recipe.zppo.streaming_selection import StreamingSelection
from recipe.zppo.types import Kind
from tests.selection_cases import KINDS, LIMITS, PRE_CAPS, THRESHOLDS, x_aug


@dataclass
class Group:
    """What will turn out for one question."""

    prompt_id: int
    rewards: list[bool]  # those that are scored; fewer than the group size if some failed
    teacher: int
    dropped: bool


def groups(group_size):
    rewards = st.lists(st.booleans(), min_size=1, max_size=group_size)
    return st.builds(Group, st.just(0), rewards, st.integers(0, 2), st.sampled_from([False] * 4 + [True]))


STEP = st.lists(groups(4), max_size=9).map(lambda step: [replace(g, prompt_id=i) for i, g in enumerate(step)])


def play(stream, groups, threshold, rng, on_event, report_rollouts=True):
    """Feeds all events to the stream, those of different questions in random order."""

    def life(group):
        for reward in group.rewards:
            if report_rollouts:
                stream.rollout(group.prompt_id, reward)
            yield
        if group.dropped:
            stream.drop(group.prompt_id)
            yield
            return
        accuracy = sum(group.rewards) / len(group.rewards)
        hard = stream.plain_done(group.prompt_id, sum(group.rewards), len(group.rewards))
        assert hard == (accuracy < threshold)
        yield
        if hard:
            stream.teacher_done(group.prompt_id, group.teacher)
            yield

    lives = [life(group) for group in groups]
    while lives:
        one = rng.choice(lives)
        if next(one, "over") == "over":
            lives.remove(one)
        else:
            on_event()


def complete(groups):
    return [
        HardQuestion(g.prompt_id, sum(g.rewards) / len(g.rewards), g.rewards.count(False), g.teacher)
        for g in groups
        if not g.dropped
    ]


def undecided(stream):
    return {Reformulation(q.prompt_id, kind) for q in stream._questions.values() for kind in q.open}


@given(STEP, THRESHOLDS, st.integers(0, 8), st.integers(0, 3), KINDS, PRE_CAPS, st.booleans(), st.data())
def test_streaming_decides_as_the_selection_does_and_never_changes_its_mind(
    groups, threshold, cap, seed, kinds, pre_cap, report_rollouts, data
):
    rng = data.draw(st.randoms(use_true_random=False))
    args = dict(threshold=threshold, cap=cap, seed=seed, step=2, kinds=kinds, pre_cap=pre_cap)
    expected = select_reformulations(complete(groups), **args)
    every = {Reformulation(g.prompt_id, kind) for g in groups for kind in kinds}
    stream = StreamingSelection([g.prompt_id for g in groups], group_size=4, **args)
    accepted, rejected = [], set()

    def collect():
        accepted.extend(stream.newly_accepted())
        decided = every - undecided(stream)
        assert set(accepted) <= decided and set(accepted) <= set(expected) and len(set(accepted)) == len(accepted)
        assert rejected <= decided - set(accepted) and not decided - set(accepted) & set(expected)
        rejected.update(decided - set(accepted))
        assert stream.finished == (decided == every)

    collect()
    play(stream, groups, threshold, rng, collect, report_rollouts)
    assert stream.finished
    assert set(accepted) == set(expected)
    assert rejected == every - set(expected)


def possible_ends(group, seen, done, teacher_done, dropped, group_size):
    """Every outcome of a question that is still open; `None` if it leaves the ranking."""
    if dropped:
        return {None}
    ends = set() if done else {None}
    correct = sum(group.rewards[:seen])
    extra = range(1 if done else group_size - seen + 1)
    scores = [(correct + c, seen + n) for n in extra for c in range(n + 1) if seen + n]
    for num_correct, num_scored in scores:
        for teacher in [min(group.teacher, 1)] if teacher_done else [0, 1]:
            wrong = min(num_scored - num_correct, 1)  # one or more makes no difference
            ends.add(HardQuestion(group.prompt_id, num_correct / num_scored, wrong, teacher))
    return ends


@settings(max_examples=150)
@given(st.lists(groups(2), max_size=3), st.integers(0, 4), KINDS, PRE_CAPS, st.data())
def test_streaming_decides_exactly_when_no_open_outcome_can_change_it(groups, cap, kinds, pre_cap, data):
    """At a random moment, every way in which the step can still end is tried: decided is what they all agree on."""
    args = dict(threshold=0.75, cap=cap, seed=1, step=2, kinds=kinds, pre_cap=pre_cap)
    stream = StreamingSelection(range(len(groups)), group_size=2, **args)
    ends = []
    for prompt_id, g in enumerate(groups):
        g = replace(g, prompt_id=prompt_id)
        seen = data.draw(st.integers(0, len(g.rewards)))
        for reward in g.rewards[:seen]:
            stream.rollout(prompt_id, reward)
        done = seen == len(g.rewards) and data.draw(st.booleans())
        teacher_done = dropped = False
        if done and g.dropped:
            stream.drop(prompt_id)
            dropped = True
        elif done and stream.plain_done(prompt_id, sum(g.rewards), len(g.rewards)) and data.draw(st.booleans()):
            stream.teacher_done(prompt_id, g.teacher)
            teacher_done = True
        ends.append(possible_ends(g, seen, done, teacher_done, dropped, group_size=2))
    outcomes = [list(filter(None, outcome)) for outcome in itertools.product(*ends)]
    finals = [set(select_reformulations(outcome, **args)) for outcome in outcomes]
    every = {Reformulation(prompt_id, kind) for prompt_id in range(len(groups)) for kind in kinds}
    if kinds and pre_cap == "hard":  # Algs. 5 and 6 have no other
        kept = [set(x_aug(outcome, 0.75, cap, 1, 2)) for outcome in outcomes]
        assert set(stream.newly_kept()) == {i for i in range(len(groups)) if all(i in final for final in kept)}
        assert stream.newly_kept() == []
    accepted = set(stream.newly_accepted())
    assert accepted == {i for i in every if all(i in final for final in finals)}
    rejected = every - undecided(stream) - accepted
    assert rejected == {i for i in every if all(i not in final for final in finals)}


@given(STEP, THRESHOLDS, st.integers(0, 8), st.integers(0, 3), KINDS, PRE_CAPS, st.booleans(), st.data())
def test_a_teacher_that_is_asked_only_in_reach_of_the_caps_is_enough(
    groups, threshold, cap, seed, kinds, pre_cap, certain, data
):
    """It answers when it likes, and not at all where the question is settled: what is selected stays the same."""
    rng = data.draw(st.randoms(use_true_random=False))
    args = dict(threshold=threshold, cap=cap, seed=seed, step=2, kinds=kinds, pre_cap=pre_cap)
    stream = StreamingSelection([g.prompt_id for g in groups], group_size=4, **args)
    asked, settled, accepted, hard = set(), set(), set(), set()

    def life(group):
        for reward in group.rewards:
            stream.rollout(group.prompt_id, reward)
            yield
        if group.dropped:
            stream.drop(group.prompt_id)
        elif stream.plain_done(group.prompt_id, sum(group.rewards), len(group.rewards)):
            hard.add(group.prompt_id)

    def poll():
        fresh = stream.newly_in_reach(certain=certain)
        assert not asked & set(fresh)
        asked.update(fresh)
        settled.update(stream.newly_settled())
        accepted.update(stream.newly_accepted())

    lives, waiting = {g.prompt_id: life(g) for g in groups}, {g.prompt_id: g.teacher for g in groups}
    poll()
    while moves := [*lives, *(("teacher", i) for i in sorted(asked & hard & waiting.keys() - settled))]:
        move = rng.choice(moves)
        if isinstance(move, tuple):
            stream.teacher_done(move[1], waiting.pop(move[1]))
        elif next(lives[move], "over") == "over":
            del lives[move]
        poll()
    assert stream.finished and accepted == set(select_reformulations(complete(groups), **args))
    assert not certain or asked <= hard | {g.prompt_id for g in groups if g.dropped}
    assert {each.prompt_id for each in accepted if each.kind is not Kind.NCQ} <= asked


@given(st.lists(st.booleans(), max_size=5), st.integers(1, 5), THRESHOLDS)
def test_a_question_is_certain_to_be_hard_when_no_rollout_can_change_it(rewards, group_size, threshold):
    stream = StreamingSelection([0], group_size=group_size, threshold=threshold, cap=1, seed=0, step=0)
    for seen, reward in enumerate(rewards[:group_size], 1):
        ends = [
            sum(rewards[:seen] + list(rest)) / (seen + n)
            for n in range(group_size - seen + 1)
            for rest in itertools.product([False, True], repeat=n)
        ]
        assert stream.rollout(0, reward) == all(accuracy < threshold for accuracy in ends)


def test_a_question_is_in_before_the_other_groups_are_complete():
    stream = StreamingSelection(range(4), group_size=8, threshold=0.5, cap=2, seed=0, step=0)
    assert stream.plain_done(0, 1, 8)
    stream.teacher_done(0, 3)
    for other in (1, 2, 3):
        assert stream.newly_accepted() == []
        stream.rollout(other, True)
        stream.rollout(other, True)  # at least 2/8 now: behind question 0
    assert stream.newly_accepted() == [Reformulation(0, Kind.BCQ), Reformulation(0, Kind.NCQ)]
    assert stream.finished


def test_a_question_that_gave_its_ncq_keeps_its_place_when_the_teacher_fails():
    """Also where only admissible questions hold places: it is one."""
    limits = dict(threshold=0.5, cap=1, seed=0, step=0, pre_cap="admissible")
    stream = StreamingSelection(range(2), group_size=8, **limits)
    for question, accuracy in ((0, 0), (1, 1)):
        stream.plain_done(question, accuracy, 8)
    stream.teacher_done(0, 0)
    assert stream.newly_accepted() == [Reformulation(0, Kind.NCQ)] and stream.finished
    stream = StreamingSelection(range(2), group_size=8, **limits | {"cap": 2})
    for question, accuracy in ((0, 0), (1, 1)):
        stream.plain_done(question, accuracy, 8)
    assert stream.newly_accepted() == [Reformulation(0, Kind.NCQ)]  # first or second
    stream.teacher_done(0, 0)
    stream.teacher_done(1, 1)
    assert stream.newly_accepted() == [Reformulation(1, Kind.BCQ)] and stream.finished


def test_instances_behind_the_cap_are_out_before_the_other_groups_are_complete():
    stream = StreamingSelection(range(3), group_size=8, threshold=0.5, cap=1, seed=0, step=0)
    first, _, last = ({Reformulation(i, Kind.BCQ), Reformulation(i, Kind.NCQ)} for i in range(3))
    stream.plain_done(0, 0, 8)
    stream.plain_done(1, 1, 8)
    assert undecided(stream) == first | last
    for _ in range(4):
        stream.rollout(2, True)  # 4 of at most 8: not hard any more
    assert undecided(stream) == first and stream.newly_accepted() == []
    stream.teacher_done(1, 1)  # late and harmless
    stream.teacher_done(0, 0)
    assert stream.newly_accepted() == [Reformulation(0, Kind.NCQ)] and stream.finished


def hard_stream():
    stream = StreamingSelection(["a", "b"], group_size=2, threshold=0.5, cap=2, seed=0, step=0)
    stream.plain_done("a", 0, 2)
    return stream


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (lambda s: s.rollout("c", True), "'c' is not of this step"),
        (lambda s: s.rollout("a", True), "already complete"),
        (lambda s: [s.rollout("b", False) for _ in range(3)], "more than 2"),
        (lambda s: s.plain_done("a", 0, 2), "already complete"),
        (lambda s: s.plain_done("b", 3, 2), "3 of 2 correct"),
        (lambda s: s.plain_done("b", 0, 0), "0 of 0 correct"),
        (lambda s: s.plain_done("b", 0, 3), "0 of 3 correct"),
        (lambda s: (s.rollout("b", True), s.plain_done("b", 0, 2)), "contradicts"),
        (lambda s: (s.rollout("b", False), s.plain_done("b", 2, 2)), "contradicts"),
        (lambda s: s.teacher_done("b", 1), "not known to be hard"),
        (lambda s: (s.plain_done("b", 2, 2), s.teacher_done("b", 1)), "not known to be hard"),
        (lambda s: (s.drop("b"), s.teacher_done("b", 1)), "not known to be hard"),
        (lambda s: (s.teacher_done("a", 1), s.teacher_done("a", 1)), "second teacher"),
        (lambda s: s.teacher_done("a", -1), "-1 correct"),
        (lambda s: s.drop("a"), "already complete"),
    ],
)
def test_events_that_contradict_the_life_of_a_question_are_errors(event, message):
    with pytest.raises(SelectionError, match=message):
        event(hard_stream())


@pytest.mark.parametrize(
    ("ids", "changed", "message"),
    [
        (["a", "a"], {}, "'a' occurs twice"),
        (["a"], {"group_size": 0}, "group_size 0"),
        (["a"], {"threshold": 2}, "threshold"),
        (["a"], {"cap": -1}, "cap"),
        (["a"], {"kinds": ["plain"]}, "plain"),
    ],
)
def test_a_stream_of_bad_limits_is_an_error(ids, changed, message):
    with pytest.raises(SelectionError, match=message):
        StreamingSelection(ids, **dict(group_size=2) | LIMITS | changed)


def test_an_event_at_the_papers_scale_is_far_below_a_millisecond():
    rng = random.Random(0)
    skills = [rng.random() for _ in range(480)]
    groups = [Group(i, [rng.random() < skill for _ in range(8)], i % 3, False) for i, skill in enumerate(skills)]
    stream = StreamingSelection(range(480), group_size=8, threshold=0.5, cap=96, seed=0, step=0)
    events, start = [], time.process_time()
    play(stream, groups, 0.5, rng, lambda: events.append(None))
    per_event = (time.process_time() - start) / len(events)
    assert stream.finished and len(stream.newly_accepted()) == 96
    assert per_event < 0.5e-3
