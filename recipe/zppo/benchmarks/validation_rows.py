"""Questions of benchmarks as validation rows of a run, and the scores of responses to them.

A row carries its question in one column of JSON, so that whoever has the row can score a response by the benchmark's
own definition. It has no gold answer for the run's reward function, which is not asked.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from recipe.zppo.benchmarks.contract import Benchmark, Question
from recipe.zppo.benchmarks.grading import decide, to_judge, verdict
from recipe.zppo.benchmarks.registry import BENCHMARKS
from recipe.zppo.errors import DataError, JudgeError, one_line
from recipe.zppo.judge import QUESTION_TEXT, Judgement, Verdict
from recipe.zppo.media.parts import without_media
from recipe.zppo.prompts import Messages, question_text

COLUMN = "zppo_benchmark"
"""Of the question, as JSON."""

SOURCE = "eval/"
"""A row's data source is this and the benchmark's name."""


class Judge(Protocol):
    """The run's judge (`recipe.zppo.teacher.client.TeacherClient`)."""

    async def judge(self, data: dict[str, Any], response: str) -> Judgement: ...

    async def reply(self, messages: Messages, max_tokens: int) -> tuple[str, int]: ...


@dataclass(frozen=True, slots=True)
class Grading:
    """Of a response to a benchmark's question."""

    score: float
    """0 to 1. What the rule leaves open is 0 without a judge."""
    answer: str
    judged: bool = False
    malformed: bool = False

    @property
    def entries(self) -> dict[str, Any]:
        """As a reward function's."""
        return {"score": self.score, "acc": self.score, "answer": self.answer}


def row_of(benchmark: Benchmark, question: Question) -> dict[str, Any]:
    """The row's columns but for the prompt, under verl's names."""
    content = asdict(question) | {"messages": without_media(question.messages)}
    return {
        "data_source": SOURCE + benchmark.name,
        "reward_model": {"style": "benchmark", "ground_truth": None},
        COLUMN: json.dumps({"benchmark": benchmark.name, "question": content}, ensure_ascii=False),
    }


def asked(row: Mapping[str, Any]) -> tuple[Benchmark, Question] | None:
    """Benchmark and question of a data row; None of a row of the user's."""
    if not (text := row.get(COLUMN)):
        return None
    content = json.loads(text)
    return BENCHMARKS[content["benchmark"]], Question(**content["question"])


async def grade(
    benchmark: Benchmark, question: Question, response: str, judge: Judge | None, *, in_thread: bool = True
) -> Grading:
    """By the rule or metric of the benchmark, then by the judge.

    Args:
        judge: None: there is none.
        in_thread: let the rule, which can take seconds, run beside the event loop.

    Raises:
        JudgeError: no verdict, or the rule failed. It is never taken for a wrong answer.
    """
    arguments = benchmark, question, response
    try:
        decision, by = await asyncio.to_thread(decide, *arguments) if in_thread else decide(*arguments)
    except Exception as error:  # a definition's own code, on a model's text
        raise JudgeError(f"{benchmark.name}: the rule failed on {question.id}: {one_line(error)}") from error
    if by or judge is None:
        return Grading(decision.score or 0.0, decision.answer)
    if benchmark.judge is None:
        judgement = await judge.judge(_for_the_judge(question), response)
        return Grading(judgement.reward, decision.answer, True, judgement.verdict is Verdict.MALFORMED)
    try:
        messages, max_tokens = to_judge(*arguments)
    except DataError as error:
        raise JudgeError(str(error)) from error
    reply, _ = await judge.reply(messages, max_tokens)
    score, malformed = verdict(benchmark, question, reply)
    return Grading(score, decision.answer, True, malformed)


def _for_the_judge(question: Question) -> dict[str, Any]:
    """A row as the judge of training reads it."""
    return {
        "row": question.id,
        QUESTION_TEXT: question_text(question.messages),
        "extra_info": {"options": dict(question.options)},
        "reward_model": {"ground_truth": question.gold},
    }
