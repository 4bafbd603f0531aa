"""The pipeline on simulated servers: the decisions of Algorithm 1 whatever the timing, and no wait without limit."""

import asyncio
import random

import pytest

from benchmarks.virtual_time import run_in_virtual_time
from recipe.zppo.errors import CheckpointError, RewardFunctionError, RolloutError, WaitTimeoutError
from recipe.zppo.methods.candidate_questions import FORMS, form_of
from recipe.zppo.selection import HardQuestion, Reformulation, reformulation_cap, select_reformulations
from recipe.zppo.types import Kind, RolloutFailure
from tests.rollout.simulated import SimulatedWorkers, make_questions, pipeline_of, settings

pytestmark = pytest.mark.virtual_time

NAMES = [f"q{i}" for i in range(12)]
ASK = ("hard", "in_reach", "ahead")


def outcomes(seed: int) -> tuple[dict[str, int], dict[str, int]]:
    rng = random.Random(seed)
    return {name: rng.choice([0, 0, 0, 1, 2, 4]) for name in NAMES}, {name: rng.randint(0, 2) for name in NAMES}


def expected(correct: dict[str, int], teacher: dict[str, int], step: int, **changes) -> list[Reformulation]:
    config = settings(**changes)
    return select_reformulations(
        [HardQuestion(name, correct[name] / 4, 4 - correct[name], teacher[name]) for name in NAMES],
        threshold=config.threshold,
        cap=reformulation_cap(config.reformulation.fraction, len(NAMES)),
        seed=config.seed,
        step=step,
        kinds=config.kinds,
    )


def selected(result) -> set[Reformulation]:
    return {Reformulation(group.question.prompt_id, group.kind) for group in result.reformulated}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kinds", [(Kind.BCQ, Kind.NCQ), (Kind.BCQ,), (Kind.NCQ,), ()])
async def test_same_step_takes_the_decisions_of_algorithm_1(seed, kinds):
    correct, teacher = outcomes(seed)
    want = expected(correct, teacher, 7, kinds=kinds) if kinds else []
    for ask in ASK:
        workers = SimulatedWorkers(correct, teacher, seed)
        pipeline = pipeline_of(workers, kinds=kinds, ask=ask)
        result = await pipeline.run_step(7, make_questions(NAMES), len(NAMES))
        assert selected(result) == set(want)
        assert [group.question.prompt_id for group in result.plain] == NAMES
        assert all(group.num_correct == correct[group.question.prompt_id] for group in result.plain)
        hard = {name for name in NAMES if correct[name] < 2}
        assert set(result.teacher) <= hard  # what was said of others is nowhere
        assert {each.prompt_id for each in want if each.kind is not Kind.NCQ} <= set(result.teacher)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [Kind.HINT, Kind.PREFIX])
async def test_hint_and_prefix_ask_the_teacher_on_the_hardest_questions_only(seed, kind):
    correct, teacher = outcomes(seed)
    workers = SimulatedWorkers(correct, teacher, seed)
    result = await pipeline_of(workers, kinds=(kind,)).run_step(7, make_questions(NAMES), len(NAMES))
    assert selected(result) == set(expected(correct, teacher, 7, kinds=(kind,)))
    # Whom an NCQ alone would show: every question of X_aug has a wrong rollout, and none needs the teacher.
    hardest = expected(correct, teacher, 7, kinds=(Kind.NCQ,))
    asked = [name for event, name in workers.log if event == "start teacher"]
    assert sorted(asked) == sorted(reformulation.prompt_id for reformulation in hardest)


def test_timing_changes_nothing_of_the_result():
    correct, teacher = outcomes(3)

    def run(latency_seed, ask="hard"):
        workers = SimulatedWorkers(correct, teacher, latency_seed)
        result = run_in_virtual_time(pipeline_of(workers, ask=ask).run_step(1, make_questions(NAMES), len(NAMES)))
        return [(g.uid, g.candidates, [r.text for r in g.rollouts], workers.prompts[g.uid]) for g in result.groups]

    assert run(1) == run(2) == run(3)
    assert all(run(1) == run(latency_seed, ask) for ask in ASK for latency_seed in (1, 4))


