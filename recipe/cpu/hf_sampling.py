"""The sampling parameters of one request, as verl's agent loops send them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    entropy: bool = False
    """Whether the response tells the entropy of what its tokens were drawn from."""

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
