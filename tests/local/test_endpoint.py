"""The local back end with a teacher behind HTTP that also judges, and with a judge of its own."""

import gc
import itertools
import os
import signal

import pytest
from aiohttp import web

from recipe.zppo.config.compose import compose
from recipe.zppo.errors import RolloutError
from recipe.zppo.local.run import launch
from recipe.zppo.reward import extract_answer, is_correct
from recipe.zppo.view.outcome import judge
from tests.local.conftest import overrides
from tests.teacher.fake_endpoint import FakeEndpoint
from tests.teacher.world_teacher import WorldTeacher, check_routing, with_free_form_rows

UNJUDGED = "zppo/validation/unjudged"


@pytest.fixture
def files(world, tmp_path):
    return [
        with_free_form_rows(source, tmp_path / source.name) for source in (world.train_file, world.val_file)
    ]  # half of the rows free-form


def changes(files, *more):
    return (f"data.train_files={files[0]}", f"data.val_files={files[1]}", "zppo.judge.enable=true", *more)


def free_form_ids(trainer):
    return {row["prompt_id"] for row in trainer.train_data if row["extra_info"]["answer_type"] == "free_form"}


def lines_of(trainer, step):
    return [trainer.rollout_log._line(trainer.results[step], group) for group in trainer.results[step].groups]


def test_teacher_and_judge_behind_http(train, files):
    teacher = WorldTeacher(*files)
    with FakeEndpoint(teacher) as server:
        trainer = train(
            *changes(files, f"zppo.teacher.base_url={server.url}", "zppo.teacher.path=teacher"),
            "trainer.val_before_train=true",
        )
    free_form, metrics = free_form_ids(trainer), trainer.metrics()
    totals = {"correct": 0, "wrong": 0, "malformed": 0}
    bcq = 0
    for step in (1, 2):
        counts = check_routing(lines_of(trainer, step), free_form, teacher)
        for name, count in counts.items():
            totals[name] += count
            assert metrics[step][f"zppo/judge/{name}"] == count
        assert metrics[step]["zppo/judge/verdicts"] == sum(counts.values())
        assert (metrics[step]["zppo/judge/free_form"], metrics[step]["zppo/judge/unresolved"]) == (
            sum(counts.values()),
            0,
        )
        assert metrics[step]["zppo/tokens/judge"] >= sum(counts.values())
        assert metrics[step]["zppo/judge/failed"] == metrics[step]["zppo/rollouts/failed_judge"] == 0
        for group in trainer.results[step].groups:
            if group.kind.value == "bcq":
                bcq += 1
                (right,) = (candidate for candidate in group.candidates if candidate.source == "teacher")
                assert right.text.startswith("\\boxed{") and right.compression == "teacher"
    assert bcq and all(totals.values()), totals
    summary = judge([row for _, row in sorted(metrics.items())])
    assert (summary.verdicts, summary.malformed) == (sum(totals.values()), totals["malformed"])
    # Validation: what the reward function calls right never came to the judge.
    assert "val-core/price_list/acc/mean@1" in metrics[0]
    first = len(trainer.val_data) // 2
    asked = [answer == reference for _, reference, answer, _ in teacher.judged[:first]]
    assert asked and not any(asked[: min(4, len(asked))])


def test_ctrl_c_while_the_teacher_is_asked_is_one_line(world, tmp_path, capfd, caplog, ctrl_c):
    answered = itertools.count(1)

    def answer(body):
        if next(answered) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return "\\boxed{4}"

    with FakeEndpoint(answer) as server:
        server.delay_s = 0.1
        teacher = (f"zppo.teacher.base_url={server.url}", "zppo.teacher.path=teacher")
        assert launch(compose(overrides(world, tmp_path / "run", *teacher))) == 130
    gc.collect()
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith(("zppo:", "Traceback"))]
    assert said == ["zppo: interrupted; the same command goes on from the last checkpoint"]
    assert "Unclosed" not in caplog.text and not (tmp_path / "run" / "rollouts").exists()


