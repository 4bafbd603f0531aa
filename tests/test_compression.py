"""A summary stands in for a response only if it ends in the same answer and fits."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.candidates import Draft
from recipe.zppo.compression import (
    Fallback,
    after_thinking,
    bounded_tail,
    folded_answer,
    parse_summary,
    why_not_used,
)
from tests.test_judge import Words


class ByteTokenizer:
    """One token a byte of UTF-8, as byte-level tokenizers have for rare characters."""

    def encode(self, text, *, add_special_tokens):
        assert not add_special_tokens
        self.encoded = len(text)
        return list(text.encode())

    def decode(self, token_ids, *, skip_special_tokens):
        assert not skip_special_tokens
        return bytes(token_ids).decode(errors="replace")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("<summary>a</summary>", "a"),
        ("I think <summary>draft</summary> no: <SUMMARY>\n b \\boxed{2}\n</Summary> done", "b \\boxed{2}"),
        ("in <summary>...</summary> tags.</think><summary>real</summary>", "real"),
        ("<summary>first <summary>second</summary>", "second"),
        ("<summary>a</summary></summary>", "a"),
        ("<summary>a</summary><summary> </summary>", "a"),
        ("<summary>a</summary> <summary>cut off", "a"),
        ("<summary>cut off", None),
        ("a</summary>", None),
        ("</summary><summary>", None),
        ("<summary> \n</summary>", None),
        ("", None),
    ],
)
def test_the_last_summary_that_is_whole_counts(text, summary):
    assert parse_summary(text) == summary


@given(st.lists(st.sampled_from(["<summary>", "</summary>", "x", " "]), max_size=12).map("".join))
def test_a_summary_lies_between_its_tags_and_holds_none(text):
    summary = parse_summary(text)
    if summary is None:
        assert not any(part.strip() for part in _whole_pairs(text))
    else:
        assert summary and "summary>" not in summary and summary in [part.strip() for part in _whole_pairs(text)]


def _whole_pairs(text):
    """Every stretch between an opening tag and a closing one without a tag inside, slowly."""
    starts = [i + 9 for i in range(len(text)) if text.startswith("<summary>", i)]
    ends = [i for i in range(len(text)) if text.startswith("</summary>", i)]
    return [text[s:e] for s in starts for e in ends if s <= e and "summary>" not in text[s:e]]


@pytest.mark.parametrize("unit", ["<summary>", "</summary>", "<summary>x</summary>", "<summary", "a "])
def test_a_megabyte_of_tags_is_parsed_in_linear_time(unit):
    start = time.process_time()
    parse_summary(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 2


ORIGINAL = "<think>long</think> so \\boxed{ \\text{Two}  apples}"


def draft(text, correct=True, *gold):
    return Draft(text, "teacher" if correct else "student", 0, correct, gold)


@pytest.mark.parametrize(
    ("original", "summary", "result"),
    [
        (ORIGINAL, "short. \\boxed{two apples}", None),
        (ORIGINAL, " \\boxed{2}, no \\boxed{TWO APPLES} ", None),
        (ORIGINAL, "short. \\boxed{2}", Fallback.ANSWER_CHANGED),
        (ORIGINAL, "short, no box", Fallback.ANSWER_CHANGED),
        (ORIGINAL, None, Fallback.NO_SUMMARY),
        (ORIGINAL, " \n", Fallback.NO_SUMMARY),
        ("it never ends", "...", Fallback.NO_SUMMARY),
        (ORIGINAL, "x" * 31 + "\\boxed{two apples}", Fallback.TOO_LONG),
        (ORIGINAL, "x" * 30 + "\\boxed{two apples}", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("correct", [True, False])
def test_what_is_accepted_and_why_not(original, summary, result, correct):
    assert why_not_used(draft(original, correct), summary, 48, len) == result


@pytest.mark.parametrize(
    ("answer", "other"),
    [("\\frac{1}{2}", "\\dfrac{1}{2}"), ("x = 3", "x=3"), ("1,000", "1000"), ("50\\%", "50"), ("0.5", "\\frac12")],
)
def test_answers_are_compared_as_the_grader_does(answer, other):
    for first, second in ((answer, other), (other, answer)):
        for correct in (True, False):
            assert why_not_used(draft(f"\\boxed{{{first}}}", correct, "7"), f"\\boxed{{{second}}}", 48, len) is None


def test_the_grader_is_asked_in_both_directions(monkeypatch):
    asked = []
    monkeypatch.setattr("recipe.zppo.compression.is_correct", lambda *pair: asked.append(pair) or pair == ("a", "b"))
    assert why_not_used(draft("\\boxed{a}"), "\\boxed{b}", 48, len) is None
    assert asked == [("b", "a"), ("a", "b")]


@pytest.mark.parametrize(
    ("text", "correct", "summary", "result"),
    [
        # a wrong one without a box: any wrong answer will do
        ("it never ends", False, "invented \\boxed{3}", None),
        ("it never ends", False, "invented \\boxed{ 42.0 }", Fallback.NOW_RIGHT),
        ("it never ends", False, "no box either", Fallback.NO_BOX),
        ("it never ends", False, "no box either" * 10, Fallback.TOO_LONG),
        # a right one without: a judge or a reward function of the run's own may have called it so
        ("it is forty-two", True, "so \\boxed{42}", None),
        ("it is forty-two", True, "so \\boxed{41}", Fallback.ANSWER_CHANGED),
        ("it is forty-two", True, "no box either", Fallback.NO_BOX),
        # what the grader takes for the answer of a wrong response and for the right one as well
        ("\\boxed{2^{41}+1}", False, "\\boxed{2^{41+1}}", Fallback.NOW_RIGHT),
        # word for word is never wrong: the reward may ask for more than an answer
        ("\\boxed{42} in the wrong place", False, "\\boxed{42}", None),
    ],
)
def test_a_wrong_candidate_is_never_made_right(monkeypatch, text, correct, summary, result):
    same = {("2^{41+1}", "2^{41}+1"), ("2^{41+1}", "42"), ("42.0", "42"), ("42", "42")}
    monkeypatch.setattr("recipe.zppo.compression.is_correct", lambda *pair: tuple(s.strip() for s in pair) in same)
    assert why_not_used(draft(text, correct, "42"), summary, 48, len) == result


@pytest.mark.parametrize(
    ("reply", "cut_off", "said"),
    [
        ("<summary>a</summary>", False, "<summary>a</summary>"),
        ("<think>\nhm\n</think>\na", False, "\na"),
        ("hm\n</think>\na", False, "\na"),  # the opening tag is in the template
        ("<think>the summary goes in <summary>...</summary> tags, so", False, ""),
        ("the summary goes in <summary>...</summary> tags, so", True, ""),
        ("hm</think>a", True, "a"),
        ("", False, ""),
    ],
)
def test_thoughts_are_no_answer(reply, cut_off, said):
    assert after_thinking(reply, cut_off=cut_off) == said


def test_a_summary_of_megabytes_is_refused_without_counting_its_tokens():
    def count(text):
        raise AssertionError("tokenized")

    assert why_not_used(draft("none"), "x" * 10_000_000, 512, count) is Fallback.TOO_LONG


def test_answers_are_folded_without_case_space_and_text_commands():
    assert folded_answer("\\text{ A\n b}  \\mathrm{CM}") == "a b \\mathrm{cm}"
    assert folded_answer(None) == ""


@given(st.text(max_size=60), st.integers(1, 80))
def test_the_tail_is_the_end_of_the_text_within_the_limit(text, limit):
    text = text.replace("\ufffd", "")
    tail = bounded_tail(text, limit, ByteTokenizer())
    assert text.endswith(tail) and len(tail.encode()) <= limit
    assert tail == text or len(tail.encode()) > limit - 4  # at most one cut character is lost


def test_only_the_end_of_a_long_text_is_tokenized():
    tokenizer = ByteTokenizer()
    assert bounded_tail("y" * 10_000_000 + "\\boxed{1}", 9, tokenizer) == "\\boxed{1}"
    assert tokenizer.encoded < 1000


@pytest.mark.parametrize("letters", [1, 7, 8, 9, 30, 60])
@pytest.mark.parametrize(("words", "limit"), [(5, 10), (10, 10), (11, 10), (400, 10), (400, 1)])
def test_the_tail_is_full_however_long_tokens_are(letters, words, limit):
    """Also where it is longer than what is looked at first."""
    text = " ".join(f"{i:0{letters}d}" for i in range(words))
    assert bounded_tail(text, limit, Words()) == " ".join(text.split(" ")[-limit:])
