"""Top-k and top-p without sorting a vocabulary at every token.

Of 49,152 tokens some twenty stay; to sort all of them takes longer than the model does.
"""

import torch

_HEAD = 256
"""Entries to begin with where top-p alone decides how many stay."""


def keep_top(weights: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a row may draw: of its `top_k` largest weights (0: of all) the fewest that reach `top_p` of their sum.

    Among equal weights the lower token id comes first. One entry stays even at top-p 0.

    Args:
        weights: (R, V), fp32, not negative.
        top_k: (R, 1).
        top_p: (R, 1), fp64.

    Returns:
        (R, H) weights in fp64, 0 where an entry is left out, and their token ids in ascending order, for an H that
        holds what any of the rows keeps.
    """
    vocabulary, limited = weights.shape[-1], top_k > 0
    head = max(int(top_k.max()), 0 if bool(limited.all()) else _HEAD)
    keys = _keys(weights)
    while True:
        head = min(head, vocabulary)
        ids = vocabulary - 1 - (keys.topk(head, -1).values & 0xFFFFFFFF)
        rank = torch.arange(head, device=weights.device)
        ordered = weights.gather(-1, ids).double().masked_fill(limited & (rank >= top_k), 0.0)
        mass = ordered.sum(-1, keepdim=True)
        total = torch.where(limited, mass, weights.sum(-1, keepdim=True, dtype=torch.float64))
        if head == vocabulary or bool((limited | (mass >= top_p * total)).all()):
            break
        head *= 8
    # Drop a token if the mass before it already reaches top_p. The most probable one has none before it.
    mass_before = ordered.cumsum(-1) - ordered
    kept = ordered.masked_fill((top_p < 1) & (mass_before >= top_p * total) & (rank > 0), 0.0)
    ids, by_id = ids.sort(-1)
    return kept.gather(-1, by_id), ids


def _keys(weights: torch.Tensor) -> torch.Tensor:
    """(R, V) whole numbers, no two alike: in the order of the weights, the lower of equal tokens being the larger."""
    # The bits of floats that are not negative are in the order of the floats.
    bits = weights.contiguous().view(torch.int32).long()
    return (bits << 32) | torch.arange(weights.shape[-1] - 1, -1, -1, device=weights.device)
