"""Sampling for a batch whose rows have parameters of their own, reproducible row by row.

Hugging Face's `generate` has one set of sampling parameters and one random stream for a whole batch. Here every row
is one request: `BatchSampler` is a logits processor that draws each row's token itself, records its log-prob, and
leaves finite only the logit of that token, so that `generate` runs greedily on top of it; `stopping` ends each row
by its own budget and stop tokens. All work is on whole tensors (rows B, vocabulary V); no loop over rows a token.

A row with a seed draws by the inverse of the cumulative distribution, from uniforms that `torch.Generator(seed)`
yields before the batch starts. Which other rows share the batch then changes the result only through rounding in the
model's forward pass (1e-7 relative): a token differs when its uniform falls within that of a boundary.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

# Parameters of vLLM and SGLang that callers pass with their neutral value; any other value is refused.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1, None),
    "frequency_penalty": (0, None),
    "min_p": (0, None),
    "min_tokens": (0, None),
    "n": (1, None),
    "stop": (None, [], ()),
    "detokenize": (True, False, None),  # about text, like the next
    "skip_special_tokens": (True, False, None),  # about text; this back end returns tokens
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's parameters. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are off."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int | None = None
    logprobs: bool = False
    ignore_eos: bool = False
    stop_token_ids: tuple[int, ...] = ()
    presence_penalty: float = 0.0
    """Taken from the logit of each token that the response has already; as in vLLM, the prompt does not count."""
    prompt_logprobs: int | None = None
    """Score the prompt instead of going on with it: the k most probable tokens at each position, 0 for the prompt's."""

    @classmethod
    def parse(cls, params: Mapping[str, Any], *, defaults: "SamplingParams") -> "SamplingParams":
        """Read the dictionary that verl's agent loops send.

        Raises:
            ValueError: a parameter is unknown, unsupported or out of range; the message names it.
        """
        left = dict(params)

        def number(name: str, default, kind, low, high=math.inf):
            value = left.pop(name, None)
            if value is None:
                return default
            if isinstance(value, bool) or not isinstance(value, int | float) or value != kind(value):
                raise ValueError(f"sampling parameter {name}={value!r}: expected {kind.__name__}")
            if not low <= value <= high:
                raise ValueError(f"sampling parameter {name}={value!r}: must be in [{low}, {high}]")
            return kind(value)

        if left.get("max_tokens") is not None and left.get("max_new_tokens") is not None:
            raise ValueError("sampling parameters max_tokens and max_new_tokens are the same thing; give one")
        # As in verl's vLLM server, a budget below one token means one token.
        budget = number("max_new_tokens", None, int, -math.inf)
        budget = number("max_tokens", defaults.max_tokens if budget is None else budget, int, -math.inf)
        stop_token_ids = left.pop("stop_token_ids", None) or ()
        if not all(isinstance(token, int) for token in stop_token_ids):
            raise ValueError(f"sampling parameter stop_token_ids={stop_token_ids!r}: expected a list of int")
        top_k = number("top_k", defaults.top_k, int, -1)
        parsed = cls(
            temperature=number("temperature", defaults.temperature, float, 0.0),
            top_p=number("top_p", defaults.top_p, float, 0.0, 1.0),
            top_k=max(0, top_k),  # -1 is vLLM's way to switch it off
            max_tokens=max(1, budget),
            seed=number("seed", defaults.seed, int, 0, 2**63 - 1),
            # An int is vLLM's number of alternatives: only the sampled token's log-prob is kept here.
            logprobs=_flag("logprobs", left.pop("logprobs", None), defaults.logprobs),
            ignore_eos=bool(left.pop("ignore_eos", None) or defaults.ignore_eos),
            stop_token_ids=tuple(stop_token_ids),
            presence_penalty=number("presence_penalty", defaults.presence_penalty, float, -2.0, 2.0),
            prompt_logprobs=number("prompt_logprobs", None, int, 0),
        )
        if parsed.prompt_logprobs is not None and parsed.max_tokens > 1:
            raise ValueError(
                f"sampling parameter prompt_logprobs={parsed.prompt_logprobs}: the hf rollout scores a prompt or "
                f"generates, not both; send max_tokens=1, not {parsed.max_tokens}"
            )
        for name, value in left.items():
            if name not in _NEUTRAL:
                raise ValueError(f"sampling parameter {name!r} is unknown to the hf rollout")
            if value not in _NEUTRAL[name]:
                raise ValueError(f"sampling parameter {name}={value!r} is not supported by the hf rollout")
        return parsed


def _flag(name: str, value: Any, default: bool) -> bool:
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if value in (0, 1):  # vLLM's "log-prob of the sampled token" and "of the best one, too"
        return True
    raise ValueError(f"sampling parameter {name}={value!r}: the hf rollout returns the sampled token's log-prob only")


