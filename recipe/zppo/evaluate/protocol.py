"""The paper's one protocol for every benchmark and every checkpoint (App. B.2): prompt, decoding, pictures, judge."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from recipe.zppo.benchmarks.contract import Question
from recipe.zppo.benchmarks.grading import MAX_VERDICT_TOKENS
from recipe.zppo.judge import TEMPERATURE, TOP_P
from recipe.zppo.media.parts import limited
from recipe.zppo.prompts import Messages, closer, with_closer

MIN_PIXELS, MAX_PIXELS = 256 * 32 * 32, 1280 * 32 * 32
"""Of an image. It is resized here, before an engine sees it, as in training."""

MODEL_LENGTH = 262_144
"""Tokens of prompt and response together."""

MAX_NEW_TOKENS = 12_288


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are drawn."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    """-1: of the whole vocabulary."""
    min_p: float = 0.0
    presence_penalty: float = 1.5
    repetition_penalty: float = 1.0
    max_tokens: int = MAX_NEW_TOKENS


def judge_decoding(max_tokens: int = MAX_VERDICT_TOKENS) -> Decoding:
    return Decoding(TEMPERATURE, TOP_P, top_k=-1, presence_penalty=0.0, max_tokens=max_tokens)


@dataclass(frozen=True)
class Protocol:
    decoding: Decoding = Decoding()
    min_pixels: int = MIN_PIXELS
    max_pixels: int = MAX_PIXELS
    judge_sees: str = "extracted"
    """Of a response: ``extracted``, its boxed answer where it has one; or ``whole``."""
    openai_fields_only: bool = False
    """Servers are asked without top-k, min-p and repetition penalty, and take their own."""

    def prompt(self, question: Question) -> Messages:
        """The messages as the model gets them: images with their limits, the closer of Fig. 8 at the end."""
        return with_closer(limited(question.messages, self.min_pixels, self.max_pixels))

    def as_dict(self) -> dict[str, Any]:
        """For `results.json`: everything that a number depends on."""
        return {
            **asdict(self.decoding),
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "closer": closer(),
            "judge_sees": self.judge_sees,
            "judge_temperature": TEMPERATURE,
            "judge_top_p": TOP_P,
            "openai_fields_only": self.openai_fields_only,
        }


PAPER = Protocol()


def of_settings(max_tokens: int, **changes: Any) -> Protocol:
    return replace(PAPER, decoding=replace(PAPER.decoding, max_tokens=max_tokens), **changes)


def deviations(protocol: Mapping[str, Any]) -> list[str]:
    """In words, where a protocol of `results.json` is not the paper's: ``max_tokens 512 (paper: 12288)``."""
    paper = PAPER.as_dict()
    return [f"{key} {value} (paper: {paper[key]})" for key, value in protocol.items() if paper.get(key) != value]
