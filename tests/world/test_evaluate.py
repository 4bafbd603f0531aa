"""Measuring, with models whose every answer is known."""

import pytest

from recipe.zppo.prompts import BCQ, CLOSER, COMPRESSION, HINT_REQUEST
from recipe.zppo.world.evaluate import measure

QUESTIONS = [[{"role": "user", "content": text}] for text in ("a+b=?", "c+d=?")]
ANSWERS = ["9", "5"]
RIGHT = {"a+b=?": r"<think>a2=2b7=9</think>\boxed{9}", "c+d=?": r"<think>c4=4d1=5</think>\boxed{5}"}
WRONG = {"a+b=?": r"<think>a2=2b1=3</think>\boxed{3}", "c+d=?": r"<think>c4=4d9=13</think>\boxed{13}"}


def student(conversations, num_samples):
    """Right where a hint stands in the prompt, wrong everywhere else."""
    assert all(messages[0]["content"].endswith(CLOSER.text) for messages in conversations)
    texts = [messages[0]["content"] for messages in conversations]
    return [[(RIGHT if "<hint>" in text else WRONG)[text[:5]]] * num_samples for text in texts]


def teacher(leaks: bool):
    """Always right and exact; the hint of the second question gives its answer away if `leaks`."""

    def answer(text: str) -> str:
        if text.startswith(COMPRESSION.text[:30]):
            return "<summary>" + text.split("<response>\n")[1].split("\n</response>")[0] + "</summary>"
        if text.startswith(HINT_REQUEST.text[:30]):
            return "b7" if "b7" in text else ("5" if leaks else "d1")
        assert text.endswith(CLOSER.text)
        return RIGHT[text[:5]]

    return lambda conversations, n: [[answer(messages[0]["content"])] * n for messages in conversations]


@pytest.mark.parametrize("leaks, valid", [(False, 1.0), (True, 0.5)])
def test_hints_come_from_the_teacher_and_those_that_leak_are_not_shown(leaks, valid):
    measured = measure(student, teacher(leaks), QUESTIONS, ANSWERS)
    assert measured["hint_valid"] == valid
    assert measured["hard_plain_accuracy"] == measured["hard_bcq_accuracy"] == measured["hard_ncq_accuracy"] == 0
    assert measured["all_wrong_share"] == measured["teacher_solves_all_wrong"] == measured["compression_exact"] == 1
    assert measured["hard_hint_accuracy"] == 1


def test_the_student_is_shown_the_hint_that_the_teacher_wrote():
    shown = []

    def recording(conversations, num_samples):
        shown.extend(messages[0]["content"] for messages in conversations)
        return student(conversations, num_samples)

    measure(recording, teacher(leaks=False), QUESTIONS, ANSWERS)
    hints = [text.split("<hint>\n")[1].split("\n</hint>")[0] for text in shown if "<hint>" in text]
    assert hints == ["b7", "d1"]
    assert sum(text.count(BCQ.text[:30]) for text in shown) == 2
