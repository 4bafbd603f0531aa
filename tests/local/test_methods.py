"""What each method of App. D.2 is: what its prompts show, which tokens have a loss, how many updates, what B holds."""

import functools

import pytest
import torch
from transformers import AutoModelForCausalLM

from recipe.cpu.hf_session import Session
from recipe.zppo import prompts
from recipe.zppo.errors import PromptTooLongError, RolloutError
from recipe.zppo.hints import leaks
from recipe.zppo.local.workers import LocalWorkers
from recipe.zppo.rollout.prefix import OpeningTokens
from recipe.zppo.types import Kind
from tests.docs import metric_page
from tests.local.conftest import trained

REPLAYS = {"grpo": False, "grpo_both": False, "off_distill": False, "on_distill": False}
KINDS = {
    "zppo": {Kind.BCQ, Kind.NCQ},
    "grpo_both": {Kind.BCQ, Kind.NCQ},
    "grpo_replay_bcq": {Kind.BCQ},
    "grpo_replay_ncq": {Kind.NCQ},
    "hint": {Kind.HINT},
    "prefix": {Kind.PREFIX},
    "off_distill": {Kind.TEACHER},
    "off_distill_replay": {Kind.TEACHER},
}
METHODS = ["grpo_replay", "on_distill_replay", *KINDS, "grpo", "on_distill"]
STEPS = (1, 2)


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory, device):
    """Each method's run of two steps, made when it is first asked for."""
    on = f"trainer.device={device}"
    return functools.cache(
        lambda method: trained(world, tmp_path_factory.mktemp(method) / "run", f"method={method}", on)
    )


@pytest.mark.parametrize("method", METHODS)
def test_kinds_updates_and_buffer(runs, method):
    trainer = runs(method)
    kinds = {group.kind for step in STEPS for group in trainer.results[step].groups}
    assert kinds == {Kind.PLAIN} | KINDS.get(method, set())
    assert trainer.updates == {step: 1 if "distill" in method else 4 for step in STEPS}
    if not REPLAYS.get(method, True):
        assert len(trainer.buffer) == 0
        assert not any(group.question.replayed for group in trainer.results[2].plain)
        return
    # B holds what was hard when last seen in a *plain* group, and nothing else.
    last = {g.question.prompt_id: g.accuracy for step in STEPS for g in trainer.results[step].plain}
    hard = [name for name, accuracy in last.items() if accuracy < 0.5]
    assert {entry.prompt_id for entry in trainer.buffer} <= set(hard)
    assert len(trainer.buffer) == min(12, len(hard))
    assert sum(group.question.replayed for group in trainer.results[2].plain) == 4


@pytest.mark.parametrize("method", METHODS)
def test_what_trains_and_which_tokens_have_a_loss(runs, method):
    trainer = runs(method)
    for step in STEPS:
        trained = {group.kind for group in trainer.trained[step]}
        if method.startswith("off_distill"):
            assert trained == {Kind.TEACHER}  # the student's rollouts are for the books
        else:
            assert len(trainer.trained[step]) == len(trainer.results[step].groups)
        for group in trainer.trained[step]:
            for rollout in group.rollouts:
                row = trainer.batches[step][rollout.key]
                if group.kind is Kind.TEACHER:
                    assert (row.loss_from, row.log_probs) == (0, [])
                    assert rollout.correct and row.response_ids[-1] == trainer.student.tokenizer.eos_token_id
                else:  # every token that the student sampled has a loss, no other
                    assert row.loss_from == rollout.num_given
                    assert len(row.log_probs) == len(row.response_ids) - row.loss_from > 0
                    assert (row.loss_from > 0) == (group.kind is Kind.PREFIX)
                assert len(row.response_ids) <= 32


