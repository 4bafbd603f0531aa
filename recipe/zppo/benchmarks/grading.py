"""Who scores a response to a benchmark's question, and what comes of it (App. B.2).

First the rule or metric of the benchmark; the judge for what that leaves open. The shared judge is the one of training
(`recipe.zppo.judge`), with the same rules and the same strict reply; a benchmark of the class BenchJudge has its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Question, Scoring
from recipe.zppo.errors import DataError, RewardError, first_line
from recipe.zppo.judge import JUDGE, QUESTION_TEXT, Verdict, judge_messages, parse_verdict
from recipe.zppo.prompts import Messages, Template, question_text

RULE, METRIC, JUDGED = "rule", "metric", "judge"

MAX_RESPONSE_CHARACTERS = 100_000
"""Of a response the judge sees the end: more than 12,288 tokens of text have."""

MAX_VERDICT_TOKENS = 512


class ToJudge(NamedTuple):
    """What a judge is asked. Its decoding: temperature 0, top-p 1."""

    messages: Messages
    max_tokens: int


class Verdicts(NamedTuple):
    score: float
    malformed: bool


class _Characters:
    """Stands in for a tokenizer where only a server knows it."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]:
        return list(map(ord, text))

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        return "".join(map(chr, token_ids))


def decide(benchmark: Benchmark, question: Question, response: str) -> tuple[Decision, str]:
    """What the rule or metric says, and which of the two has decided; "" if neither has.

    A metric leaves nothing open: what it can't read scores 0.
    """
    found = benchmark.decide(question, response) if benchmark.decide is not None else Decision(None)
    if benchmark.scoring is Scoring.DETERMINISTIC:
        return Decision(found.score or 0.0, found.answer), METRIC
    return found, RULE if found.score is not None else ""


def to_judge(
    benchmark: Benchmark, question: Question, response: str, *, whole: bool = False, template: Template = JUDGE
) -> ToJudge:
    """
    Args:
        whole: the shared judge sees the response also where it has a boxed answer. Where it has none it always does.

    Raises:
        DataError: there is no gold answer to compare with, or the question lacks what its own judge needs.
    """
    try:
        if benchmark.judge is not None:
            return ToJudge(benchmark.judge.messages(question, response), benchmark.judge.max_tokens)
        row = {
            QUESTION_TEXT: question_text(question.messages),
            "extra_info": {"options": dict(question.options)},
            "reward_model": {"ground_truth": question.gold},
        }
        messages = judge_messages(
            row, response, template, whole=whole, max_tokens=MAX_RESPONSE_CHARACTERS, tokenizer=_Characters()
        )
    except (RewardError, LookupError, TypeError) as error:
        raise DataError(f"{benchmark.source.dataset}, {question.id}: {first_line(error)}") from error
    return ToJudge(messages, MAX_VERDICT_TOKENS)


def verdict(benchmark: Benchmark, question: Question, reply: str) -> Verdicts:
    """What a judge's reply means. A malformed one scores 0."""
    if benchmark.judge is not None:
        score = benchmark.judge.score(question, reply)
        return Verdicts(score or 0.0, score is None)
    found = parse_verdict(reply)
    return Verdicts(float(found is Verdict.CORRECT), found is Verdict.MALFORMED)
