"""Hints and summaries that the teacher writes, on a teacher that answers what the test says."""

import asyncio
import threading

import pytest

from recipe.zppo.candidates import Draft
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.prompts import hint_request_messages
from recipe.zppo.randomness import derive_seed
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


class SaysInTurn(Says):
    """One reply after the other, the last one for ever."""

    async def __call__(self, messages, seed, max_tokens, work):
        replies, self.reply = self.reply, self.reply[0]
        try:
            return await super().__call__(messages, seed, max_tokens, work)
        finally:
            self.reply = replies[1:] or replies


GOOD, OTHER, BOXLESS = (
    "<summary>6 * 7, \\boxed{42.}</summary>",
    "<summary>\\boxed{41}</summary>",
    "<summary>so</summary>",
)
ENDLESS = Draft("and then", "student", 0, False, ("42",))


def compress(tokenizer, draft, *replies, **changes):
    model = SaysInTurn(list(replies))
    teacher = client(tokenizer, model, compression={"max_tokens": 17} | changes)
    return asyncio.run(teacher.compress(draft, 3, True)), [seed for _, seed, _ in model.asked]


@pytest.mark.parametrize(
    ("draft", "replies", "text", "compression", "rejected"),
    [
        (DRAFT, [GOOD], "6 * 7, \\boxed{42.}", "teacher", ()),
        (DRAFT, [OTHER, GOOD], "6 * 7, \\boxed{42.}", "teacher", ("answer_changed",)),
        (DRAFT, ["no", OTHER, GOOD], "6 * 7, \\boxed{42.}", "teacher", ("no_summary", "answer_changed")),
        (DRAFT, ["no", OTHER, OTHER], "6 * 7 = 42 \\boxed{42} ", "tail:answer_changed", None),
        (DRAFT, [OTHER, RuntimeError("dead")], "6 * 7 = 42 \\boxed{42} ", "tail:request_failed", ("answer_changed",)),
        # without a box in the response: the box that Fig. 16 asks for, if the teacher can be brought to it
        (ENDLESS, [OTHER], "\\boxed{41}", "teacher", ()),
        (ENDLESS, [BOXLESS, OTHER], "\\boxed{41}", "teacher", ("no_box",)),
        (ENDLESS, [BOXLESS], "so", "teacher", ("no_box",) * 3),
        (ENDLESS, [BOXLESS, GOOD, "no"], "so", "teacher", ("no_box", "now_right", "no_summary")),
        (ENDLESS, [GOOD], "and then", "tail:now_right", ("now_right",) * 3),
    ],
)
def test_a_summary_that_will_not_do_is_asked_for_again(tokenizer, draft, replies, text, compression, rejected):
    candidate, seeds = compress(tokenizer, draft, *replies)
    assert (candidate.text, candidate.compression) == (text, compression)
    rejected = ("no_summary", "answer_changed", "answer_changed") if rejected is None else rejected
    assert candidate.rejected == rejected
    asked = min(3, len(rejected) + 1)
    assert seeds == [3, derive_seed(3, 1), derive_seed(3, 2)][:asked]  # the first one as if there were no others
    answered = sum(not isinstance(reply, Exception) for reply in [*replies, *replies[-1:] * 3][:asked])
    assert candidate.teacher_tokens == 5 * answered


def test_how_often_it_is_asked_for_is_a_setting(tokenizer):
    candidate, seeds = compress(tokenizer, DRAFT, OTHER, attempts=1)
    assert (candidate.compression, seeds) == ("tail:answer_changed", [3])
    assert len(compress(tokenizer, DRAFT, OTHER, attempts=5)[1]) == 5


def test_at_temperature_0_it_is_not_asked_for_again(tokenizer):
    """The same would come back."""
    model = Says(OTHER)
    greedy = client(tokenizer, model, teacher=CONFIG["teacher"] | {"temperature": 0.0})
    assert asyncio.run(greedy.compress(DRAFT, 3, True)).rejected == ("answer_changed",)
    assert len(model.asked) == 1


@pytest.mark.parametrize("in_thread", [True, False])
def test_answers_are_compared_beside_the_event_loop_where_others_wait(tokenizer, monkeypatch, in_thread):
    threads = []
    monkeypatch.setattr(
        "recipe.zppo.compression.is_correct", lambda *pair: bool(threads.append(threading.current_thread())) or True
    )
    teacher = TeacherClient(Student(tokenizer), Says(OTHER), validate_zppo(CONFIG), in_thread=in_thread)
    assert asyncio.run(teacher.compress(DRAFT, 3, True)).compression == "teacher"
    assert threads and all((thread is threading.main_thread()) != in_thread for thread in threads)
