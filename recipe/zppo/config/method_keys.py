"""The keys of the method's parts: replay, reformulated questions, their candidates, distillation."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from recipe.zppo.config.engine import Group, key
from recipe.zppo.methods import METHODS
from recipe.zppo.selection import PreCap
from recipe.zppo.types import Kind

Used: TypeAlias = Callable[[Any], bool]
"""Whether a key matters to a method, whose `ZPPOConfig` it is given; the reference page asks it of every method."""


def rewards(config: Any) -> bool:
    return config.distillation.mode == "none"


def candidates(config: Any) -> bool:
    return any(METHODS[kind].fewest_candidates for kind in config.kinds)


def pairs(config: Any) -> bool:
    return any(METHODS[kind].fewest_candidates == 2 for kind in config.kinds)


def teacher_writes(config: Any) -> bool:
    return candidates(config) or config.writes_hint


def builds(kind: Kind) -> Used:
    return lambda config: kind in config.kinds


class ReplayConfig(Group):
    """The prompt replay buffer B (Sec. 3; Algorithm 1, steps 1 and 6)."""

    enable: bool = key(True, paper="the dagger of the methods' names", used=lambda config: True)
    """Replay hard prompts. false stores nothing and replays nothing."""

    fraction: float = key(0.25, ge=0.0, le=1.0, paper="rho_replay, Table 8")
    """Replayed prompts per new prompt of a step; fewer while the buffer is small."""

    capacity: int = key(10_000, ge=1, paper="Table 8")
    """Prompts that the buffer holds at most. The oldest is evicted first."""

    weights: Literal["uniform", "entry_accuracy", "visits"] = key("uniform", paper="uniform in Algorithm 1, step 1")
    """How replayed prompts are drawn from the buffer. Beyond the paper, entry_accuracy prefers prompts that were nearly
    solved when they came in, and visits those that were replayed least."""


class ReformulationConfig(Group):
    """What hard questions become: BCQ and NCQ, or one of the rival groups that the teacher helps (App. D.2)."""

    enable: bool = key(True, used=lambda config: True)
    """Build reformulated questions. false never asks the teacher for them."""

    fraction: float = key(0.25, ge=0.0, le=1.0, paper="rho_aug, Table 8; Algorithm 1, steps 3 and 5")
    """The cap on hard questions kept, and on reformulated ones, per new prompt of a step."""

    pre_cap: PreCap = key("hard", paper="hard in Algorithm 1, step 3; admissible in App. C (a)")
    """What the cap on kept questions counts: all hard questions, or those that admit an instance. Without NCQ, hard
    questions that the teacher did not solve take places in the first reading and none in the second."""

    bcq: bool = key(True, paper="Algorithm 1, step 4; Fig. 17", used=builds(Kind.BCQ))
    """Build BCQ: a hard question with one correct teacher rollout and one wrong student rollout."""

    ncq: bool = key(True, paper="Algorithm 1, step 4; Fig. 18", used=builds(Kind.NCQ))
    """Build NCQ: a hard question with all its wrong student rollouts."""

    hint: bool = key(False, paper="Alg. 5, Fig. 19", used=builds(Kind.HINT))
    """Instead of BCQ: a hint in the prompt, which the teacher writes from one correct rollout of its own. One that
    gives the answer away is dropped and counted."""

    prefix: bool = key(False, paper="Alg. 6", used=builds(Kind.PREFIX))
    """Instead of BCQ: the beginning of one correct teacher rollout opens the response, outside the loss."""

    prefix_fraction: float = key(0.4, gt=0.0, le=0.9, paper="alpha, Alg. 6", used=builds(Kind.PREFIX))
    """The share of the teacher rollout's tokens that opens the response."""

    worked: bool = key(False, used=builds(Kind.WORKED))
    """Instead of BCQ, beyond the paper: the data row's own worked solution (`extra_info.solution`) beside one wrong
    student rollout. It asks no teacher; docs/method/add-your-own.md shows how it is made."""

    schedule: Literal["same_step", "next_step"] = key("same_step", paper="same_step in Algorithm 1, step 5")
    """When reformulated questions are rolled out: in the step that built them, or, beyond the paper, with the plain
    prompts of the next one and by its policy, so that a step has one phase of generation instead of two."""

    max_candidate_tokens: int = key(512, ge=1, paper="Table 8", used=candidates)
    """Tokens of one candidate in a prompt at most, unless `zppo.compression.mode` is none."""


class CompressionConfig(Group):
    """How a rollout becomes a candidate (Fig. 16)."""

    mode: Literal["teacher", "truncate", "none"] = key("teacher", paper="Fig. 16, Table 8")
    """teacher takes the teacher's summary, or the bounded tail of the response where that fails; truncate takes the
    bounded tail; none takes the whole response, which the context alone then bounds."""

    max_tokens: int = key(512, ge=1, paper="Table 8", used=teacher_writes)
    """New tokens that the teacher may write for one summary, or one hint."""

    thinking: bool = key(False, used=teacher_writes)
    """Let the chat template open with reasoning before a summary or hint; it counts in `max_tokens`. What does not come
    to the end of its thoughts is no summary."""

    attempts: int = key(3, ge=1, used=candidates)
    """Summaries of one response that the teacher is asked for at most, each with a seed of its own: another one where
    there was none, it had another answer, or it was too long. Only then the end of the response stands in. At
    temperature 0 one is asked for."""

    mixed_forms: Literal["drop", "fall_back", "show"] = key("drop", used=pairs)
    """What becomes of a BCQ that would show a summary beside a response's own end, which would tell them apart: drop
    leaves it out, and its place in the step stays empty; fall_back shows the ends of both; show shows it all the
    same."""


class DistillationConfig(Group):
    """Learning the teacher's distributions instead of rewards: per-token Jensen-Shannon divergence (Algs. 2 and 3)."""

    mode: Literal["none", "off_policy", "on_policy"] = key("none", paper="Algs. 2 and 3")
    """off_policy learns from fresh correct teacher rollouts of every prompt, on_policy from the student's own plain
    rollouts, scored by the teacher. Student and teacher must share one vocabulary."""

    topk: int | None = key(64, ge=1)
    """Most likely tokens of the teacher at each position; the rest of the mass is one bucket. null takes the whole
    vocabulary: the exact divergence, for small vocabularies."""
