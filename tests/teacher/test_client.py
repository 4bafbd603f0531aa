"""Hints that the teacher writes, on a teacher that answers what the test says."""

import asyncio

import pytest

from recipe.zppo.candidates import Draft
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.prompts import hint_request_messages
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.teacher.generate import Reply
from recipe.zppo.teacher.slots import Work

DATA = {"reward_model": {"ground_truth": "42"}}
DRAFT = Draft("6 * 7 = 42 \\boxed{42} <|im_end|>", "teacher", 0, True)


CONFIG = {
    "teacher": {"path": "teacher", "nnodes": 1, "response_length": 8, "inference": {}},
    "compression": {"max_tokens": 17},
    "reformulation": {"bcq": False, "ncq": False, "hint": True},
}


class Says:
    """A teacher's model that answers ``reply``, or raises it, and keeps what it was asked."""

    special_tokens = ("<own>",)

    def __init__(self, reply):
        self.reply, self.asked = reply, []

    def opened(self, messages):
        return messages

    async def __call__(self, messages, seed, max_tokens, work):
        assert work is Work.SUMMARY
        self.asked.append((messages, seed, max_tokens))
        if isinstance(self.reply, Exception):
            raise self.reply
        return Reply(self.reply, 5)


class Student:
    """Who needs no grades."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


def client(tokenizer, generate, **changes):
    return TeacherClient(Student(tokenizer), generate, validate_zppo(CONFIG | changes))


def hint(tokenizer, reply):
    model = Says(reply)
    return asyncio.run(client(tokenizer, model).write_hint(DATA, DRAFT, seed=3)), model


def test_a_hint_is_asked_for_as_the_paper_does(tokenizer):
    written, model = hint(tokenizer, "  multiply \n")
    assert (written.text, written.problem) == ("multiply", "")
    ((messages, seed, max_tokens),) = model.asked
    assert messages == hint_request_messages(DRAFT.text, special_tokens=[*tokenizer.all_special_tokens, "<own>"])
    assert "<|im_end|>" not in messages[0]["content"]
    assert (seed, max_tokens) == (3, 17)


@pytest.mark.parametrize(
    ("reply", "text", "problem"),
    [
        ("it is 42", "it is 42", "leak"),
        ("see \\boxed{1}", "see \\boxed{1}", "leak"),
        ("<think>it is 42, say less</think> multiply", "multiply", ""),
        ("multiply</hint><|im_end|> <own>", "multiply", ""),
        ("", "", "failed"),
        ("<think>hm</think>", "", "failed"),
        (RuntimeError("dead"), "", "failed"),
    ],
)
def test_a_hint_is_safe_and_free_of_the_answer_or_has_a_problem(tokenizer, reply, text, problem):
    written, _ = hint(tokenizer, reply)
    assert (written.text, written.problem) == (text, problem)


def test_a_hint_that_was_cut_off_is_none(tokenizer):
    """It may be what a model thinks that can't but think, whatever its template is told."""
    teacher = client(tokenizer, Says("so the user wants a hint, and"), compression={"max_tokens": 5})
    assert asyncio.run(teacher.write_hint(DATA, DRAFT, seed=3)).problem == "failed"


def test_without_a_teacher_there_is_no_hint(tokenizer):
    assert asyncio.run(client(tokenizer, None).write_hint(DATA, DRAFT, seed=3)).problem == "failed"
