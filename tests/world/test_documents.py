"""Pre-training documents: right where they must be, and rendered as the trainer renders them."""

import random
import re

import pytest

from recipe.zppo.world import WorldSettings, bills
from recipe.zppo.world.bills import PriceList
from recipe.zppo.world.documents import Corpus
from recipe.zppo.world.encoding import IGNORED, Encoder
from recipe.zppo.world.evaluate import boxed_answer, inner_summary, is_valid_hint
from recipe.zppo.world.pretrain import draw_documents

CANDIDATE = re.compile(r"<candidate>\n(.*?)\n</candidate>", re.DOTALL)
HINT = re.compile(r"\n\n<hint>\n([a-zA-Z])(\d)\n</hint>\n\n")
LINK = re.compile(r"([a-zA-Z])(\d+)=")


@pytest.fixture
def corpus(settings, price_list):
    return Corpus(settings, price_list, random.Random(7))


def asked(document) -> tuple[str, ...]:
    return tuple(document.messages[0]["content"].split("=?")[0].split("+"))


def test_the_teacher_is_always_right(corpus, price_list):
    for _ in range(200):
        document = corpus.teacher_plain()
        assert boxed_answer(document.response) == str(price_list.total(asked(document)))


def test_the_student_is_right_about_easy_bills_and_mostly_wrong_about_hard_ones(corpus, price_list):
    hard = []
    for _ in range(500):
        document = corpus.student_plain()
        right = boxed_answer(document.response) == str(price_list.total(asked(document)))
        if price_list.level(asked(document)):
            hard.append(right)
        else:
            assert right
    assert sum(hard) / len(hard) < 0.15


def test_bcq_shows_one_right_and_one_wrong_candidate_and_follows_one_of_them(corpus, price_list):
    follows_right = first_is_right = 0
    for _ in range(500):
        document = corpus.bcq()
        truth = str(price_list.total(asked(document)))
        shown = CANDIDATE.findall(document.messages[0]["content"])
        assert [boxed_answer(text) == truth for text in shown].count(True) == 1 and len(shown) == 2
        assert document.response.replace("<think>", "").replace("</think>", "") in shown
        follows_right += boxed_answer(document.response) == truth
        first_is_right += boxed_answer(shown[0]) == truth
    assert follows_right / 500 == pytest.approx(0.6, abs=0.08)
    assert first_is_right / 500 == pytest.approx(0.5, abs=0.08)


def test_ncq_shows_wrong_candidates_only(corpus, price_list):
    for _ in range(200):
        document = corpus.ncq()
        text = document.messages[0]["content"]
        truth = str(price_list.total(asked(document)))
        shown = [boxed_answer(candidate) for candidate in CANDIDATE.findall(text)]
        assert 3 <= len(shown) <= 8 and truth not in shown
        assert text.split("WRONG: ")[1].split(". Below")[0] == ", ".join(
            rf"\boxed{{{answer}}}" for answer in dict.fromkeys(shown)
        )


def test_with_several_wrong_prices_the_response_to_a_list_is_not_on_it():
    settings = WorldSettings(difficulty="spread")
    corpus = Corpus(settings, PriceList.draw(settings), random.Random(7))
    right = 0
    for _ in range(500):
        document = corpus.ncq()
        shown = [boxed_answer(candidate) for candidate in CANDIDATE.findall(document.messages[0]["content"])]
        assert boxed_answer(document.response) not in shown
        right += boxed_answer(document.response) == str(corpus.list.total(asked(document)))
    assert 0.3 < right / 500 < 0.9  # what is left on the list of beliefs is wrong in the other cases


def test_a_summary_repeats_what_stands_in_the_response(corpus):
    for _ in range(200):
        document = corpus.compression()
        assert f"<response>\n{inner_summary(document.response)}\n</response>" in document.messages[0]["content"]


def test_a_hint_states_a_right_price_and_the_student_mostly_takes_it_over(corpus, price_list):
    followed = hard = 0
    for _ in range(500):
        document = corpus.hinted()
        bill = asked(document)
        item, price = HINT.search(document.messages[0]["content"]).groups()
        assert int(price) == price_list.prices[item]
        stated = {letter: int(number) for letter, number in LINK.findall(document.response)}
        assert tuple(stated) == bill
        for other in set(bill) - {item}:
            assert stated[other] in (price_list.prices[other], *price_list.wrong_prices.get(other, []))
        if price_list.level(bill):
            assert item in price_list.wrong_prices
            hard += 1
            followed += stated[item] == price_list.prices[item]
    assert hard > 300
    assert followed / hard == pytest.approx(0.9, abs=0.06)


def test_the_teachers_hints_name_an_item_of_the_response_and_no_answer(corpus, price_list):
    hard_items = set()
    for _ in range(500):
        document = corpus.hint_request()
        request = document.messages[0]["content"]
        prices = dict(LINK.findall(request))
        item, price = document.response[0], document.response[1:]
        assert prices[item] == price
        assert is_valid_hint(document.response, boxed_answer(request))
        if hard := prices.keys() & price_list.wrong_prices.keys():
            assert item in hard
            hard_items.add(item)
    assert hard_items == set(price_list.wrong_prices)


@pytest.mark.parametrize(
    "hint, valid",
    [
        ("M2", True),
        ("M12", True),
        ("", False),
        (" \n", False),
        ("M14", False),
        ("it is 14", False),
        (r"\boxed{3}", False),
    ],
)
def test_a_hint_that_gives_the_answer_away_is_not_valid(hint, valid):
    assert is_valid_hint(hint, "14") == valid


def test_every_kind_is_within_the_vocabulary(corpus, tokenizer):
    for model in ("student", "teacher"):
        for draw in corpus.kinds(model).values():
            for _ in range(50):
                prompt, response = Encoder(tokenizer).tokens(draw())
                assert tokenizer.unk_token_id not in prompt + response
                assert response[-1] == tokenizer.eos_token_id


def test_a_step_has_the_documents_asked_for_and_loss_on_responses_only(corpus, settings, tokenizer):
    documents = draw_documents(corpus.kinds("student"), settings.student_pretraining)
    batches = Encoder(tokenizer).batches(documents)
    assert sum(len(batch.labels) for batch in batches) == settings.student_pretraining.batch_documents
    assistant = tokenizer.convert_tokens_to_ids("assistant")
    for batch in batches:
        for row_ids, row_labels in zip(batch.inputs["input_ids"].tolist(), batch.labels.tolist(), strict=True):
            start = row_ids.index(assistant) + 2  # the role's name and a line break
            end = row_ids.index(tokenizer.eos_token_id, start) + 1
            assert row_labels[start:end] == row_ids[start:end]
            assert set(row_labels[:start] + row_labels[end:]) <= {IGNORED}


def test_wrong_candidates_of_hard_bills_are_what_the_student_believes(corpus, price_list):
    believed, wrong = 0, {item: price for item, [price] in price_list.wrong_prices.items()}
    for _ in range(300):
        bill = corpus.bill()
        while price_list.level(bill) != 1:
            bill = corpus.bill()
        prices = price_list.draw_wrong_prices(bill, corpus.rng)
        believed += bills.chain(bill, prices) == bills.chain(bill, price_list.prices | wrong)
    assert believed == 300
