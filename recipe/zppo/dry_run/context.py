"""Longest possible prompts, in tokens, against the contexts of student and teacher."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.judge import JUDGE
from recipe.zppo.methods import METHODS, Method
from recipe.zppo.preflight.models import TEMPLATE_TOKENS
from recipe.zppo.prompts import COMPRESSION, HINT_REQUEST
from recipe.zppo.reward import MAX_ANSWER
from recipe.zppo.teacher.own_template import load_judge_template
from recipe.zppo.types import Candidate, Group, Question

CANDIDATE_TEMPLATE_TOKENS = 16
"""Tokens around one more candidate, where no tokenizer is at hand to count them."""


@dataclass(frozen=True)
class Budget:
    """One kind of request: ``prompt`` + ``response`` tokens at most, for a server with a context of ``context``.

    ``prompt`` is None where nothing bounds it. ``parts`` says what the prompt is made of.
    """

    who: str
    what: str
    prompt: int | None
    response: int
    context: int | None
    parts: str

    @property
    def total(self) -> int | None:
        return None if self.prompt is None else self.prompt + self.response

    @property
    def fits(self) -> bool | None:
        """None where it can't be told."""
        return None if self.total is None or self.context is None else self.total <= self.context


@dataclass(frozen=True)
class Contexts:
    """All kinds of requests, and how many wrong rollouts an NCQ prompt can show at most before it is skipped."""

    budgets: tuple[Budget, ...]
    counted: bool
    """Templates were counted by the student's tokenizer, not estimated."""
    ncq_candidates: int | None
    """None: all that a group can have, or no NCQ prompts, or no bound on a candidate."""

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that can be trained on: prompts that do not fit are skipped."""
        student = [budget for budget in self.budgets if budget.who == "student"]
        lengths = []
        for budget in student:
            bounds = [length for length in (budget.total, budget.context) if length is not None]
            lengths.append(min(bounds) if bounds else budget.response)
        return max(lengths)


def contexts_of(config: DictConfig, zppo: ZPPOConfig, teacher_context: int | None, positions: int | None) -> Contexts:
    """The budgets of a run.

    Args:
        teacher_context: tokens of context of the teacher's servers, if known.
        positions: positions of the student, which bound its context where `rollout.max_model_len` is null.
    """
    tokens = _Templates(config.actor_rollout_ref.model.path)
    context = config.actor_rollout_ref.rollout.max_model_len or positions
    question, response = config.data.max_prompt_length, config.data.max_response_length
    bounded = zppo.compression.mode != "none"
    each = zppo.reformulation.max_candidate_tokens
    budgets = [Budget("student", "plain", question, response, context, "data.max_prompt_length")]
    fitting = None
    for method in (METHODS[kind] for kind in zppo.kinds):
        most = method.most_candidates(config.actor_rollout_ref.rollout.n)
        shown = zppo.compression.max_tokens if method.writes_hint else 0
        if not most and not shown:
            continue
        sizes = [
            question + n * each + shown + tokens.block(method, n) for n in range(method.fewest_candidates, most + 1)
        ]
        prompt, template = sizes[-1] if bounded or shown else None, tokens.block(method, most)
        varies = most > method.fewest_candidates
        parts = f"{question} + {f'{most} x {each}' if most else shown} + {template} template"
        if most and not bounded:
            parts = "whole responses" + ("" if varies else " as candidates")
        elif varies:
            parts += ", and the wrong answers"
        what = f"{method.label}, {most} wrong" if varies else method.label
        budgets.append(Budget("student", what, prompt, response, context, parts))
        if varies and bounded and context is not None and prompt + response > context:
            fitting = sum(size + response <= context for size in sizes)
    budgets += _teacher(config, zppo, teacher_context, tokens) if zppo.needs_teacher else []
    return Contexts(tuple(budgets), tokens.counted, fitting)


def _teacher(config: DictConfig, zppo: ZPPOConfig, context: int | None, tokens: "_Templates") -> list[Budget]:
    question, longest = config.data.max_prompt_length, config.data.max_response_length
    response, summary = zppo.teacher.response_length, zppo.compression.max_tokens
    budgets = []

    def add(what: str, prompt: int, response: int, parts: str) -> None:
        budgets.append(Budget("teacher", what, prompt, response, context, parts))

    if zppo.asks_teacher:
        add("rollout", question, response, "data.max_prompt_length")
        longest = max(longest, response)
    if zppo.compresses:
        template = tokens.count(COMPRESSION.fill(response=""), TEMPLATE_TOKENS)
        add("summary", longest + template, summary, f"{longest} + {template} template")
    if zppo.writes_hint:
        template = tokens.count(HINT_REQUEST.fill(teacher_response=""), TEMPLATE_TOKENS)
        add("hint", response + template, summary, f"{response} + {template} template")
    if zppo.judge.enable:
        own = JUDGE
        with suppress(ConfigError):  # the checks have said so
            own = load_judge_template(zppo.judge.template)
        template, response = tokens.count(own.text, TEMPLATE_TOKENS), zppo.judge.max_answer_tokens
        parts = f"{question} + {response} response + {MAX_ANSWER} gold answer + {template} template"
        add("verdict", question + response + MAX_ANSWER + template, zppo.judge.max_tokens, parts)
    if zppo.distillation.mode != "none":
        add("scores", question + config.data.max_response_length, 1, "sequences")
    return budgets


class _Templates:
    """Token counts of templates by the student's tokenizer where it is local, else estimates."""

    def __init__(self, path: str):
        self._tokenizer: Any = None
        folder = Path(path).expanduser()
        if (folder / "tokenizer_config.json").is_file():
            from transformers import AutoTokenizer

            with suppress(Exception):  # the checks have said so
                self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self.counted = self._tokenizer is not None

    def count(self, text: str, otherwise: int) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False)) if self.counted else otherwise

    def block(self, method: Method, candidates: int) -> int:
        """Tokens that a method's prompt adds to the question, with so many empty candidates and without answers."""
        question = Question("", 0, False, {"raw_prompt": [{"role": "user", "content": "?"}]})
        empty = (Candidate("", "", False, "", ""),) * candidates
        (message,) = method.messages(Group("", method.kind, question, 0, candidates=empty), None)
        otherwise = TEMPLATE_TOKENS + CANDIDATE_TEMPLATE_TOKENS * (candidates - method.fewest_candidates)
        return self.count(message["content"][1:].strip("\n"), otherwise if candidates else CANDIDATE_TEMPLATE_TOKENS)
