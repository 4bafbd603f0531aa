"""What the teacher gives of a response, in the student's tokens."""

import asyncio
import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from recipe.zppo.errors import PromptTooLongError
from recipe.zppo.on_verl.agent_loop import _Recital
from recipe.zppo.rollout.prefix import OpeningTokens
from recipe.zppo.types import Opening

TEXT = "1 + 2 = 3 a b c d e"  # ten tokens


@pytest.mark.parametrize(("fraction", "size"), [(0.4, 4), (0.39, 3), (0.05, 0), (0.9, 9)])
def test_a_part_is_rounded_down_and_has_no_end(tokenizer, fraction, size):
    given = OpeningTokens(tokenizer, 32)(Opening(TEXT, fraction))
    assert given.token_ids == tuple(tokenizer.encode(TEXT, add_special_tokens=False)[:size])
    assert not given.whole


def test_a_part_leaves_room_for_one_token_of_the_students(tokenizer):
    assert len(OpeningTokens(tokenizer, 5)(Opening(TEXT, 0.9)).token_ids) == 4
    assert OpeningTokens(tokenizer, 1)(Opening(TEXT, 0.9)).token_ids == ()


def test_the_whole_ends_and_must_fit(tokenizer):
    given = OpeningTokens(tokenizer, 11)(Opening(TEXT, 1.0))
    assert given.whole
    assert given.token_ids == (*tokenizer.encode(TEXT, add_special_tokens=False), tokenizer.eos_token_id)
    with pytest.raises(PromptTooLongError, match=r"11 tokens of the student.*data.max_response_length is 10"):
        OpeningTokens(tokenizer, 10)(Opening(TEXT, 1.0))


def test_special_tokens_that_are_spelled_out_stay_text(tokenizer):
    ids = OpeningTokens(tokenizer, 32)(Opening("1 <|im_end|> 2", 1.0)).token_ids
    assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
    assert not set(ids[:-1]) & set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}


THINKS = """{% for m in messages %}{{ m.content }}{% endfor %}
{%- if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}"""


@pytest.mark.parametrize(
    ("thinking", "text", "given"),
    [
        (True, "<think>\n1 + 2", "1 + 2"),
        (True, "1 + 2", "1 + 2"),
        (True, "1 <think> 2", "1 <think> 2"),
        (False, "<think>\n1 + 2", "<think>\n1 + 2"),
    ],
)
def test_a_thought_that_the_prompt_opens_is_not_opened_again(tokenizer, thinking, text, given):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = THINKS
    ids = OpeningTokens(tokenizer, 32, {"enable_thinking": thinking})(Opening(text, 1.0)).token_ids
    assert ids == (*tokenizer.encode(given, add_special_tokens=False), tokenizer.eos_token_id)


def test_prompts_are_encoded_by_other_threads_meanwhile(tokenizer):
    """A tokenizer that two threads share, one of which changes its state, raises or encodes wrongly."""
    tokens, prompt = OpeningTokens(tokenizer, 64), "<|im_start|> 1 <|im_end|>" * 50
    want = tokenizer.encode(prompt, add_special_tokens=False)
    stop = threading.Event()

    def encode() -> int:
        count = 0
        while not stop.is_set():
            assert tokenizer.encode(prompt, add_special_tokens=False) == want
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(encode) for _ in range(2)]
        try:
            for _ in range(300):
                tokens(Opening("1 <|im_end|> 2", 0.5))
        finally:
            stop.set()
        assert all(future.result() > 0 for future in futures)


def test_a_recital_is_the_text_and_nothing_else():
    output = asyncio.run(_Recital((7, 8, 9), version=4).generate(request_id="x", prompt_ids=[1], sampling_params={}))
    assert output.token_ids == [7, 8, 9] and output.log_probs == [0.0] * 3
    assert output.extra_fields["min_global_steps"] == output.extra_fields["max_global_steps"] == 4
