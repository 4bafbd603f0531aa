"""What is asked of a Hugging Face model, and what it answers."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from recipe.cpu.hf_sampling import SamplingParams


@dataclass(slots=True)
class Request:
    """`prompt_ids` with vision placeholders expanded, and the processor's features behind them."""

    prompt_ids: list[int]
    params: SamplingParams
    features: dict[str, torch.Tensor] = field(default_factory=dict)


class PromptScores(NamedTuple):
    """Tokens and their log-probs at temperature 1, (prompt length, max(1, k)) each, laid out as by verl's vLLM server.

    Row t is about token t + 1, given the tokens up to t: the most probable first, or with k = 0 the prompt's own. The
    last row, about what would come next, is filled with zeros.
    """

    token_ids: np.ndarray
    log_probs: np.ndarray


@dataclass(frozen=True, slots=True)
class Response:
    token_ids: list[int]
    log_probs: list[float] | None
    aborted: bool
    prompt_scores: PromptScores | None = None
    entropy: float | None = None
    """In nats, the sum over the tokens; where it was asked for."""
