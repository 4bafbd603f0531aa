"""verl's RL data set with a stable id for every prompt, and images that stay encoded until they are shown."""

import hashlib
import json
from collections import Counter
from typing import Any

import datasets
import numpy as np
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.tokenizer import build_multimodal_processor_inputs, normalize_token_ids

from recipe.zppo import prompts
from recipe.zppo.benchmarks.validation_rows import COLUMN
from recipe.zppo.errors import DataError, ZPPOError, first_line
from recipe.zppo.media import parts as media
from recipe.zppo.media.columns import as_list, left_encoded, with_one_form
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.joined_files import with_common_types
from recipe.zppo.on_verl.row_files import load_frame

NO_SOURCE = "unknown"
"""`data_source` of a row without one; verl's own word where it has a default."""


class ZPPODataset(RLHFDataset):
    """Adds to each row ``prompt_id`` (unique) and ``row`` (its place in the data set, what the buffer refers to).

    The id is the column ``zppo.data.prompt_id_key`` where there is one, otherwise a hash of the row's question and
    answer. Prompts are filtered by ``data.max_prompt_length`` with the closer and the tokens of images included;
    ``num_dropped`` counts them.
    """

    num_dropped = 0

    def _read_files_and_tokenize(self) -> None:
        """verl's reading, for files that need not have the same types, nor the same form of images, or any.

        Raises:
            DataError: the files' columns are of different types.
        """
        columns = Columns(self.config)
        frames = [columns.frame(left_encoded(load_frame(file, columns.answers))) for file in self.data_files]
        media_columns = (self.image_key, self.video_key)
        frames = with_common_types(frames, list(self.data_files), skipped=media_columns, id_column=self._id_column)
        for column in media_columns:
            frames = with_one_form(frames, column)
        self._ends = np.cumsum([len(frame) for frame in frames])
        try:
            dataframe = datasets.concatenate_datasets(frames)
        except ValueError as error:
            raise DataError(f"{list(self.data_files)} do not go together: {first_line(error)}") from error
        self._positions = np.arange(len(dataframe))
        if 0 < self.max_samples < len(dataframe):
            rows = np.arange(self.max_samples)
            if self.shuffle:
                rows = np.random.default_rng(self.seed).choice(len(dataframe), size=self.max_samples, replace=False)
            dataframe, self._positions = dataframe.select(rows.tolist()), rows
        self.dataframe = self.maybe_filter_out_long_prompts(dataframe)
        self.prompt_ids = self._read_prompt_ids()

    @property
    def _id_column(self) -> str:
        return self.config.get("prompt_id_key", None) or "prompt_id"

    def place_of(self, row: int) -> str:
        """File and row of a row of the data set."""
        position = int(self._positions[row])
        file = int(np.searchsorted(self._ends, position, side="right"))
        return f"{self.original_data_files[file]} row {position - (int(self._ends[file - 1]) if file else 0)}"

    def _read_prompt_ids(self) -> list[str]:
        key, columns = self._id_column, self.dataframe.column_names
        given = list(self.dataframe[key]) if key in columns else [None] * len(self.dataframe)
        if given and None not in given:
            return [str(value) for value in given]
        seen: Counter[str] = Counter()
        ids = []
        hashed = [name for name in (self.prompt_key, "reward_model") if name in columns]
        for value, row in zip(given, self.dataframe.select_columns(hashed), strict=True):
            if value is not None:  # of a file with ids, joined with one without
                ids.append(str(value))
                continue
            digest = known_by(row)
            ids.append(f"{digest}-{seen[digest]}" if seen[digest] else digest)
            seen[digest] += 1
        return ids

    # ------------------------------------------------------------------ length

    def maybe_filter_out_long_prompts(self, dataframe: datasets.Dataset | None = None) -> datasets.Dataset:
        """Leave out prompts longer than ``data.max_prompt_length`` less the closer that goes on at run time.

        verl's own filter drops rows that it can't read, with a message among many; here such a row stops the run.

        Raises:
            DataError: no prompt is left; or the prompt, an image or a video of a row can't be used.
        """
        if not self.filter_overlong_prompts:
            return dataframe
        limit = self.max_prompt_length
        room = limit - closer_tokens(self.tokenizer)
        measured = dataframe.map(
            self._measure,
            with_indices=True,
            remove_columns=dataframe.column_names,
            # One process is this one; a pool of one would only copy it.
            num_proc=self.num_workers if (self.num_workers or 1) > 1 else None,
            load_from_cache_file=False,  # files that images lie in may have changed
            desc="Counting the tokens of prompts",
        )
        problems = [text for text in measured["problem"] if text]
        if problems:
            raise DataError(f"{problems[0]} ({len(problems)} such row(s) in all)")
        lengths = measured["length"]
        fitting = [row for row, length in enumerate(lengths) if length <= room]
        kept, self._positions = dataframe.select(fitting), self._positions[fitting]
        self.num_dropped = len(dataframe) - len(kept)
        if not len(kept):
            raise DataError(
                f"no prompt of {list(self.data_files)} fits data.max_prompt_length={limit} with the closer included"
            )
        print(f"data: {len(kept)} of {len(dataframe)} prompts fit data.max_prompt_length={limit}")
        return kept

    def _measure(self, row: dict[str, Any], index: int) -> dict[str, Any]:
        """Tokens of a row's prompt, or what is wrong with it."""
        try:
            return {"length": self._num_tokens(row), "problem": ""}
        except Exception as error:  # tokenizer and processor raise what they like
            return {"length": 0, "problem": f"{self._name(row, index)}: {first_line(error)}"}

    def _num_tokens(self, row: dict[str, Any]) -> int:
        messages = self._build_messages(row, key=self.prompt_key)
        options = dict(self.apply_chat_template_kwargs)
        for name in ("tokenize", "return_dict", "return_tensors"):
            options.pop(name, None)
        if self.tool_schemas is not None:
            options["tools"] = self.tool_schemas
        if self.processor is None:
            ids = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, **options)
            return len(normalize_token_ids(ids))
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **options)
        if not media.has_media(messages):
            return len(self.tokenizer.encode(text, add_special_tokens=False))
        images, videos = media.extract(messages, self.image_patch_size)
        inputs = build_multimodal_processor_inputs(
            self.processor, text=[text], images=images, videos=videos, mm_processor_kwargs=self.mm_processor_kwargs
        )
        return len(inputs["input_ids"][0])

    # ------------------------------------------------------------------ rows

    def _build_messages(self, example: dict, key: str) -> list[dict]:
        """The messages with images and videos at their placeholders, still encoded (verl opens them here)."""
        if example.get(self.audio_key):
            raise DataError("audio is not supported")
        columns, messages = (self.image_key, self.video_key), media.spoken(example[key])
        if all(example.get(column) is None for column in columns) and _is_text(messages):
            return messages  # `<image>` is text where nobody speaks of images; an empty list speaks of them
        images, videos = (as_list(example.get(column)) for column in columns)
        messages = media.place(messages, images, videos)
        if not example.get(COLUMN):  # a benchmark's images are of the paper's size already
            messages = media.limited(messages, self.config.get("min_pixels"), self.config.get("max_pixels"))
        if self.processor is None and media.has_media(messages):
            raise DataError(
                "the row has images or videos, and actor_rollout_ref.model.path has no processor for them: "
                "it is a text model, or its processor's files are missing"
            )
        return messages

    @classmethod
    def _process_multi_modal_info(cls, messages: list[dict], image_patch_size: int, config: Any) -> tuple:
        """verl's hook, for rollouts as well: images, videos, audio."""
        return (*media.extract(messages, image_patch_size), None)

    def __getitem__(self, item: int) -> dict[str, Any]:
        try:
            row = super().__getitem__(item)
        except ZPPOError as error:
            raise DataError(f"{self.place_of(item)} ({self.prompt_ids[item]}): {error}") from error
        row["prompt_id"], row["row"] = self.prompt_ids[item], int(item)
        if row.get("data_source") is None:  # the reward function and the metrics of validation are given it
            row["data_source"] = NO_SOURCE
        return row

    def _name(self, row: dict[str, Any], index: int) -> str:
        prompt_id = row.get(self._id_column)
        return self.place_of(index) + (f" ({prompt_id})" if prompt_id is not None else "")


def known_by(row: dict[str, Any]) -> str:
    """16 hex digits of a row's question and answer."""
    text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def closer_tokens(tokenizer: Any) -> int:
    """Of what goes on behind every prompt at run time."""
    return len(tokenizer.encode(prompts.SEPARATOR + prompts.closer(), add_special_tokens=False))


def _is_text(messages: list[dict]) -> bool:
    return all(isinstance(message["content"], str) for message in messages)
