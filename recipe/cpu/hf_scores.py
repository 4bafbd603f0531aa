"""The probabilities that a model gives to the tokens of a prompt."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from recipe.cpu.hf_inputs import ModelInputs
from recipe.cpu.hf_requests import PromptScores, Request

_SCORED_LOGITS = 2**26
"""Rows x positions x vocabulary of one forward pass: 256 MiB of logits in fp32."""


def score(inputs_of: ModelInputs, requests: Sequence[Request]) -> Iterator[PromptScores]:
    """Of each request, several to a forward pass."""
    model = inputs_of.model
    longest = max(len(request.prompt_ids) for request in requests)
    at_once = max(1, _SCORED_LOGITS // (longest * model.get_input_embeddings().weight.shape[0]))
    for start in range(0, len(requests), at_once):
        part = requests[start : start + at_once]
        inputs = inputs_of(part)
        if not inputs_of.vision.processor:  # else the model derives its own, three-dimensional ones
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        logits = model(**inputs, use_cache=False).logits  # (rows, width, V), prompts at the right end
        for row, request in enumerate(part):
            length = len(request.prompt_ids)
            following = torch.tensor(request.prompt_ids[1:], dtype=torch.long, device=logits.device)
            yield _scores(logits[row, -length:-1], following, request.params.prompt_logprobs or 0)


def _scores(logits: torch.Tensor, following: torch.Tensor, k: int) -> PromptScores:
    """Of the tokens ``following`` (T - 1,), by the logits (T - 1, V) that predict them."""
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    if k:
        best, ids = log_probs.topk(k, dim=-1)
    else:
        ids = following[:, None]
        best = log_probs.gather(-1, ids)
    filler = ((0, 1), (0, 0))
    return PromptScores(np.pad(ids.int().cpu().numpy(), filler), np.pad(best.cpu().numpy(), filler))
