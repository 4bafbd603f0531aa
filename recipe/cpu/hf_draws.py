"""Drawing for rows that have parameters of their own, reproducible row by row.

All work is on whole tensors (rows B, vocabulary V); no loop over rows a token. Log-prob and entropy come from the same
softmax that is drawn from.

A row with a seed draws by the inverse of the cumulative distribution, from uniforms that `torch.Generator(seed)`
yields before the first token. Which other rows are drawn beside it then changes the result only through rounding in the
model's forward pass (1e-7 relative): a token differs when its uniform falls within that of a boundary.
"""

from collections.abc import Sequence

import torch

from recipe.cpu.hf_sampling import SamplingParams
from recipe.cpu.hf_truncation import keep_top

_SMALL = 1024
_BLOCK = 256
"""The distribution of a vocabulary above `_SMALL` is added up in blocks of so many tokens, then within one of them."""

_NOT_FINITE = (
    "logits are not finite: the weights hold NaN or infinity, or overflow; if this model is being trained, the run has "
    "diverged: go back to a checkpoint from before, with a lower learning rate"
)


class Draws:
    """Draws and records the tokens of B rows that begin together.

    Log-probs are those of the full distribution at the row's temperature, log_softmax(logits / temperature), which
    is what verl's actor computes for the same tokens; top-p, top-k and the presence penalty change what is drawn and do
    not enter them. For a greedy row they are those at temperature 1.

    Args:
        params: one per row, B in all.
        eos_token_ids: end a row that does not ignore them.
        banned: tokens never drawn (placeholders of images, ids above the tokenizer's).

    Attributes:
        token_ids, log_probs: (steps, B).
        lengths: (B,) a row's tokens, its stop token included.
        done: (B,) rows that have ended by themselves.
    """

    def __init__(
        self,
        params: Sequence[SamplingParams],
        eos_token_ids: Sequence[int] = (),
        banned: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
    ):
        self.steps = max(p.max_tokens for p in params)
        temperature = torch.tensor([p.temperature for p in params], dtype=torch.float32, device=device)
        self._greedy = temperature == 0  # (B,)
        self._all_greedy, self._any_greedy = bool(self._greedy.all()), bool(self._greedy.any())
        self._temperature = torch.where(self._greedy, 1.0, temperature)[:, None]  # (B, 1)
        self._unit_temperature = bool((self._temperature == 1).all())
        self._top_p = torch.tensor([p.top_p for p in params], dtype=torch.float64, device=device)[:, None]
        self._top_k = torch.tensor([p.top_k for p in params], device=device)[:, None]
        self._cut = ((self._top_p < 1) | (self._top_k > 0))[:, 0] & ~self._greedy  # (B,)
        self._all_cut, self._any_cut = bool(self._cut.all()), bool(self._cut.any())
        penalty = torch.tensor([p.presence_penalty for p in params], dtype=torch.float32, device=device)[:, None]
        self._penalty = penalty / self._temperature if penalty.any() else None  # (B, 1), on the scale of log-probs
        self._present: torch.Tensor | None = None  # (B, V): tokens that the row's response has
        self._banned = banned.to(device) if banned is not None and banned.numel() else None
        self._uniforms = self._draw_uniforms(params).to(device)  # (steps, B)
        self._budget = torch.tensor([p.max_tokens for p in params], device=device)
        stops = [[*p.stop_token_ids, *(() if p.ignore_eos else eos_token_ids)] for p in params]
        width = max(map(len, stops))
        self._stops = torch.tensor([row + [-1] * (width - len(row)) for row in stops], device=device).long()
        self._step = 0
        # Rows are written a step at a time: a contiguous line of B each.
        self.token_ids = torch.zeros(self.steps, len(params), dtype=torch.long, device=device)
        self.log_probs = torch.zeros(self.steps, len(params), dtype=torch.float32, device=device)
        # Nats, of the temperature's distribution over the whole vocabulary, as verl's engines measure it.
        self.entropies = torch.zeros_like(self.log_probs) if any(p.entropy for p in params) else None
        self.lengths = torch.zeros_like(self._budget)
        self.done = torch.zeros_like(self._greedy)

    def _draw_uniforms(self, params: Sequence[SamplingParams]) -> torch.Tensor:
        """Uniforms in [0, 1), one column a row; a seeded row's depend on its seed and nothing else."""
        uniforms = torch.rand(self.steps, len(params))
        for row, p in enumerate(params):
            if p.seed is not None and p.temperature > 0:
                generator = torch.Generator().manual_seed(p.seed)
                uniforms[: p.max_tokens, row] = torch.rand(p.max_tokens, generator=generator)
        return uniforms

    def __call__(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The next token (R,) of each of ``rows`` (R,), from ``logits`` (R, V).

        Raises:
            FloatingPointError: a row's logits have NaN or infinity, or are minus infinity throughout.
        """
        scaled = logits.float()
        if not self._unit_temperature:
            scaled = scaled / self._temperature[rows]
        probs = torch.softmax(scaled, -1)
        if bool(probs[:, 0].isnan().any()):  # if one of a row is, all are
            raise FloatingPointError(_NOT_FINITE)
        weights = probs
        if self._penalty is not None:
            if self._present is None:
                self._present = torch.zeros(len(self._greedy), scaled.shape[-1], dtype=torch.bool, device=scaled.device)
            weights = torch.softmax(scaled - self._penalty[rows] * self._present[rows], -1)
        if self._banned is not None:
            weights = weights.index_fill(-1, self._banned, 0.0)
        if self._all_greedy:
            token = weights.argmax(-1)
        else:
            token = self._sample(weights, rows)
            if self._any_greedy:
                token = torch.where(self._greedy[rows], weights.argmax(-1), token)
        if self._present is not None:
            self._present[rows, token] = True
        step, at = self._step, token[:, None]
        self._step += 1
        self.token_ids[step, rows] = token
        log_prob = probs.gather(-1, at)[:, 0].log()
        self.log_probs[step, rows] = log_prob
        if self.entropies is not None:
            # -sum(p log p), where log p = x - log Z, and log Z is known from the drawn token: no logarithm of all.
            log_z = scaled.gather(-1, at)[:, 0] - log_prob
            self.entropies[step, rows] = (log_z - torch.linalg.vecdot(probs, scaled)).clamp_(min=0)
        self.lengths[rows] += ~self.done[rows]
        self.done[rows] |= (at == self._stops[rows]).any(-1) | (self.lengths[rows] >= self._budget[rows])
        return token

    def entropy(self, row: int, length: int) -> float | None:
        """The sum over the first tokens of a row; None where no row has asked for it."""
        return None if self.entropies is None else float(self.entropies[:length, row].sum())

    def _sample(self, weights: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """(R, V) weights -> (R,) tokens, by inverse CDF, in the order of the vocabulary."""
        uniform = self._uniforms[self._step, rows].double()[:, None]
        if not self._any_cut:
            return _of_all(weights, uniform)
        if self._all_cut:
            return self._of_top(weights, rows, uniform)
        cut, token = self._cut[rows], torch.empty_like(rows)
        token[cut] = self._of_top(weights[cut], rows[cut], uniform[cut])
        token[~cut] = _of_all(weights[~cut], uniform[~cut])
        return token

    def _of_top(self, weights: torch.Tensor, rows: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        kept, ids = keep_top(weights, self._top_k[rows], self._top_p[rows])
        return ids.gather(-1, _inverse_cdf(kept, uniform)[0])[:, 0]


def _of_all(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """(R, V) weights, (R, 1) uniforms -> (R,) tokens."""
    vocabulary = weights.shape[-1]
    if vocabulary <= _SMALL:
        return _inverse_cdf(weights.double(), uniform)[0][:, 0]
    whole = vocabulary // _BLOCK * _BLOCK
    blocks = weights[:, :whole].unflatten(-1, (-1, _BLOCK)).sum(-1)
    blocks = torch.cat([blocks, weights[:, whole:].sum(-1, keepdim=True)], -1)
    block, within = _inverse_cdf(blocks.double(), uniform)
    columns = block * _BLOCK + torch.arange(_BLOCK, device=weights.device)
    inside = weights.gather(-1, columns.clamp(max=vocabulary - 1)).masked_fill_(columns >= vocabulary, 0.0)
    return (block * _BLOCK + _inverse_cdf(inside.double(), within)[0])[:, 0]


def _inverse_cdf(weights: torch.Tensor, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the CDF of ``weights`` (R, N) first exceeds ``uniform`` (R, 1) of its total, both (R, 1): the entry, whose
    weight is positive, and how far into it, in [0, 1]."""
    cdf = weights.cumsum(-1)
    total = cdf[:, -1:]
    # Strictly below the total, or no entry would exceed it.
    point = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    entry = torch.searchsorted(cdf, point, right=True)
    weight = weights.gather(-1, entry)
    return entry, ((point - (cdf.gather(-1, entry) - weight)) / weight).clamp(0, 1)