class BatchSampler(LogitsProcessor):
    """Draws, records and forces one token a row and step.

    Log-probs are those of the full distribution at the row's temperature, log_softmax(logits / temperature), which
    is what verl's actor computes for the same tokens; top-p, top-k and the presence penalty change what is drawn and do
    not enter them. For a greedy row they are those at temperature 1.

    Args:
        params: one per row, B in all.
        banned: tokens never drawn (placeholders of images, ids above the tokenizer's).
    """

    def __init__(self, params: Sequence[SamplingParams], banned: torch.Tensor | None = None):
        self.steps = max(p.max_tokens for p in params)
        temperature = torch.tensor([p.temperature for p in params], dtype=torch.float32)
        self._greedy = temperature == 0  # (B,)
        self._all_greedy = bool(self._greedy.all())
        self._temperature = torch.where(self._greedy, 1.0, temperature)[:, None]  # (B, 1)
        self._unit_temperature = bool((self._temperature == 1).all())
        self._top_p = torch.tensor([p.top_p for p in params], dtype=torch.float32)[:, None]
        self._top_k = torch.tensor([p.top_k for p in params])[:, None]
        self._truncate = any((p.top_p < 1 or p.top_k > 0) and p.temperature > 0 for p in params)
        penalty = torch.tensor([p.presence_penalty for p in params], dtype=torch.float32)[:, None]
        self._penalty = penalty / self._temperature if penalty.any() else None  # (B, 1), on the scale of log-probs
        self._present: torch.Tensor | None = None  # (B, V): tokens that the row's response has
        self._banned = banned if banned is not None and banned.numel() else None
        self._uniforms = self._draw_uniforms(params)  # (steps, B)
        self._step = 0
        # Rows are written a step at a time: a contiguous line of B each.
        self.token_ids = torch.zeros(self.steps, len(params), dtype=torch.long)
        self.log_probs = torch.zeros(self.steps, len(params), dtype=torch.float32)

    def _draw_uniforms(self, params: Sequence[SamplingParams]) -> torch.Tensor:
        """Uniforms in [0, 1), one column a row; a seeded row's depend on its seed and nothing else."""
        uniforms = torch.rand(self.steps, len(params))
        for row, p in enumerate(params):
            if p.seed is not None and p.temperature > 0:
                generator = torch.Generator().manual_seed(p.seed)
                uniforms[: p.max_tokens, row] = torch.rand(p.max_tokens, generator=generator)
        return uniforms

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """(B, T) tokens so far, (B, V) logits -> (B, V) scores whose only finite entry is the drawn token's."""
        log_probs = scores.float()
        if not self._unit_temperature:
            log_probs = log_probs / self._temperature
        log_probs = torch.log_softmax(log_probs, dim=-1)
        candidates = log_probs
        if self._penalty is not None:
            if self._present is None:
                self._present = torch.zeros_like(log_probs, dtype=torch.bool)
            candidates = torch.log_softmax(log_probs - self._penalty * self._present, dim=-1)
        if self._banned is not None:
            candidates = candidates.index_fill(-1, self._banned, -math.inf)
        if self._all_greedy:
            token = candidates.argmax(-1)
        else:
            token = self._sample(candidates)
            if self._greedy.any():
                token = torch.where(self._greedy, candidates.argmax(-1), token)
        token = token[:, None]  # (B, 1)
        if self._present is not None:
            self._present.scatter_(-1, token, True)
        self.token_ids[self._step] = token[:, 0]
        self.log_probs[self._step] = log_probs.gather(-1, token)[:, 0]
        self._step += 1
        return scores.fill_(-math.inf).scatter_(-1, token, 0.0)

    def _sample(self, log_probs: torch.Tensor) -> torch.Tensor:
        """(B, V) log-probs -> (B,) tokens, by inverse CDF in float64, in the order of the vocabulary."""
        probs = log_probs.double().exp_()
        if self._truncate:
            probs = self._keep_top(probs)
        cdf = probs.cumsum(-1)
        # Strictly below the total, so the first entry whose CDF exceeds the point exists and has a positive
        # probability. (A uniform is at most 1 - 2**-24; the product cannot round up to the total.)
        point = self._uniforms[self._step].double()[:, None] * cdf[:, -1:]
        return torch.searchsorted(cdf, point, right=True)[:, 0]

    def _keep_top(self, probs: torch.Tensor) -> torch.Tensor:
        """Zero what top-k, then top-p exclude. Among equal probabilities the lower token id comes first."""
        ordered, order = probs.sort(dim=-1, descending=True, stable=True)
        rank = torch.arange(probs.shape[-1])
        drop = (self._top_k > 0) & (rank >= self._top_k)
        ordered = ordered.masked_fill(drop, 0.0)
        # The smallest set whose mass reaches top_p: drop a token if the mass before it already does. The most
        # probable token has no mass before it and stays even at top_p 0.
        mass_before = ordered.cumsum(-1) - ordered
        drop = (self._top_p < 1) & (mass_before >= self._top_p.double() * ordered.sum(-1, keepdim=True)) & (rank > 0)
        return torch.zeros_like(probs).scatter_(-1, order, ordered.masked_fill(drop, 0.0))


class RowStopping(StoppingCriteria):
    """Ends a row at its budget or stop token, and the batch when every row has ended or `aborted()` says so.

    `lengths` (B,) counts a row's tokens, its stop token included. It has no attribute `eos_token_id` on purpose:
    `generate` would then overwrite tokens of ended rows with padding.
    """

    def __init__(self, params: Sequence[SamplingParams], eos_token_ids: Sequence[int], aborted=lambda: False):
        self._budget = torch.tensor([p.max_tokens for p in params])
        width = max(len(p.stop_token_ids) + (0 if p.ignore_eos else len(eos_token_ids)) for p in params)
        stops = [[*p.stop_token_ids, *(() if p.ignore_eos else eos_token_ids)] for p in params]
        self._stops = torch.tensor([row + [-1] * (width - len(row)) for row in stops]).reshape(len(params), width)
        self._aborted = aborted
        self._done = torch.zeros(len(params), dtype=torch.bool)
        self.lengths = torch.zeros(len(params), dtype=torch.long)

    def __call__(self, input_ids: torch.LongTensor, scores, **kwargs) -> torch.BoolTensor:
        self.lengths += ~self._done
        hit = (input_ids[:, -1:] == self._stops).any(-1)
        self._done = self._done | hit | (self.lengths >= self._budget)
        if self._aborted():
            return torch.ones_like(self._done)
        return self._done.clone()

    @property
    def finished(self) -> torch.BoolTensor:
        """(B,) rows that ended by themselves, as opposed to being aborted."""
        return self._done
