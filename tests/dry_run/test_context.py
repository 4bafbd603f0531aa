"""Longest prompts: counted on real prompts, with the tokenizer of the student."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.dry_run.context import Contexts, contexts_of
from recipe.zppo.judge import JUDGE
from recipe.zppo.prompts import bcq_messages, ncq_messages
from recipe.zppo.world.tokenizer import build_tokenizer

EACH, QUESTION, RESPONSE = 5, 20, 30


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    build_tokenizer().save_pretrained(folder)
    return folder


def contexts(student: Path | str, context: int | None = 1000, **zppo) -> Contexts:
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"model": {"path": str(student)}, "rollout": {"max_model_len": context, "n": 4}},
            "data": {"max_prompt_length": QUESTION, "max_response_length": RESPONSE},
        }
    )
    node = {"teacher": {"path": "t", "nnodes": 1, "response_length": 40}}
    node["reformulation"] = {"max_candidate_tokens": EACH} | zppo.pop("reformulation", {})
    return contexts_of(config, validate_zppo(node | zppo), 100, None)


def test_prompts_of_the_greatest_length_are_as_long_as_planned(student: Path) -> None:
    """The question is one token here, and a candidate EACH tokens: the rest is what the plan says."""
    tokenizer = AutoTokenizer.from_pretrained(student)
    length = lambda messages: len(tokenizer.encode(messages[0]["content"], add_special_tokens=False))  # noqa: E731
    question, candidate = [{"role": "user", "content": "7"}], "1 2 3 4 5"
    assert len(tokenizer.encode(candidate, add_special_tokens=False)) == EACH
    blank = length([{"content": "7\n\n"}]) - 1  # the blank line belongs to both
    found = {budget.what: budget.prompt for budget in contexts(student).budgets if budget.who == "student"}
    assert found["plain"] == QUESTION
    # Tokens may join where pieces meet: by one at each seam at most.
    assert abs(found["BCQ"] - QUESTION + 1 - length(bcq_messages(question, candidate, candidate)) + blank) <= 4
    ncq = length(ncq_messages(question, [], [candidate] * 4))
    assert abs(found["NCQ, 4 wrong"] - QUESTION + 1 - ncq + blank) <= 8


def test_a_verdicts_prompt_has_room_for_question_response_gold_answer_and_template(student: Path, tmp_path) -> None:
    def prompt(**judge) -> int:
        found = contexts(student, judge={"enable": True, "max_answer_tokens": 50} | judge).budgets
        (verdict,) = (budget for budget in found if budget.what == "verdict")
        assert verdict.response == 512
        return verdict.prompt

    tokenizer = AutoTokenizer.from_pretrained(student)
    ours = len(tokenizer.encode(JUDGE.text, add_special_tokens=False))
    assert prompt() == QUESTION + 50 + 512 + ours
    own = tmp_path / "judge.txt"
    own.write_text("{question} {response} {gold}")
    assert QUESTION + 50 + 512 < prompt(template=str(own)) < prompt()
    own.unlink()
    assert prompt(template=str(own)) == prompt()  # the checks have said that it is missing


def test_ncq_prompts_that_do_not_fit_are_said(student: Path) -> None:
    enough = contexts(student)
    student_budgets = [budget for budget in enough.budgets if budget.who == "student"]
    assert enough.ncq_candidates is None and all(budget.fits for budget in student_budgets)
    longest = max(budget.total for budget in student_budgets)
    assert enough.longest == longest
    tight = contexts(student, longest - 1)
    assert tight.ncq_candidates == 3 and tight.longest == longest - 1


def test_without_a_tokenizer_or_a_bound_the_plan_says_so(student: Path) -> None:
    assert contexts(student).counted and not contexts("nobody/knows").counted
    whole = contexts(student, compression={"mode": "none"})
    assert [b.prompt for b in whole.budgets if b.what == "BCQ"] == [None]
    assert whole.longest == 1000
    unknown = contexts(student, None, compression={"mode": "none"})
    assert {budget.fits for budget in unknown.budgets if budget.who == "student"} == {None}


def test_the_teachers_requests(student: Path) -> None:
    teacher = {budget.what: budget for budget in contexts(student).budgets if budget.who == "teacher"}
    assert set(teacher) == {"rollout", "summary"}
    assert (teacher["rollout"].total, teacher["rollout"].context) == (60, 100)
    assert teacher["summary"].response == 512 and not teacher["summary"].fits
    grpo = contexts(student, reformulation={"enable": False})
    assert [budget.what for budget in grpo.budgets] == ["plain"]
