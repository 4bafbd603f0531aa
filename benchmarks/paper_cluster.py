"""What the schedule simulations assume: speed of the engines, lengths, outcomes, and what the rest of a step takes.

Nothing here was fitted to a run of this project. Each number says where it is from; `ENGINE_MS`, the teacher's outcomes
and the lengths are not the paper's, which gives none of them. Layout and hours are (Table 8, App. with wall-clock).
"""

import math
import random
from dataclasses import dataclass

from benchmarks.paper_step import RESPONSE_TOKENS
from benchmarks.virtual_time import Server
from recipe.zppo.types import Kind, Question

NODES = 8
STUDENT_GPUS, TEACHER_GPUS, NEW_QUESTIONS, REPLAYED_QUESTIONS = 6, 2, 48, 12
"""Of a node."""
HOURS = {"0.8B": (61, 61, 68), "2B": (69, 69, 79), "4B": (75, 76, 92), "9B": (90, 93, 110)}
"""Hours of 200 steps with GRPO (384 questions a step), GRPO† (480) and ZPPO (480 and up to 96 reformulated ones)."""
PAPER_STEPS = 200
MOST = 1.25
"""Times of GRPO†'s step: the aim."""
VERL_GENERATION_SHARE = 0.5
"""Of a synchronous step of verl's: 178 of 356 s on 128 GPUs, 151 of 365 on 64 (Qwen2.5-Math-7B, 28K tokens, docs of
verl, "Fully Async Policy Trainer"). RollPacker (arXiv 2509.21009) speaks of 70%."""

# ------------------------------------------------------------------ engines

BANDWIDTH, MEMORY = 3.35e12, 80e9
"""Of an H100 (SXM), bytes a second and bytes."""
ENGINE_MS, ROW_MS = 3.0, 0.02
"""Of a token beside reading memory: launch, sampling, scheduling. With it a 9B in 16 bits has 8.6 ms a token alone;
GPUStack's "performance lab" measured 2.1 s for a ShareGPT answer of some 220 tokens, 9.5 ms each (vLLM 0.17.1)."""
TP_MS = 1.0
"""Of a token where GPUs share a model: 128 sums over two GPUs at 8 microseconds, an assumption."""
MEAN_CONTEXT = 5_000
"""Tokens of prompt and response that a row has on average while it is decoded."""


@dataclass(frozen=True)
class Model:
    """A Qwen3.5: every fourth layer has full attention (heads of 256), the others a state for each value head of 128².

    9B is the default of its configuration in transformers; the others are taken to be of the same build.
    """

    weight_bytes: float
    layers: int
    kv_heads: int
    value_heads: int

    @property
    def _row_bytes(self) -> float:
        """That a token of one row reads and writes: its keys and values, its states twice."""
        return self._cache_bytes + 2 * self._state_bytes

    @property
    def _cache_bytes(self) -> float:
        return self.layers / 4 * 2 * self.kv_heads * 256 * 2 * MEAN_CONTEXT

    @property
    def _state_bytes(self) -> float:
        return self.layers * 3 / 4 * self.value_heads * 128 * 128 * 4

    def servers(self, gpus: int, share: float, tp: int = 1) -> list[Server]:
        """``tp``: GPUs of a server, which share weights, caches and reading."""
        token_s = (ENGINE_MS + (TP_MS if tp > 1 else 0.0)) / 1e3 + self.weight_bytes / BANDWIDTH / tp
        row_s = ROW_MS / 1e3 + self._row_bytes / BANDWIDTH / tp
        room = MEMORY * share * tp - self.weight_bytes
        slots = min(256, int(room / (self._cache_bytes + self._state_bytes)))  # vLLM's default limit
        return [Server(slots, token_s, row_s) for _ in range(gpus // tp)]


STUDENTS = {
    "0.8B": Model(1.7e9, 24, 2, 16),
    "2B": Model(4.4e9, 24, 2, 16),
    "4B": Model(9e9, 32, 4, 32),
    "9B": Model(18.8e9, 32, 4, 32),
}
TEACHER = Model(28e9, 64, 4, 48)
"""27B in 8 bits."""

# ------------------------------------------------------------------ lengths and outcomes


@dataclass(frozen=True)
class Lengths:
    """Log-normal: a factor of the question, one of the response, and one of wrong responses; cut at 12,288 tokens."""

    median: float
    question_sigma: float = 0.5
    response_sigma: float = 0.8
    wrong_factor: float = 2.0
    reformulated: float = 1.0
    """BCQ and NCQ responses over plain ones. 1: the paper says nothing."""


LENGTHS = {"short": Lengths(800), "medium": Lengths(1_600), "long": Lengths(3_200)}
"""A sigma of 1 in all is that of two stretches of a public log with the cap at 4,096 (mean 1,676, 12% cut, and mean
3,125, 56% cut: medians 1,270 and 4,800; Tjh-UKN/vime, train.metrics.csv). Wrong responses are 2.1 times as long as
right ones in a log of laion/a2_rl_crosscodeeval_python_v2, 3 times in DeepScaleR's note on AIME."""
SUMMARY_TOKENS, PREFILL_TOKENS = 256, 60
"""Of a summary, and what reading a full response costs the teacher, in tokens of generation."""
PROMPT_TOKENS = {Kind.PLAIN: 1_000, Kind.BCQ: 1_600, Kind.NCQ: 2_600}

NEW_RATES = ((0.02, 20), (0.15, 10), (0.3, 10), (0.6, 14), (0.85, 18), (0.97, 28))
REPLAYED_RATES = ((0.02, 35), (0.1, 25), (0.25, 20), (0.45, 20))
"""Share of right responses of a question, and weights. Two fifths of the new ones are hard, as the paper's buffer says:
at 0.8B it is full within about 70 steps, 143 more admissions a step than graduations."""
TEACHER_RATES = ((0.02, 25), (0.3, 20), (0.7, 25), (0.95, 30))
"""Of hard questions."""


def draw_questions(rng: random.Random, step: int, lengths: Lengths, nodes: int = NODES) -> list[Question]:
    """Of one step: the new ones, then the replayed ones."""
    questions, num_new = [], nodes * NEW_QUESTIONS
    for row in range(nodes * (NEW_QUESTIONS + REPLAYED_QUESTIONS)):
        data = {
            "raw_prompt": [{"role": "user", "content": ""}],
            "solve_rate": _draw(rng, NEW_RATES if row < num_new else REPLAYED_RATES),
            "teacher_rate": _draw(rng, TEACHER_RATES),
            "median": lengths.median * math.exp(rng.gauss(0.0, lengths.question_sigma)),
        }
        questions.append(Question(f"{step}-{row}", row, row >= num_new, data))
    return questions


def _draw(rng: random.Random, rates: tuple[tuple[float, int], ...]) -> float:
    return rng.choices([rate for rate, _ in rates], [weight for _, weight in rates])[0]


def outcome(question: Question, rate: float, seed: int, lengths: Lengths, factor: float = 1.0) -> tuple[float, int]:
    """(reward, tokens) of a response. They depend on the request, not on when it is made. What is cut is wrong."""
    rng = random.Random(seed)
    right = rng.random() < rate
    median = question.data["median"] * factor * (1.0 if right else lengths.wrong_factor)
    tokens = max(round(median * math.exp(rng.gauss(0.0, lengths.response_sigma))), 16)
    return float(right and tokens < RESPONSE_TOKENS), min(tokens, RESPONSE_TOKENS)
