"""verl's checkpoint and training data that changed since: what is restored, with verl's part of it in its place."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.utils.dataset.rl_dataset import collate_fn

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import CheckpointError
from recipe.zppo.on_verl.borrowed import create_rl_sampler
from recipe.zppo.on_verl.checkpoint import STATE_FILE, CheckpointMixin
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.packing import pack
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE
from recipe.zppo.run.identity import TRAIN_FILES, data_identity
from tests.on_verl.test_dataset import dataset, row


class Verl:
    """Of verl's trainer what matters here: it keeps the place in the data in ``data.pt``."""

    def _load_checkpoint(self) -> None:
        self.train_dataloader.load_state_dict(torch.load(f"{self.folder}/data.pt", weights_only=False))


class Trainer(CheckpointMixin, Verl):
    def __init__(self, folder, rows: list[dict], accept: bool = False):
        self.folder = folder / "global_step_1"
        trainer = {"resume_mode": "resume_path", "resume_from_path": str(self.folder), "device": "cpu"}
        self.config = OmegaConf.create({"trainer": trainer, "data": {"shuffle": True, "seed": 1}})
        self.zppo = ZPPOConfig.model_validate({"data": {"accept_changes": accept}})
        self.data = dataset(folder, rows)
        sampler = create_rl_sampler(self.config.data, self.data)
        self.train_dataloader = StatefulDataLoader(
            self.data, batch_size=2, drop_last=True, sampler=sampler, collate_fn=collate_fn
        )
        self.questions = QuestionSource(self.data, self.train_dataloader)
        self.buffer, self.metrics_log = PromptReplayBuffer(9, 0.5, 0), SimpleNamespace(restored=None)
        self.event_log = SimpleNamespace(restored=None, gone=())

    def _identity(self) -> dict:
        return {TRAIN_FILES: data_identity(self.questions.prompt_ids)}

    def save(self) -> None:
        (self.folder / "actor").mkdir(parents=True)
        self.buffer.update(1, [(name, 0.0, row) for row, name in enumerate(self.questions.prompt_ids)])
        ids = pack(self.questions.prompt_ids)
        state = {
            "format": 1,
            "seed": 0,
            "identity": self._identity(),
            "prompt_ids": ids,
            "pending": None,
            "metrics": {},
        }
        torch.save(state | {"buffer": self.buffer.state_dict()}, self.folder / STATE_FILE)
        torch.save(self.train_dataloader.state_dict(), self.folder / "data.pt")
        (self.folder / COMPLETE_FILE).write_text("{}")

    def rest(self) -> list[list[int]]:
        """The rows of the pass over the data that are still to come."""
        return [batch["row"].tolist() for batch in self.train_dataloader]


ROWS = [row(f"a+{number}=?") for number in range(8)]


@pytest.fixture
def left(tmp_path) -> list[list[int]]:
    """A checkpoint after two batches, and the two that are left."""
    first = Trainer(tmp_path, ROWS)
    batches = iter(first.train_dataloader)
    for _ in range(2):
        next(batches)
    first.save()
    return [batch["row"].tolist() for batch in batches]


def test_a_mended_row_is_refused_and_then_the_pass_goes_on(tmp_path, left) -> None:
    rows = [*ROWS[:3], row("mended"), *ROWS[4:]]
    with pytest.raises(CheckpointError, match=r"8 prompts; 1 of them changed \(.*rows.parquet row 3\)\. Set them back"):
        Trainer(tmp_path, rows)._load_checkpoint()
    trainer = Trainer(tmp_path, rows, accept=True)
    trainer._load_checkpoint()
    assert trainer.rest() == left
    assert sorted(entry.reference for entry in trainer.buffer.sample(9)) == [0, 1, 2, 4, 5, 6, 7]


def test_fewer_rows_begin_a_new_pass(tmp_path, left) -> None:
    trainer = Trainer(tmp_path, ROWS[5:], accept=True)
    trainer._load_checkpoint()
    assert trainer.rest() == Trainer(tmp_path, ROWS[5:]).rest()
    assert sorted(entry.reference for entry in trainer.buffer.sample(9)) == [0, 1, 2]


def test_the_same_rows_go_on(tmp_path, left) -> None:
    trainer = Trainer(tmp_path, ROWS)
    trainer._load_checkpoint()
    assert trainer.rest() == left and len(trainer.buffer) == 8
