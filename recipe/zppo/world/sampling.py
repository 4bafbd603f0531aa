"""Plain sampling with a KV cache, for measuring a world without a server."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from transformers import Cache, PreTrainedModel

MAX_NEW_TOKENS = 32


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    num_samples: int,
    *,
    inputs: Callable[[torch.Tensor, list[int]], dict[str, torch.Tensor]],
    eos_id: int,
    generator: torch.Generator,
    max_rows: int,
) -> list[list[list[int]]]:
    """Response ids at temperature 1, without the end token, as `[prompt][sample][position]`.

    Prompts of equal length go together, which needs no padding; each is read once for all its samples.

    Args:
        inputs: what the model takes for these token ids (prompts, length), of the prompts with these numbers.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    responses: list[list[list[int]]] = [[] for _ in prompts]
    per_batch = max(1, max_rows // num_samples)
    for indices in by_length.values():
        for start in range(0, len(indices), per_batch):
            chosen = indices[start : start + per_batch]
            ids = torch.tensor([prompts[i] for i in chosen])
            rows = _sample_batch(model, inputs(ids, chosen), num_samples, eos_id, generator).tolist()
            for position, row in enumerate(rows):
                end = row.index(eos_id) if eos_id in row else len(row)
                responses[chosen[position // num_samples]].append(row[:end])
    return responses


def _sample_batch(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    num_samples: int,
    eos_id: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Inputs of some prompts to (prompts * samples, at most MAX_NEW_TOKENS) response ids, eos after the end."""
    output = model(**inputs, use_cache=True, logits_to_keep=1)
    cache = output.past_key_values
    _repeat(cache, num_samples)
    logits = output.logits[:, -1].repeat_interleave(num_samples, dim=0)
    finished = torch.zeros(len(logits), dtype=torch.bool)
    columns = []
    for _ in range(MAX_NEW_TOKENS):
        token = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        token[finished] = eos_id
        columns.append(token)
        finished |= token[:, 0] == eos_id
        if finished.all():
            break
        output = model(input_ids=token, past_key_values=cache, use_cache=True)
        logits = output.logits[:, -1]
    return torch.cat(columns, dim=1)


def _repeat(cache: Cache, times: int) -> None:
    """Each row of the cache `times` times. The cache of linear attention layers has no method for it."""
    for layer in cache.layers:
        if getattr(layer, "recurrent_states", None) is None:
            layer.batch_repeat_interleave(times)
        else:
            layer.conv_states = layer.conv_states.repeat_interleave(times, dim=0)
            layer.recurrent_states = layer.recurrent_states.repeat_interleave(times, dim=0)
