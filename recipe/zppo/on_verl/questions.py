"""The questions of a step: new ones from verl's data loader, replayed ones from the buffer by their row."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from verl.utils.dataset.rl_dataset import collate_fn

from recipe.zppo.errors import CheckpointError, DataError
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.packing import unpack
from recipe.zppo.run.data_change import DataChange, check_data
from recipe.zppo.types import Question


class QuestionSource:
    """Draws X = X_new + X_replay.

    The buffer holds a prompt id and its row; the row is read again from the data set, so that images are never copied
    into the buffer and a replayed question is exactly the one that was admitted.
    """

    def __init__(self, dataset: ZPPODataset, dataloader: Iterable[dict[str, Any]]):
        if not hasattr(dataset, "prompt_ids"):
            raise DataError(
                f"data.custom_cls: {type(dataset).__name__} has no prompt_ids; derive it from "
                "recipe.zppo.on_verl.dataset.ZPPODataset"
            )
        if len(set(dataset.prompt_ids)) != len(dataset):
            raise DataError(
                f"{list(dataset.data_files)} hold duplicate prompt ids; the buffer knows a prompt by its id"
            )
        self._dataset, self._batches = dataset, _endless(dataloader)

    @property
    def prompt_ids(self) -> list[str]:
        """Of all rows, in their order."""
        return self._dataset.prompt_ids

    def change_since(self, state: Mapping[str, Any], path: str, *, accept: bool) -> DataChange | None:
        """What changed since a checkpoint with `identity` and `prompt_ids`, see `check_data`."""
        then = state.get("prompt_ids")
        return check_data(
            state.get("identity"),
            None if then is None else [str(prompt_id) for prompt_id in unpack(then)],
            self.prompt_ids,
            path,
            accept=accept,
            place=self._dataset.place_of,
        )

    def next_step(self, buffer: PromptReplayBuffer, num_replay: int) -> tuple[list[Question], int]:
        """New questions first, then the replayed ones; a prompt that is new is not replayed in the same step.

        Returns:
            the questions and the number of new ones.
        """
        batch = next(self._batches)
        new = [self._question(batch, i, replayed=False) for i in range(len(batch["prompt_id"]))]
        # Where one epoch ends and the next begins within a step a prompt can come twice; it counts once.
        unique = list({question.prompt_id: question for question in new}.values())
        sampled = buffer.sample(num_replay, exclude={question.prompt_id for question in unique}) if num_replay else []
        replayed = [self.get(str(entry.prompt_id), int(entry.reference), True) for entry in sampled]
        return [*unique, *replayed], len(unique)

    def get(self, prompt_id: str, row: int, replayed: bool) -> Question:
        """The question in data row ``row``.

        Raises:
            CheckpointError: the row now holds another question (the data files changed since the checkpoint).
        """
        found = self._dataset.prompt_ids[row] if row < len(self._dataset) else None
        if found != prompt_id:
            raise CheckpointError(
                f"row {row} of data.train_files holds {found!r} where the checkpoint has {prompt_id!r}: "
                "the data files changed; restore them, or start afresh with trainer.resume_mode=disable"
            )
        return self._question(collate_fn([self._dataset[row]]), 0, replayed=replayed)

    def metrics(self) -> dict[str, float]:
        return {"zppo/data/dropped_overlong": float(self._dataset.num_dropped)}

    @staticmethod
    def _question(batch: dict[str, Any], i: int, *, replayed: bool) -> Question:
        data = {key: _plain(value[i]) for key, value in batch.items()}
        return Question(str(data["prompt_id"]), int(data["row"]), replayed, data)


def _endless(dataloader: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Its batches, epoch after epoch. Restored where an epoch ends, a loader is empty once."""
    was_empty = False
    while True:
        batch = None
        for batch in dataloader:
            yield batch
        if batch is None and was_empty:
            raise DataError("the data loader is empty")
        was_empty = batch is None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