async def first_events(ask: str, correct: dict[str, int], fraction: float = 0.5):
    """What happens before any plain group has its last rollout; then the step, to its end."""
    workers = SimulatedWorkers(correct, dict.fromkeys(NAMES, 1))
    workers.last_rollout = asyncio.Event()
    pipeline = pipeline_of(workers, ask=ask, fraction=fraction)
    step = asyncio.create_task(pipeline.run_step(1, make_questions(NAMES), len(NAMES)))
    await asyncio.sleep(0.1)
    early = [name for event, name in workers.log if event == "start teacher"]
    workers.last_rollout.set()
    result = await step
    return early, [name for event, name in workers.log if event == "start teacher"], result


async def test_the_teacher_is_asked_before_the_last_rollouts_of_a_group():
    """Of 4 rollouts 3 wrong ones make a question hard. With 1 right the third wrong one is the last."""
    correct = dict(zip(NAMES, [0] * 5 + [1] * 4 + [4] * 3, strict=True))
    early, asked, result = await first_events("hard", correct)
    assert sorted(early) == NAMES[:5] and sorted(asked) == sorted(NAMES[:9])
    assert sorted(result.teacher) == sorted(NAMES[:9]) and result.counts["teacher/unused"] == 0


async def test_a_teacher_in_reach_of_the_caps_is_asked_less():
    correct = dict(zip(NAMES, [0] * 5 + [1] * 4 + [4] * 3, strict=True))
    _, asked, result = await first_events("in_reach", correct, fraction=0.2)
    assert set(asked) < set(NAMES[:5]) and len(asked) >= 2  # a cap of 2: the first two of the walk, if all goes wrong
    want = expected(correct, dict.fromkeys(NAMES, 1), 1, fraction=0.2)
    assert selected(result) == set(want)
    assert len(result.teacher) + result.counts["teacher/unused"] == len(asked)


async def test_a_teacher_asked_ahead_begins_with_the_step_and_is_stopped_where_it_was_in_vain():
    correct = dict(zip(NAMES, [0] * 5 + [1] * 4 + [4] * 3, strict=True))
    early, asked, result = await first_events("ahead", correct, fraction=2.0)
    assert sorted(early) == sorted(NAMES)
    assert sorted(asked) == sorted(NAMES)  # nobody twice
    assert set(result.teacher) == set(NAMES[:9]) and result.counts["teacher/unused"] == 3
    assert result.counts["teacher/0/asked"] == result.counts["teacher/0/solved"] == 9
    _, asked, result = await first_events("ahead", correct, fraction=1.0)  # the cap leaves some of the 9 out
    assert len(result.teacher) + result.counts["teacher/unused"] == len(asked)


async def test_teacher_work_starts_before_the_last_plain_group_is_complete():
    correct = dict.fromkeys(NAMES, 4) | {"q0": 0, "q11": 4}
    workers = SimulatedWorkers(correct, dict.fromkeys(NAMES, 2))
    slow = asyncio.Event()
    plain_roll_out = workers.roll_out

    async def roll_out(question, messages, *, uid, kind, seeds, openings=()):
        if question.prompt_id == "q11" and kind is Kind.PLAIN:
            await slow.wait()
        async for rollout in plain_roll_out(question, messages, uid=uid, kind=kind, seeds=seeds):
            yield rollout

    workers.roll_out = roll_out

    async def run():
        step = asyncio.create_task(pipeline_of(workers).run_step(1, make_questions(NAMES), 12))
        while ("end bcq", "q0") not in workers.log:
            assert not step.done()
            await asyncio.sleep(0.001)
        slow.set()  # only now may the last plain group finish: BCQ of q0 had not waited for it
        return await step

    result = await asyncio.wait_for(run(), 10)
    assert selected(result) == {Reformulation("q0", Kind.BCQ), Reformulation("q0", Kind.NCQ)}


