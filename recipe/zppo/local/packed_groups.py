"""Responses to one prompt behind a single copy of it, so that an update computes each prompt about once.

A row is a prompt and then responses to it, side by side. Each response attends to the prompt and to itself, and counts
its positions from the prompt's end: to the model it is alone. A group of 8 answers of 45 tokens to a prompt of 110 has
470 tokens instead of 1,240.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_CHUNK_TOKENS = 8192
"""Padded tokens of one forward and backward pass."""

_CHUNK_LOGITS = 2**27
"""Loss tokens x vocabulary of a pass: 512 MiB in fp32, of which the loss needs a few."""

_ROW_TOKENS = 1024
"""Of a row with more than one response: attention is computed between all tokens of a row, then masked."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One response as the update sees it."""

    prompt_ids: list[int]
    response_ids: list[int]
    loss_from: int
    """First token of the response that has a loss; the tokens before were given."""
    log_probs: list[float] = field(repr=False)
    """Of the tokens that the student sampled, from ``loss_from`` on; empty where it sampled none."""
    entropy: float = 0.0
    """Of the distributions that they were drawn from, in nats, the sum over them."""


@dataclass(slots=True)
class Chunk:
    """R rows of at most T tokens, padded on the right, for one pass; N tokens of B sequences have a loss."""

    input_ids: torch.Tensor  # (R, T)
    position_ids: torch.Tensor  # (R, T)
    mask: torch.Tensor | None  # (R, 1, T, T) bool, who sees whom; None where causal order says it all
    predicting: tuple[torch.Tensor, torch.Tensor]  # (N,) row and column whose logits predict a loss token
    targets: torch.Tensor  # (N,)
    sequences: torch.Tensor  # (N,) which sequence of the batch a loss token is of
    order: list[int]  # (B,) those sequences, as they follow each other in N

    def hidden(self, model: Any) -> torch.Tensor:
        """(N, H): the model's last hidden states that predict the loss tokens."""
        # Without a mask positions are plain, and transformers would take the zeros of padding for another sequence.
        positions = None if self.mask is None else self.position_ids
        states = model.base_model(
            input_ids=self.input_ids, position_ids=positions, attention_mask=self.mask, use_cache=False
        ).last_hidden_state
        return states[self.predicting]


def can_share(model: Any) -> bool:
    """Whether every layer attends to all that the mask shows; a recurrent or sliding-window layer does not."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def chunks(sequences: Sequence[Trajectory], pad: int, vocabulary: int, *, share: bool) -> Iterator[Chunk]:
    """All sequences, rows of about one length together."""
    rows = _rows(sequences, share)
    lengths = [len(sequences[row[0]].prompt_ids) + sum(len(sequences[m].response_ids) for m in row) for row in rows]
    losses = [sum(len(sequences[m].response_ids) - sequences[m].loss_from for m in row) for row in rows]
    taken: list[int] = []
    for row in sorted(range(len(rows)), key=lengths.__getitem__):
        longer = lengths[row] > lengths[taken[0]] * 1.25 + 8 if taken else False
        tokens = (len(taken) + 1) * lengths[row]
        logits = (sum(losses[i] for i in taken) + losses[row]) * vocabulary
        if taken and (longer or tokens > _CHUNK_TOKENS or logits > _CHUNK_LOGITS):
            yield _chunk(sequences, [rows[i] for i in taken], pad)
            taken = []
        taken.append(row)
    if taken:
        yield _chunk(sequences, [rows[i] for i in taken], pad)


def _rows(sequences: Sequence[Trajectory], share: bool) -> list[list[int]]:
    """Sequences of one row by index; they have their prompt in common."""
    open_rows: dict[tuple[int, ...], tuple[list[int], int]] = {}
    rows = []
    for index, sequence in enumerate(sequences):
        prompt = tuple(sequence.prompt_ids)
        row, length = open_rows.get(prompt, ([], len(prompt)))
        length += len(sequence.response_ids)
        if not row or not share or length > _ROW_TOKENS:
            row, length = [], len(prompt) + len(sequence.response_ids)
            rows.append(row)
        row.append(index)
        open_rows[prompt] = row, length
    return rows


def _chunk(sequences: Sequence[Trajectory], rows: list[list[int]], pad: int) -> Chunk:
    tokens, positions, segments = [], [], []
    at_row, at_column, targets, counts, order = [], [], [], [], []
    for number, row in enumerate(rows):
        prompt = sequences[row[0]].prompt_ids
        start = len(prompt)
        ids, places, owner = list(prompt), list(range(start)), [0] * start
        for segment, index in enumerate(row, start=1):
            response, first = sequences[index].response_ids, sequences[index].loss_from
            # The first token is predicted where the prompt ends, the others where their predecessor stands.
            columns = [start - 1, *range(len(ids), len(ids) + len(response) - 1)][first : len(response)]
            at_column += columns
            at_row += [number] * len(columns)
            targets += response[first:]
            counts.append(len(columns))
            order.append(index)
            places += range(start, start + len(response))
            owner += [segment] * len(response)
            ids += response
        tokens.append(ids)
        positions.append(places)
        segments.append(owner)
    width = max(map(len, tokens))
    together = any(len(row) > 1 for row in rows)
    return Chunk(
        _padded(tokens, width, pad),
        _padded(positions, width, 0),
        _mask(_padded(segments, width, -1)) if together else None,
        (torch.tensor(at_row, dtype=torch.long), torch.tensor(at_column, dtype=torch.long)),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(order).repeat_interleave(torch.tensor(counts)),
        order,
    )


def _padded(rows: list[list[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def _mask(segments: torch.Tensor) -> torch.Tensor:
    """Earlier tokens of the prompt (segment 0) and of one's own segment; padding sees something, or it would be NaN."""
    same = segments[:, :, None] == segments[:, None, :]
    prompt = (segments == 0)[:, None, :]
    return ((same | prompt) & torch.ones(segments.shape[1:] * 2, dtype=torch.bool).tril())[:, None]