@pytest.mark.parametrize("method", METHODS)
def test_what_the_prompt_shows(runs, method):
    trainer = runs(method)
    tokenizer = trainer.student.tokenizer
    for step in STEPS:
        for group in trainer.results[step].groups:
            if not (shown := [trainer.batches[step].get(rollout.key) for rollout in group.rollouts]) or not shown[0]:
                continue  # off-policy distillation trains on no plain group
            text = tokenizer.decode(shown[0].prompt_ids)
            question = group.question.messages[-1]["content"]
            assert question in text and text.count(prompts.CLOSER.text) == 1
            assert text.count("<candidate>\n") == len(group.candidates)
            assert ("<hint>" in text) == (group.kind is Kind.HINT)
            if group.kind is Kind.BCQ:
                assert sorted(c.source for c in group.candidates) == ["student", "teacher"]
                assert [c.correct for c in sorted(group.candidates, key=lambda c: c.source)] == [False, True]
            if group.kind is Kind.NCQ:
                assert all(not c.correct and c.source == "student" for c in group.candidates)
            if group.kind is Kind.HINT:
                assert group.hint in text and not leaks(group.hint, group.question.data["reward_model"]["ground_truth"])
            if group.kind in (Kind.PLAIN, Kind.PREFIX, Kind.TEACHER):
                plain = prompts.with_closer(group.question.messages)
                template = tokenizer.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
                assert shown[0].prompt_ids == list(template)


def written(trainer) -> set[str]:
    return {key for row in trainer.metrics().values() for key in row if key != "step"}


def test_the_log_and_the_metrics_page_agree(runs):
    keys = {method: written(runs(method)) for method in METHODS}
    assert {method: unlisted for method, of in keys.items() if (unlisted := metric_page.unlisted(of))} == {}
    both = metric_page.always({"both"})
    assert len(both) > 8 and metric_page.missing(both, keys["zppo"]) == []
    with_verls_names = {key for key in keys["zppo"] if not key.startswith("zppo/")}
    assert with_verls_names == {*both, "timing_s/processor"}  # what the page calls verl's alone is not written
    distilled = {key for key in keys["on_distill"] if key.startswith("actor/")}
    assert distilled == {"actor/distillation/loss", "actor/loss", "actor/grad_norm", "actor/lr"}


@pytest.mark.parametrize("method", ["zppo", "prefix"])
def test_entropy_is_that_of_the_policy_that_wrote_the_responses(runs, world, method):
    """Over all tokens that train, as in verl; the first step's policy is the student that the run began with."""
    trainer, student = runs(method), AutoModelForCausalLM.from_pretrained(world.student)
    entropies = []
    for row in trainer.batches[1].values():
        with torch.inference_mode():
            logits = student(torch.tensor([row.prompt_ids + row.response_ids])).logits[0].float()
        start, end = len(row.prompt_ids) + row.loss_from - 1, len(row.prompt_ids) + len(row.response_ids) - 1
        entropies += torch.distributions.Categorical(logits=logits[start:end]).entropy().tolist()
    assert trainer.metrics()[1]["actor/entropy"] == pytest.approx(sum(entropies) / len(entropies), rel=1e-4)


def test_a_prefix_is_the_first_two_fifths_of_one_correct_teacher_rollout(runs):
    trainer = runs("prefix")
    seen = 0
    for step in STEPS:
        for group in trainer.results[step].reformulated:
            rows = [trainer.batches[step][rollout.key] for rollout in group.rollouts]
            openings = {tuple(row.response_ids[: row.loss_from]) for row in rows}
            assert len(rows) == 4 and len(openings) == 1  # G_S continuations of one opening
            texts = [r.text for r in trainer.results[step].teacher[group.question.prompt_id].rollouts if r.correct]
            encoded = [trainer.student.tokenizer.encode(text, add_special_tokens=False) for text in texts]
            assert openings.pop() in {tuple(ids[: int(0.4 * len(ids))]) for ids in encoded}
            seen += 1
    assert seen


def test_off_policy_distillation_asks_about_every_question(runs):
    trainer = runs("off_distill_replay")
    for step in STEPS:
        result = trainer.results[step]
        assert result.teacher.keys() == {group.question.prompt_id for group in result.plain}
        correct = sum(len(answers.correct) for answers in result.teacher.values())
        assert correct == sum(len(group.rollouts) for group in result.reformulated) > 0


