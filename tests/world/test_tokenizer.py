"""Real template strings stay short, and what is decoded is what a grader reads."""

import pytest
from mathruler.grader import extract_boxed_content
from transformers import AutoTokenizer

from recipe.zppo.prompts import (
    bcq_messages,
    compression_messages,
    hint_request_messages,
    hinted_messages,
    ncq_messages,
    with_closer,
)
from recipe.zppo.world import bills
from recipe.zppo.world.documents import question_messages
from recipe.zppo.world.tokenizer import prompt_ids


@pytest.fixture(scope="module")
def longest_bill(price_list):
    return tuple(price_list.items[:4])


@pytest.fixture(scope="module")
def question(longest_bill):
    return question_messages(longest_bill)


@pytest.fixture(scope="module")
def raw(price_list, longest_bill):
    return bills.response(longest_bill, price_list.prices)


@pytest.fixture(scope="module")
def candidate(price_list, longest_bill):
    return bills.summary(longest_bill, price_list.prices)


def test_the_longest_prompts_are_short(tokenizer, price_list, longest_bill, question, raw, candidate):
    prompts = [
        (18, with_closer(question)),
        (64, with_closer(bcq_messages(question, candidate, candidate))),
        (229, with_closer(ncq_messages(question, [str(n) for n in range(8)], [candidate] * 8))),
        (23, with_closer(hinted_messages(question, bills.hint(longest_bill[0], price_list.prices)))),
        (31, compression_messages(raw)),
        (31, hint_request_messages(raw)),
    ]
    for tokens, messages in prompts:
        ids = prompt_ids(tokenizer, messages)
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == tokens
    assert len(tokenizer.encode(raw + "<|im_end|>")) == 22


def test_an_uncompressed_candidate_reads_like_a_compressed_one(question, raw, candidate):
    assert bcq_messages(question, raw, candidate) == bcq_messages(question, candidate, candidate)


@pytest.mark.parametrize("answer", ["0", "14", "63"])
def test_decoding_leaves_the_box_intact(tokenizer, answer):
    text = rf"<think>y9=9M5=14</think>\boxed{{{answer}}}"
    decoded = tokenizer.decode(tokenizer.encode(text + "<|im_end|>"), skip_special_tokens=True)
    assert decoded == text
    assert extract_boxed_content(decoded) == answer


def test_unknown_text_is_marked_and_not_dropped(tokenizer):
    assert tokenizer.encode("64 é") == [tokenizer.unk_token_id] * 2


def test_content_may_be_text_or_text_items(tokenizer):
    as_text = [{"role": "user", "content": "a+b=?"}]
    as_items = [{"role": "user", "content": [{"type": "text", "text": "a+"}, {"type": "text", "text": "b=?"}]}]
    turn = ["<|im_start|>", "user", "\n", *"a+b", "=?", "<|im_end|>", "\n"]
    expected = [*turn, "<|im_start|>", "assistant", "\n"]
    for messages in (as_text, as_items):
        assert tokenizer.convert_ids_to_tokens(prompt_ids(tokenizer, messages)) == expected
    assert prompt_ids(tokenizer, with_closer(as_text)) == prompt_ids(tokenizer, with_closer(as_items))


@pytest.mark.parametrize(
    "message, complaint",
    [
        ({"role": "tool", "content": "x"}, "unknown role: tool"),
        ({"role": "user", "content": [{"type": "image", "image": "x"}]}, "no content of type image"),
    ],
)
def test_what_the_world_has_not_is_refused(tokenizer, message, complaint):
    with pytest.raises(Exception, match=complaint):
        prompt_ids(tokenizer, [message])


def test_several_turns_render_one_after_the_other(tokenizer):
    roles = ("system", "user", "assistant")
    turns = [{"role": role, "content": text} for role, text in zip(roles, "abc", strict=True)]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False)
    assert rendered == "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)


def test_saving_keeps_everything(tokenizer, candidate, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    messages = with_closer(ncq_messages([{"role": "user", "content": "a+b=?"}], ["7"], [candidate]))
    assert prompt_ids(loaded, messages) == prompt_ids(tokenizer, messages)
    assert len(loaded) == len(tokenizer)
    assert (loaded.pad_token_id, loaded.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert {"<|im_start|>", "<|im_end|>"} <= set(loaded.all_special_tokens)
