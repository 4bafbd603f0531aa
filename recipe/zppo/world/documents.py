"""Pre-training documents: a prompt as the trainer renders it, and the response to learn.

Candidates are shown as the trainer shows them: the inner text of a `<summary>`. A raw response whose think tags the
sanitiser has taken out reads the same, so compressed and uncompressed candidates are one format here.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from recipe.zppo.prompts import (
    Messages,
    bcq_messages,
    compression_messages,
    hint_request_messages,
    hinted_messages,
    ncq_messages,
    with_closer,
)
from recipe.zppo.world import bills
from recipe.zppo.world.bills import Bill, PriceList
from recipe.zppo.world.settings import WorldSettings

NCQ_CANDIDATES = (3, 8)


@dataclass(frozen=True)
class Document:
    messages: Messages
    response: str


def question_messages(bill: Bill) -> Messages:
    """The question alone, as the data files hold it."""
    return [{"role": "user", "content": bills.question(bill)}]


class Corpus:
    """Draws documents of each kind for one model; `rng` decides everything."""

    def __init__(self, settings: WorldSettings, price_list: PriceList, rng: random.Random):
        self.settings, self.list, self.rng = settings, price_list, rng

    def bill(self) -> Bill:
        return self.list.draw_bill(self.settings.bill_lengths, self.rng)

    def plain_bill(self) -> Bill:
        longer = self.rng.random() < self.settings.longer_share
        return self.list.draw_bill([self.settings.longer_bill_length], self.rng) if longer else self.bill()

    def student_plain(self) -> Document:
        bill = self.plain_bill()
        return Document(with_closer(question_messages(bill)), bills.response(bill, self.list.draw_belief(self.rng)))

    def teacher_plain(self) -> Document:
        bill = self.plain_bill()
        return Document(with_closer(question_messages(bill)), bills.response(bill, self.list.prices))

    def bcq(self) -> Document:
        """A right and a wrong candidate; the response follows the right one with p `bcq_right_share`."""
        bill = self._reformulated_bill()
        right, wrong = self.list.prices, self.list.draw_wrong_prices(bill, self.rng)
        candidates = [bills.summary(bill, right), bills.summary(bill, wrong)]
        self.rng.shuffle(candidates)
        target = right if self.rng.random() < self.settings.bcq_right_share else wrong
        messages = with_closer(bcq_messages(question_messages(bill), *candidates))
        return Document(messages, bills.response(bill, target))

    def ncq(self) -> Document:
        """Wrong candidates only; the response is right with p `ncq_right_share`, else what is believed.

        Where there are several wrong prices it is believed to be none of those answers.
        """
        bill = self._reformulated_bill()
        wrong = [self.list.draw_wrong_prices(bill, self.rng) for _ in range(self.rng.randint(*NCQ_CANDIDATES))]
        totals = [sum(prices[item] for item in bill) for prices in wrong]
        if self.rng.random() < self.settings.ncq_right_share:
            target = self.list.prices
        elif self.settings.num_wrong_prices > 1:
            target = self.list.draw_unlisted(bill, totals, self.rng)
        else:
            target = self.list.draw_belief(self.rng)
        candidates = [bills.summary(bill, prices) for prices in wrong]
        messages = with_closer(ncq_messages(question_messages(bill), [str(total) for total in totals], candidates))
        return Document(messages, bills.response(bill, target))

    def hinted(self) -> Document:
        """A hint states one right price; the response takes it over with p `hint_followed_share`, else it is belief."""
        bill = self._reformulated_bill()
        item = self.list.draw_hinted_item(bill, self.rng)
        target = self.list.draw_belief(self.rng)
        if self.rng.random() < self.settings.hint_followed_share:
            target |= {item: self.list.prices[item]}
        messages = with_closer(hinted_messages(question_messages(bill), bills.hint(item, self.list.prices)))
        return Document(messages, bills.response(bill, target))

    def hint_request(self) -> Document:
        """A right response is answered with the price of one of its items, a hard one if there is one."""
        bill = self.plain_bill()
        item = self.list.draw_hinted_item(bill, self.rng)
        messages = hint_request_messages(bills.summary(bill, self.list.prices))
        return Document(messages, bills.hint(item, self.list.prices))

    def compression(self) -> Document:
        """Any response is summarised by what stands between its tags: right, wrong by belief, or of any numbers."""
        bill, source = self.plain_bill(), self.rng.randrange(4)
        if source == 0:
            text = bills.summary(bill, self.list.prices)
        elif source == 1:
            text = bills.summary(bill, self.list.draw_wrong_prices(bill, self.rng))
        else:
            slips = [(item, self.rng.randint(1, self.settings.max_price), self.rng.randint(1, 45)) for item in bill]
            answer = slips[-1][2] if source == 2 else self.rng.randint(1, 45)
            text = "".join(f"{item}{price}={total}" for item, price, total in slips) + rf"\boxed{{{answer}}}"
        return Document(compression_messages(text), f"<summary>{text}</summary>")

    def _reformulated_bill(self) -> Bill:
        bill = self.bill()
        if self.rng.random() < self.settings.hard_share_of_reformulated:
            while not self.list.level(bill):
                bill = self.bill()
        return bill

    def kinds(self, model: str) -> dict[str, Callable[[], Document]]:
        """Kinds of documents of the `student`'s or the `teacher`'s corpus, by the name of their share."""
        if model == "student":
            own = {"share_plain": self.student_plain, "share_bcq": self.bcq, "share_ncq": self.ncq}
            return {**own, "share_hint": self.hinted}
        own = {"share_plain": self.teacher_plain, "share_compression": self.compression}
        return {**own, "share_hint": self.hint_request}