async def test_next_step_rolls_out_the_prompts_of_the_step_before():
    correct, teacher = outcomes(5)
    workers = SimulatedWorkers(correct, teacher)

    pipeline = pipeline_of(workers, next_step=True)
    first, second, third = [await pipeline.run_step(n, make_questions(NAMES), len(NAMES)) for n in (1, 2, 3)]
    assert first.reformulated == []
    assert selected(second) == set(expected(correct, teacher, 1))
    assert selected(third) == set(expected(correct, teacher, 2))
    assert {group.step for group in second.reformulated} == {1}


async def test_next_step_teacher_that_is_slow_joins_the_running_batch():
    correct, teacher = outcomes(5)
    workers = SimulatedWorkers(correct, teacher)
    workers.teacher_gate = asyncio.Event()
    pipeline = pipeline_of(workers, next_step=True)
    await pipeline.run_step(1, make_questions(NAMES), len(NAMES))
    second = asyncio.create_task(pipeline.run_step(2, make_questions(NAMES), len(NAMES)))
    await asyncio.sleep(0.05)
    workers.teacher_gate.set()
    assert selected(await second) == set(expected(correct, teacher, 1))


def half_of_them(draft):
    """Which responses the teacher can't summarise: right and wrong ones, whatever their order."""
    return sum(map(ord, draft.text)) % 2 == 0


@pytest.mark.parametrize("seed", range(4))
async def test_candidates_of_two_forms_are_not_shown_together(seed):
    """The walk is the same whatever becomes of them: what is dropped leaves its place empty."""
    correct, teacher = outcomes(seed)
    shown = {}
    for policy in ("show", "drop", "fall_back"):
        workers = SimulatedWorkers(correct, teacher, seed)
        workers.unsummarised = half_of_them
        result = await pipeline_of(workers, mixed_forms=policy).run_step(7, make_questions(NAMES), len(NAMES))
        shown[policy] = {(g.question.prompt_id, g.kind): g for g in result.reformulated}, result.counts
    want = {(each.prompt_id, each.kind) for each in expected(correct, teacher, 7)}
    groups, counts = shown["show"]
    mixed = {key for key, g in groups.items() if key[1] is Kind.BCQ and len({c.is_summary for c in g.candidates}) == 2}
    assert set(groups) == want and counts["mixed/bcq_show"] == len(mixed)
    dropped, counts = shown["drop"]
    assert set(dropped) == want - mixed and counts["mixed/bcq_drop"] == len(mixed)
    fallen, counts = shown["fall_back"]
    assert set(fallen) == want and counts["mixed/bcq_fall_back"] == counts["compression/tail:other_form"] == len(mixed)
    for key in want:
        before, after = groups[key].candidates, fallen[key].candidates
        if key not in mixed:
            assert dropped[key].candidates == after == before  # an NCQ has no right candidate to be told by its form
            continue
        assert [(c.text.strip("<>"), c.correct) for c in before] == [(c.text, c.correct) for c in after]
        assert sorted(c.compression for c in after) == ["tail:no_summary", "tail:other_form"]


def test_some_of_these_are_mixed():
    forms = []
    for seed in range(4):
        workers = SimulatedWorkers(*outcomes(seed), seed)
        workers.unsummarised = half_of_them
        pipeline = pipeline_of(workers, mixed_forms="show")
        result = run_in_virtual_time(pipeline.run_step(7, make_questions(NAMES), len(NAMES)))
        forms += [form_of(g.candidates) for g in result.reformulated if g.kind is Kind.BCQ]
    assert set(forms) == set(FORMS)


async def test_summaries_that_were_not_good_enough_are_counted_once_a_response():
    workers = SimulatedWorkers(dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 2))
    workers.unsummarised = lambda draft: draft.text.startswith(("T q1 ", "q1 0"))
    pipeline = pipeline_of(workers, fraction=2.0, mixed_forms="show")
    result = await pipeline.run_step(7, make_questions(NAMES), len(NAMES))
    failed = {c.text for g in result.reformulated for c in g.candidates if not c.is_summary}
    assert result.counts["summaries/asked_again"] == 2 * len(failed) > 0
    assert result.counts["summaries/rejected_too_long"] == result.counts["summaries/rejected_no_summary"] == len(failed)