def test_off_policy_distillation_grades_every_response_once(train, monkeypatch):
    ruled, texts = LocalWorkers._ruled, []

    def counted(self, data, text, *more):
        texts.append(text)
        return ruled(self, data, text, *more)

    monkeypatch.setattr(LocalWorkers, "_ruled", counted)
    result = train("method=off_distill", "trainer.total_training_steps=1").results[1]
    written = [r.text for group in result.plain for r in group.rollouts]
    written += [r.text for answers in result.teacher.values() for r in answers.rollouts]
    assert sorted(texts) == sorted(written)
    for group in result.reformulated:
        correct = result.teacher[group.question.prompt_id].correct
        assert [(r.reward, r.answer) for r in group.rollouts] == [(1.0, answer.answer) for answer in correct]
    assert result.reformulated


def test_distillation_moves_the_student_towards_the_teacher(train):
    for method in ("off_distill", "on_distill"):
        steps, lr = "trainer.total_training_steps=8", "actor_rollout_ref.actor.optim.lr=1e-3"
        losses = [
            row["actor/distillation/loss"]
            for row in train(f"method={method}", steps, lr, folder=method).metrics().values()
        ]
        assert sum(losses[-2:]) < 0.6 * sum(losses[:2]), (method, losses)


def test_two_methods_see_the_same_new_questions_in_the_same_order(runs):
    seen = {}
    for method in METHODS:
        results = runs(method).results
        seen[method] = [[g.question.prompt_id for g in results[s].plain if not g.question.replayed] for s in STEPS]
    assert all(seen[method] == seen["grpo"] for method in METHODS)


def test_reformulations_change_nothing_in_the_first_plain_groups(runs):
    """Before the first update the policies are one and the same, and so are their rollouts, token for token."""
    texts = {}
    for method in METHODS:
        texts[method] = [[r.text for r in group.rollouts] for group in runs(method).results[1].plain]
    assert all(texts[method] == texts["grpo"] for method in METHODS)


@pytest.mark.parametrize("count", [1, 8])
def test_updates_per_step(train, count):
    assert train(f"zppo.updates_per_step={count}", "trainer.total_training_steps=1").updates == {1: count}


def test_dynamic_sampling_leaves_trivial_groups_out_of_the_update_only(train):
    trainer = train("zppo.dynamic_sampling=true")
    for step in STEPS:
        groups = trainer.results[step].groups
        mixed = [group for group in groups if 0 < group.num_correct < len(group.rollouts)]
        assert trainer.trained[step] == mixed and len(mixed) < len(groups)
        assert trainer.metrics()[step]["zppo/batch/dropped_trivial"] == len(groups) - len(mixed)
    assert len(trainer.buffer) == 12


def test_a_second_teacher_is_asked_where_the_first_was_wrong(train, world):
    # The student as first teacher fails on hard questions, whatever comes after.
    trainer = train(f"zppo.teacher.path={world.student}", f"zppo.teacher.more=[{world.teacher}]")
    for step in STEPS:
        row, answers = trainer.metrics()[step], trainer.results[step].teacher.values()
        unsolved = row["zppo/teacher/0/asked"] - row["zppo/teacher/0/solved"]
        assert row["zppo/teacher/1/asked"] == unsolved > 0
        assert row["zppo/teacher/1/solved"] == sum(a.teacher == 1 and bool(a.correct) for a in answers) > 0


def test_a_teacher_answer_that_is_too_long_is_lost_alone(train, monkeypatch):
    """Off-policy distillation: the other correct answers of the question still train."""
    call, seen = OpeningTokens.__call__, []

    def every_third_is_too_long(self, opening):
        seen.append(opening)
        if len(seen) % 3 == 0:
            raise PromptTooLongError("too long")
        return call(self, opening)

    monkeypatch.setattr(OpeningTokens, "__call__", every_third_is_too_long)
    trainer = train("method=off_distill", "trainer.total_training_steps=1")
    trained = sum(len(group.rollouts) for group in trainer.trained[1])
    assert trained == len(seen) - len(seen) // 3
    assert trainer.metrics()[1]["zppo/rollouts/failed_too_long"] == len(seen) // 3


def test_a_model_that_fails_is_counted_and_ends_in_one_clear_error(train, monkeypatch):
    def fail(self, *args):
        raise ValueError("the model is broken")

    monkeypatch.setattr(Session, "step", fail)
    with pytest.raises(RolloutError, match="the model is broken"):
        train("method=grpo", "trainer.total_training_steps=1")
