"""The judge: what it is asked, what its reply means, who is judged."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.data import rows
from recipe.zppo.errors import RewardFunctionError
from recipe.zppo.judge import FREE_FORM, Verdict, final_answer, is_free_form, is_judged, judge_messages, parse_verdict

SPACE = st.text(alphabet=" \t\r\n", max_size=5)


class Words:
    """A token a word."""

    def encode(self, text, *, add_special_tokens):
        return re.findall(r"\S+\s*", text)

    def decode(self, tokens, *, skip_special_tokens):
        return "".join(tokens)


@given(verdict=st.sampled_from(["correct", "wrong"]), space=st.lists(SPACE, min_size=6, max_size=6))
def test_the_two_replies_in_any_spacing(verdict, space):
    pieces = ["", "{", '"verdict"', ":", f'"{verdict}"', "}"]
    reply = "".join(part for pair in zip(space, pieces, strict=True) for part in pair) + space[0]
    assert parse_verdict(reply) == verdict
    assert parse_verdict(f"<think>{{}} hm</think>{reply}") == verdict


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "correct",
        '"correct"',
        "null",
        "{}",
        "[]",
        '[{"verdict": "correct"}]',
        '[["verdict", "correct"]]',
        '{"verdict": "Correct"}',
        '{"verdict": "CORRECT"}',
        '{"verdict": " correct"}',
        '{"verdict": "malformed"}',
        '{"verdict": true}',
        '{"verdict": 1}',
        '{"verdict": null}',
        '{"verdict": ["correct"]}',
        '{"verdict": {"verdict": "correct"}}',
        '{"Verdict": "correct"}',
        '{"verdict": "correct", "reason": "same"}',
        '{"verdict": "correct", "verdict": "wrong"}',
        '{"verdict": "wrong", "verdict": "wrong"}',
        '{"verdict": "correct"} {"verdict": "correct"}',
        '{"verdict": "correct"}.',
        'The verdict is {"verdict": "correct"}',
        '```json\n{"verdict": "correct"}\n```',
        "{'verdict': 'correct'}",
        '{"verdict": "correct",}',
        '{"verdict": "correct"',
        '{verdict: "correct"}',
        '<think>{"verdict": "correct"}',
        '{"verdict": "correct"}</think>',
        "NaN",
        "[" * 3000,
        '{"verdict":' * 300,
        '{"verdict": "correct"}' + " " * 10 + "\x00",
        "\ufeff" + '{"verdict": "correct"}',
    ],
)
def test_anything_else_is_malformed(reply):
    assert parse_verdict(reply) is Verdict.MALFORMED


def reference(reply):
    """Strict JSON by another way: no dict is made of an object before it is known to have one pair."""
    pairs = []

    def seen(found):
        pairs.append(found)
        return dict(found)

    try:
        value = json.loads(reply.strip(), object_pairs_hook=seen)
    except (ValueError, RecursionError):
        return "malformed"
    if value in ({"verdict": "correct"}, {"verdict": "wrong"}) and len(pairs) == 1 and len(pairs[0]) == 1:
        return value["verdict"]
    return "malformed"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["correct", "wrong", "verdict"]) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["verdict", "a", "Verdict"]) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(JSON, st.sampled_from([None, 1]))
def test_replies_that_are_json_are_read_as_the_reference_reads_them(value, indent):
    reply = json.dumps(value, indent=indent)
    assert parse_verdict(reply) == reference(reply)


@given(
    st.lists(st.sampled_from(['{"verdict"', ":", '"correct"', '"wrong"', "}", "{", ",", " ", "[", "]"]), max_size=12)
)
def test_pieces_of_replies_are_read_as_the_reference_reads_them(pieces):
    reply = "".join(pieces)
    assert parse_verdict(reply) == reference(reply)


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(reply):
    assert parse_verdict(reply) == reference(reply) or "</think>" in reply


def test_megabytes_cost_nothing():
    assert parse_verdict('{"verdict": "' + "correct" * 2_000_000) is Verdict.MALFORMED
    assert parse_verdict("[" * 5_000_000) is Verdict.MALFORMED
    assert parse_verdict(" " * 5_000_000) is Verdict.MALFORMED


# ---- what the judge is asked


def shown(question="q?", reference="gold", answer="mine", **options):
    ((message),) = judge_messages(question, reference, answer, **options)
    assert message["role"] == "user"
    return message["content"]


def test_the_judge_sees_question_reference_and_answer_once_each_in_this_order():
    text = shown("How many?", "two {answer}", "a pair")
    parts = [
        "<question>\nHow many?\n</question>",
        "<reference>\ntwo {answer}\n</reference>",
        "<answer>\na pair\n</answer>",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.endswith('Reply with one JSON object and nothing else: {"verdict": "correct"} or {"verdict": "wrong"}')


@given(
    st.lists(
        st.sampled_from(
            [
                *("</answer>", "<", "/", "answer", ">", "</ans", "wer>", "<ANSWER >", "<reference>", "</question>"),
                *("\uff1c/answer\uff1e", "<|im_end|>", "<candidate>", " ", "\u200b", "<think>", "x < answer"),
            ]
        ),
        max_size=12,
    )
)
def test_no_answer_leaves_its_place(pieces):
    text = shown(answer="".join(pieces), special_tokens=("<|im_end|>",))
    folded = text.lower().replace("\uff1c", "<").replace("\uff1e", ">").replace("\uff0f", "/")
    for tag in ("question", "reference", "answer"):
        assert len(re.findall(rf"<\s*/\s*{tag}\b", folded)) == 1
        # "the <answer> tags" of the instruction
        assert len(re.findall(rf"<\s*{tag}\b", folded)) == (2 if tag == "answer" else 1)
    assert "<|im_end|>" not in text


def test_the_box_is_the_answer_and_without_one_the_end():
    assert final_answer("so \\boxed{1} or \\boxed{a pair} it is", 2, Words()) == "a pair"
    assert final_answer("one two three four", 2, Words()) == "three four"
    assert final_answer("<think>" + "hm " * 99 + "</think>the sea", 9, Words()) == "the sea"
    assert final_answer("", 9, Words()) == ""
    long = "\\boxed{" + "very " * 1000 + "}"  # no answer to a rule; the judge sees its end
    assert final_answer(long, 3, Words()) == "very very }"


# ---- who is judged


def test_the_mark_is_that_of_the_data():
    assert FREE_FORM == rows.FREE_FORM


@pytest.mark.parametrize(
    ("row", "free_form"),
    [
        ({"extra_info": {"answer_type": "free_form"}}, True),
        ({"extra_info": {"answer_type": "rule"}}, False),
        ({"extra_info": {"answer_type": None}}, False),
        ({"extra_info": {"answer_type": "Free_Form"}}, False),
        ({"extra_info": {}}, False),
        ({"extra_info": None}, False),
        ({"answer_type": "free_form"}, False),
        ({}, False),
    ],
)
def test_routing_is_by_row(row, free_form):
    assert is_free_form(row) is is_judged(row, True) is free_form
    if free_form:
        with pytest.raises(RewardFunctionError, match=r"zppo\.judge\.enable is false"):
            is_judged(row, False)
    else:
        assert not is_judged(row, False)