@pytest.mark.parametrize("answered", [0, 1])
async def test_pending_reformulations_survive_a_restart(answered):
    correct, teacher = outcomes(9)

    async def before(workers):
        if not answered:
            workers.teacher_gate = asyncio.Event()
        pipeline = pipeline_of(workers, next_step=True)
        await pipeline.run_step(1, make_questions(NAMES), len(NAMES))
        await asyncio.sleep(0.05)
        state = pipeline.state_dict()
        if workers.teacher_gate:
            workers.teacher_gate.set()
        return state, await pipeline.run_step(2, make_questions(NAMES), len(NAMES))

    async def after(workers, state):
        pipeline = pipeline_of(workers, next_step=True)
        await pipeline.load_state_dict(state, {q.prompt_id: q for q in make_questions(NAMES)})
        return await pipeline.run_step(2, make_questions(NAMES), len(NAMES))

    def counted(result):
        return {
            name: n for name, n in result.counts.items() if name.startswith(("compression/", "mixed/", "summaries/"))
        }

    workers, fresh = SimulatedWorkers(correct, teacher), SimulatedWorkers(correct, teacher)
    workers.unsummarised = fresh.unsummarised = half_of_them
    state, went_on = await before(workers)
    resumed = await after(fresh, state)
    assert [(g.uid, g.candidates) for g in resumed.groups] == [(g.uid, g.candidates) for g in went_on.groups]
    assert counted(resumed) == counted(went_on) and counted(resumed)["mixed/bcq_drop"]
    asked = {name for event, name in fresh.log if event == "start teacher"}
    hard = {name for name in NAMES if correct[name] < 2}
    assert hard <= asked  # step 2 asks for its own hard questions
    asked_for_step_1 = len([name for event, name in fresh.log if event == "start teacher"]) - len(hard)
    assert asked_for_step_1 == (0 if answered else len(hard))


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("answered", [False, True])
async def test_a_restart_changes_no_group_whenever_the_teacher_is_asked(ask, answered):
    correct, teacher = outcomes(9)

    def fresh():
        return pipeline_of(SimulatedWorkers(correct, teacher), next_step=True, ask=ask)

    def shown(result):
        return [(g.uid, g.candidates, [r.text for r in g.rollouts]) for g in result.groups]

    before, after = fresh(), fresh()
    before.workers.teacher_gate = asyncio.Event()
    await before.run_step(1, make_questions(NAMES), len(NAMES))
    if answered:
        before.workers.teacher_gate.set()
        await asyncio.sleep(0.05)
    await after.load_state_dict(before.state_dict(), {q.prompt_id: q for q in make_questions(NAMES)})
    before.workers.teacher_gate.set()
    went_on, resumed = [await one.run_step(2, make_questions(NAMES), len(NAMES)) for one in (before, after)]
    assert shown(went_on) == shown(resumed) and selected(resumed) == set(expected(correct, teacher, 1))


@pytest.mark.parametrize(
    "change", [{"next_step": False}, {"group_size": 2}, {"threshold": 0.25}, {"kinds": (Kind.NCQ,)}]
)
async def test_pending_work_of_other_settings_is_refused(change):
    correct, teacher = outcomes(9)
    workers = SimulatedWorkers(correct, teacher)
    pipeline = pipeline_of(workers, next_step=True)
    await pipeline.run_step(1, make_questions(NAMES), len(NAMES))
    fresh = pipeline_of(workers, **({"next_step": True} | change))
    with pytest.raises(CheckpointError, match="differs from the run that wrote the checkpoint"):
        await fresh.load_state_dict(pipeline.state_dict(), {q.prompt_id: q for q in make_questions(NAMES)})


async def test_teacher_that_hangs_degrades_the_step_to_ncq():
    correct, teacher = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 2)
    workers = SimulatedWorkers(correct, teacher)
    workers.hang_teacher = set(NAMES)
    pipeline = pipeline_of(workers, teacher_s=0.05)
    result = await pipeline.run_step(1, make_questions(NAMES), len(NAMES))
    assert {group.kind for group in result.reformulated} == {Kind.NCQ}
    assert len(result.reformulated) == 6
    assert result.counts["teacher/late"] > 0


