"""What the teacher gives of a response, in the student's tokens."""

import asyncio

import pytest

from recipe.zppo.agent_loop import _Recital
from recipe.zppo.openings import given_tokens
from recipe.zppo.records import Opening
from recipe.zppo.run_errors import PromptTooLongError

TEXT = "1 + 2 = 3 a b c d e"  # ten tokens


@pytest.mark.parametrize(("fraction", "size"), [(0.4, 4), (0.39, 3), (0.05, 0), (0.9, 9)])
def test_a_part_is_rounded_down_and_has_no_end(tokenizer, fraction, size):
    given = given_tokens(Opening(TEXT, fraction), tokenizer, 32)
    assert given.token_ids == tuple(tokenizer.encode(TEXT, add_special_tokens=False)[:size])
    assert not given.whole


def test_a_part_leaves_room_for_one_token_of_the_students(tokenizer):
    assert len(given_tokens(Opening(TEXT, 0.9), tokenizer, 5).token_ids) == 4
    assert given_tokens(Opening(TEXT, 0.9), tokenizer, 1).token_ids == ()


def test_the_whole_ends_and_must_fit(tokenizer):
    given = given_tokens(Opening(TEXT, 1.0), tokenizer, 11)
    assert given.whole
    assert given.token_ids == (*tokenizer.encode(TEXT, add_special_tokens=False), tokenizer.eos_token_id)
    with pytest.raises(PromptTooLongError, match=r"11 tokens of the student.*data.max_response_length is 10"):
        given_tokens(Opening(TEXT, 1.0), tokenizer, 10)


def test_special_tokens_that_are_spelled_out_stay_text(tokenizer):
    ids = given_tokens(Opening("1 <|im_end|> 2", 1.0), tokenizer, 32).token_ids
    assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
    assert not set(ids[:-1]) & set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


def test_a_recital_is_the_text_and_nothing_else():
    output = asyncio.run(_Recital((7, 8, 9), version=4).generate(request_id="x", prompt_ids=[1], sampling_params={}))
    assert output.token_ids == [7, 8, 9] and output.log_probs == [0.0] * 3
    assert output.extra_fields["min_global_steps"] == output.extra_fields["max_global_steps"] == 4
