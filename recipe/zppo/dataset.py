"""verl's RL data set with a stable id for every prompt, and the closer counted in its length."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import datasets
from verl.utils.dataset.rl_dataset import RLHFDataset

from recipe.zppo import prompts
from recipe.zppo.run_errors import DataError


class ZPPODataset(RLHFDataset):
    """Adds to each row ``prompt_id`` (unique) and ``row`` (its place in the data set, what the buffer refers to).

    The id is the column ``zppo.data.prompt_id_key`` where there is one, otherwise a hash of the row's question and
    answer. Prompts are filtered by ``data.max_prompt_length`` with the closer included; ``num_dropped`` counts them.
    """

    num_dropped = 0

    def _read_files_and_tokenize(self) -> None:
        super()._read_files_and_tokenize()
        self.prompt_ids = self._read_prompt_ids()

    def _read_prompt_ids(self) -> list[str]:
        key = self.config.get("prompt_id_key", None) or "prompt_id"
        if key in self.dataframe.column_names:
            return [str(value) for value in self.dataframe[key]]
        seen: dict[str, int] = {}
        ids = []
        columns = [name for name in (self.prompt_key, "reward_model") if name in self.dataframe.column_names]
        for row in self.dataframe.select_columns(columns):
            text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)
            digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            repeat = seen.get(digest, 0)
            seen[digest] = repeat + 1
            ids.append(f"{digest}-{repeat}" if repeat else digest)
        return ids

    def maybe_filter_out_long_prompts(self, dataframe: datasets.Dataset | None = None) -> datasets.Dataset:
        """verl's filter, with room left for the closer that goes on at run time."""
        before, limit = len(dataframe), self.max_prompt_length
        self.max_prompt_length = limit - len(
            self.tokenizer.encode("\n\n" + prompts.CLOSER.text, add_special_tokens=False)
        )
        try:
            kept = super().maybe_filter_out_long_prompts(dataframe)
        finally:
            self.max_prompt_length = limit
        self.num_dropped = before - len(kept)
        if not len(kept):
            raise DataError(
                f"no prompt of {list(self.data_files)} fits data.max_prompt_length={limit} with the closer included"
            )
        return kept

    def __getitem__(self, item: int) -> dict[str, Any]:
        row = super().__getitem__(item)
        row["prompt_id"], row["row"] = self.prompt_ids[item], int(item)
        return row