async def test_rollout_servers_that_hang_end_the_run_with_what_was_waited_for():
    workers = SimulatedWorkers(dict.fromkeys(NAMES, 4), dict.fromkeys(NAMES, 0))
    workers.hang_student = set(NAMES)
    pipeline = pipeline_of(workers, rollout_s=0.05)
    with pytest.raises(RolloutError, match=r"zppo.timeouts.rollout_s=0.05"):
        await pipeline.run_step(1, make_questions(NAMES), len(NAMES))


async def test_step_timeout_names_the_key():
    workers = SimulatedWorkers(dict.fromkeys(NAMES, 4), dict.fromkeys(NAMES, 0))
    workers.hang_student = {"q3"}
    pipeline = pipeline_of(workers, step_s=0.1)
    with pytest.raises(WaitTimeoutError, match=r"zppo.timeouts.step_s=0.1 s; 11 of 12 plain groups"):
        await pipeline.run_step(1, make_questions(NAMES), len(NAMES))


async def test_failed_rollouts_shrink_a_group_and_failed_groups_leave_the_ranking():
    correct, teacher = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 2)
    workers = SimulatedWorkers(correct, teacher)
    workers.fail = {
        "q0/plain": [RolloutFailure(0, "generation", "lost")],
        "q1/plain": [RolloutFailure(i, "generation", "lost") for i in range(4)],
        "q2/bcq": [RolloutFailure(i, "too_long", "too long") for i in range(4)],
    }
    result = await pipeline_of(workers, fraction=4.0).run_step(1, make_questions(NAMES), len(NAMES))
    sizes = {group.question.prompt_id: len(group.rollouts) for group in result.plain}
    assert sizes["q0"] == 3 and "q1" not in sizes and sizes["q2"] == 4
    assert not any(group.question.prompt_id == "q1" for group in result.reformulated)
    assert {g.kind for g in result.reformulated if g.question.prompt_id == "q2"} == {Kind.NCQ}
    assert result.counts["questions/failed"] == 1
    assert result.counts["bcq/does_not_fit"] == 1
    assert result.counts["rollouts/failed"] == 9


async def test_a_teacher_asked_about_a_group_that_fails_is_not_heard():
    """At a threshold of 1 one wrong rollout makes a question hard; a group of one is dropped all the same."""
    workers = SimulatedWorkers(dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 2))
    workers.fail = {"q1/plain": [RolloutFailure(i, "generation", "lost") for i in range(3)]}
    for ask in ASK:
        pipeline = pipeline_of(workers, fraction=4.0, threshold=1.0, ask=ask)
        result = await pipeline.run_step(1, make_questions(NAMES), len(NAMES))
        assert "q1" not in result.teacher and result.counts["teacher/unused"] == 1
        assert len(result.reformulated) == 22


async def test_reward_function_error_stops_the_step_at_once():
    workers = SimulatedWorkers(dict.fromkeys(NAMES, 4), dict.fromkeys(NAMES, 0))

    async def roll_out(question, messages, *, uid, kind, seeds, openings=()):
        if question.prompt_id == "q5":
            raise RewardFunctionError("row 5")
        await asyncio.Event().wait()
        yield

    workers.roll_out = roll_out
    with pytest.raises(RewardFunctionError, match="row 5"):
        await pipeline_of(workers).run_step(1, make_questions(NAMES), len(NAMES))


async def test_replayed_questions_count_for_the_ranking_but_not_for_the_cap():
    correct, teacher = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 2)
    workers = SimulatedWorkers(correct, teacher)
    new, replayed = make_questions(NAMES[:4]), make_questions(NAMES[4:], replayed=True)
    result = await pipeline_of(workers).run_step(1, [*new, *replayed], len(new))
    assert len(result.reformulated) == 2  # floor(0.5 * 4 new)