def test_a_judge_gets_what_the_reward_function_leaves_open(train, world):
    teacher, all_rows = WorldTeacher(world.train_file, world.val_file), "zppo.judge.validation_route=unresolved"
    with FakeEndpoint(teacher) as server:
        trainer = train(
            *("method=grpo", f"zppo.teacher.base_url={server.url}", "zppo.teacher.path=teacher"),
            *("zppo.judge.enable=true", "zppo.judge.route=unresolved", all_rows, "zppo.judge.response=whole"),
            *("trainer.val_before_train=true", "trainer.total_training_steps=1"),
        )
    metrics, kinds = trainer.metrics(), set()
    for group in trainer.results[1].groups:
        gold = group.question.data["reward_model"]["ground_truth"]
        for rollout in group.rollouts:
            right = bool(rollout.answer) and is_correct(rollout.answer, gold)
            assert (rollout.verdict == "") == right
            assert rollout.reward == (right or rollout.verdict == "correct")
            kinds.add(rollout.verdict)
    assert {"", "wrong"} <= kinds
    assert metrics[1]["zppo/judge/unresolved"] == metrics[1]["zppo/judge/verdicts"] > 0
    assert metrics[1]["zppo/judge/free_form"] == 0
    # Each wrong response once, in validation and in training, and as it was written.
    shown = [response for _, _, response, _ in teacher.judged]
    assert len(shown) > metrics[1]["zppo/judge/verdicts"]
    assert any("\\boxed{" in response for response in shown)
    open_ones = [(extract_answer(response), gold) for _, gold, response, _ in teacher.judged]
    assert not any(answer and is_correct(answer, gold) for answer, gold in open_ones)


def test_a_judge_on_the_teacher_of_this_process_for_a_method_without_teacher(train, files):
    """It was never taught to judge, so that every reply is malformed and every free-form answer wrong."""
    limit = "zppo.teacher.inference.max_model_len=4096"
    trainer = train(*changes(files, "method=grpo", limit, "trainer.total_training_steps=1", "zppo.judge.max_tokens=8"))
    free_form, metrics = free_form_ids(trainer), trainer.metrics()[1]
    groups = trainer.results[1].groups
    judged = [rollout for group in groups if group.question.prompt_id in free_form for rollout in group.rollouts]
    assert judged and {rollout.verdict for rollout in judged} == {"malformed"}
    assert metrics["zppo/judge/malformed"] == metrics["zppo/judge/verdicts"] == len(judged)
    assert not any(rollout.reward for rollout in judged)


def test_a_dead_judge_stops_the_run_when_it_costs_half_of_the_questions(train, files):
    with FakeEndpoint(lambda body: web.Response(status=500)) as server, pytest.raises(RolloutError) as caught:
        train(
            *changes(files, "method=grpo", f"zppo.teacher.base_url={server.url}", "zppo.teacher.path=teacher"),
            "data.train_max_samples=8",
            "data.shuffle=false",
            f"data.train_files={with_free_form_rows(files[0], files[0].with_name('all.parquet'), every=1)}",
        )
    assert "gave no rollouts" in str(caught.value) and "no verdict on row" in str(caught.value)


def test_a_judge_that_fails_at_times_costs_the_rollouts_and_not_the_run(train, files):
    teacher, calls = WorldTeacher(*files), []

    def answer(body):
        if "<reference>" in body["messages"][-1]["content"]:
            calls.append(1)
            if len(calls) % 5 == 0:
                return web.Response(status=400)
        return teacher(body)

    with FakeEndpoint(answer) as server:
        trainer = train(
            *changes(files, "method=grpo", f"zppo.teacher.base_url={server.url}", "zppo.teacher.path=teacher"),
            "trainer.val_before_train=true",
        )
    metrics = trainer.metrics()
    failed, in_validation = sum(metrics[step]["zppo/judge/failed"] for step in (1, 2)), metrics[0][UNJUDGED]
    assert failed > 0 and in_validation > 0
    assert failed + in_validation == len(calls) // 5
    assert failed == sum(metrics[step]["zppo/rollouts/failed"] for step in (1, 2))
    for step in (1, 2):
        for group in trainer.results[step].groups:  # left out, not taken for wrong
            assert len(group.rollouts) + len(group.failures) == 4
            assert all(failure.reason == "judge" for failure in group.failures)
