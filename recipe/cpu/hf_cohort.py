"""Rows that began together: the keys and values of their prompts once a prompt, those of their own tokens once a row.

A group of G responses to one prompt is the normal case in training. Its prompt is computed once, is in memory once, and
is read once a token for all of them. Rows of a cohort have equally many tokens, so that no mask is needed among them.

In fp32 whatever the model computes in: a bfloat16 product would round the scores before the softmax.
"""

from typing import NamedTuple

import torch

_FIRST_CAPACITY = 32
"""Tokens a row for which there is room at first; it doubles, up to the budget."""


class LayerCache(NamedTuple):
    """P prompts, K shared heads, S rows a prompt, room for C tokens a row."""

    prompt_keys: torch.Tensor  # (P, K, T, D)
    prompt_values: torch.Tensor  # (P, K, T, D')
    keys: torch.Tensor  # (P, K, S, C, D)
    values: torch.Tensor  # (P, K, S, C, D')


class Cohort:
    """R rows in a grid of P prompts by S rows, which gets holes as rows leave and is made anew when half empty.

    Args:
        rows: (R,) the caller's numbers.
        prompts: (R,) which prompt a row goes on from, each prompt's rows together.
        lengths: (P,) tokens of the prompts.
        prefill: keys and values (P, K, T, D) of each layer, prompts padded on the right.
        budget: the most tokens that a row will have.

    Attributes:
        tokens: (R,) the last ones, which the model has not yet seen.
    """

    def __init__(
        self,
        rows: torch.Tensor,
        prompts: torch.Tensor,
        lengths: torch.Tensor,
        prefill: list[tuple[torch.Tensor, torch.Tensor]],
        budget: int,
    ):
        self.rows, self._lengths, self._budget, self._seen = rows, lengths, budget, 0
        self.tokens = torch.zeros_like(rows)
        self._place(prompts, len(lengths))
        self._layers = []
        for keys, values in prefill:
            own = [
                t.new_empty((*t.shape[:2], self._width, 0, t.shape[-1]), dtype=torch.float32) for t in (keys, values)
            ]
            self._layers.append(LayerCache(keys.float(), values.float(), *own))
        self._hide()

    def _place(self, prompts: torch.Tensor, count: int) -> None:
        """A grid for rows of these prompts."""
        sizes = torch.bincount(prompts, minlength=count)
        self._width = int(sizes.max())
        within = torch.arange(len(prompts), device=prompts.device) - (sizes.cumsum(0) - sizes)[prompts]
        self._cells = prompts * self._width + within  # (R,) a row's place
        self._sources = self._of_cells(count)

    def _of_cells(self, count: int) -> torch.Tensor | None:
        """(P * S,) the row of each place, any for a hole; None if rows fill the grid in order."""
        size = count * self._width
        if len(self._cells) == size:
            return None
        return torch.zeros(size, dtype=torch.long, device=self._cells.device).index_copy_(
            0, self._cells, torch.arange(len(self._cells), device=self._cells.device)
        )

    def _hide(self) -> None:
        """(P, 1, 1, T) where a prompt is padding; None if none is."""
        longest = self._layers[0].prompt_keys.shape[2]
        columns = torch.arange(longest, device=self._lengths.device)
        padding = (columns >= self._lengths[:, None])[:, None, None]
        self._padding = padding if bool(padding.any()) else None

    @property
    def positions(self) -> torch.Tensor:
        """(R,) of the last tokens, after `advance`."""
        return self._lengths[self._cells // self._width] + self._seen - 1

    def num_tokens(self) -> int:
        """Places that keys and values may come to take."""
        prompts, longest = self._layers[0].prompt_keys.shape[0], self._layers[0].prompt_keys.shape[2]
        return prompts * (longest + self._width * self._budget)

    def advance(self) -> None:
        """The model is about to see the last tokens: make room for them."""
        self._seen += 1
        capacity = self._layers[0].keys.shape[3]
        if self._seen <= capacity:
            return
        more = min(max(_FIRST_CAPACITY, capacity), self._budget - capacity)
        for index, layer in enumerate(self._layers):
            wider = (torch.cat([t, t.new_empty((*t.shape[:3], more, t.shape[4]))], 3) for t in layer[2:])
            self._layers[index] = LayerCache(*layer[:2], *wider)

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """``query`` (R, H, D), ``key`` (R, K, D), ``value`` (R, K, D') of the last tokens; gives (R, H, D')."""
        cache, dtype = self._layers[layer], query.dtype
        (prompts, shared, longest, size), width = cache.prompt_keys.shape, self._width
        grouped = query.shape[1] // shared
        if self._sources is not None:
            query, key, value = query[self._sources], key[self._sources], value[self._sources]
        cache.keys[:, :, :, self._seen - 1] = key.view(prompts, width, shared, -1).transpose(1, 2)
        cache.values[:, :, :, self._seen - 1] = value.view(prompts, width, shared, -1).transpose(1, 2)
        own_keys, own_values = cache.keys[:, :, :, : self._seen], cache.values[:, :, :, : self._seen]
        query = (query.float() * scaling).view(prompts, width, shared, grouped, size).transpose(1, 2)
        query = query.reshape(prompts, shared, width * grouped, size)
        scores = query @ cache.prompt_keys.transpose(-1, -2)
        if self._padding is not None:
            scores.masked_fill_(self._padding, -torch.inf)
        own = query.view(prompts, shared, width, grouped, size) @ own_keys.transpose(-1, -2)
        own = own.view(prompts, shared, width * grouped, self._seen)
        weights = torch.softmax(torch.cat([scores, own], -1), -1)
        output = weights[..., :longest] @ cache.prompt_values
        own = weights[..., longest:].reshape(prompts, shared, width, grouped, self._seen) @ own_values
        output = output.view(own.shape).add_(own).transpose(1, 2).reshape(prompts * width, shared * grouped, -1)
        return (output if self._sources is None else output[self._cells]).to(dtype)

    def keep(self, stay: torch.Tensor) -> None:
        """Rows where ``stay`` (R,) is false leave; at least one stays."""
        prompts = len(self._lengths)
        self.rows, self.tokens, self._cells = self.rows[stay], self.tokens[stay], self._cells[stay]
        if len(self.rows) * 2 > prompts * self._width:
            self._sources = self._of_cells(prompts)
            return
        old_cells, old_width = self._cells, self._width
        alive, numbers = torch.unique(old_cells // old_width, return_inverse=True)
        self._lengths = self._lengths[alive]
        self._place(numbers, len(alive))
        cells = old_cells if self._sources is None else old_cells[self._sources]
        longest = int(self._lengths.max())

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            by_cell = tensor.transpose(1, 2).flatten(0, 1)[cells]
            return by_cell.view(len(alive), self._width, *by_cell.shape[1:]).transpose(1, 2).contiguous()

        self._layers = [
            LayerCache(
                layer.prompt_keys[alive, :, :longest],
                layer.prompt_values[alive, :, :longest],
                moved(layer.keys),
                moved(layer.values),
            )
            for layer in self._layers
        ]
        self._hide()
