"""Checkpoints of one step: model, optimiser, data order, buffer, pending reformulations, published together.

verl writes model, optimiser and data order into ``global_step_N`` and then its tracker file. Here the buffer and the
pending reformulations are written into the same folder first, and a folder counts only once it holds the file
``zppo_complete.json``, which lands last and by atomic rename. A run that is killed while it saves resumes from the
checkpoint before.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import CheckpointError
from recipe.zppo.on_verl.questions import QuestionSource
from recipe.zppo.replay_buffer import PromptReplayBuffer
from recipe.zppo.replay_buffer.packing import pack
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE, TRACKER, is_complete, latest_complete, saved_steps
from recipe.zppo.run.data_change import take_up
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.files import write_atomically, write_text_atomically
from recipe.zppo.run.identity import run_identity
from recipe.zppo.run.metrics_log import plain_metrics
from recipe.zppo.run.saved_state import read_state

STATE_FILE = "zppo.pt"
_FORMAT = 1


class CheckpointMixin:
    """Save and load of `ZPPOTrainer` around verl's."""

    config: DictConfig
    zppo: ZPPOConfig
    questions: QuestionSource
    train_dataloader: Any
    buffer: PromptReplayBuffer
    event_log: EventLog

    def _save_checkpoint(self) -> None:
        folder = os.path.join(self.config.trainer.default_local_dir, f"global_step_{self.global_steps}")
        with self._engine("checkpoint"):
            os.makedirs(folder, exist_ok=True)
            complete = os.path.join(folder, COMPLETE_FILE)
            Path(complete).unlink(missing_ok=True)  # a re-run of this step: not complete until it is saved again
            state = {
                "format": _FORMAT,
                "step": self.global_steps,
                "seed": self.zppo.seed,
                "identity": self._identity(),
                "prompt_ids": pack(self.questions.prompt_ids),
                "buffer": self.buffer.state_dict(),
                "pending": self.pipeline.state_dict(),
                # verl logs a step after its checkpoint; a run that is killed in between logs it on resume.
                "metrics": plain_metrics(self.step_metrics),
            }
            self.rollout_log.flush()
            write_atomically(os.path.join(folder, STATE_FILE), lambda path: torch.save(state, path, pickle_protocol=5))
            with _one_more_kept(self.config.trainer):
                super()._save_checkpoint()
            write_text_atomically(complete, json.dumps({"step": self.global_steps, "format": _FORMAT}))
            self._write_tracker(self.global_steps)
            self.event_log.checkpointed(self.global_steps)
            self._remove_old()

    def _load_checkpoint(self) -> None:
        """Resume from the newest complete checkpoint (``auto``), or from the one that is named.

        Raises:
            CheckpointError: the named folder is incomplete, or is of another run (`recipe.zppo.run.identity`).
        """
        trainer, path = self.config.trainer, None
        if trainer.resume_mode == "auto":
            path = latest_complete(trainer.default_local_dir)
            if path is None:
                self.global_steps = 0
                return
            # verl's `auto` trusts its tracker file, which may name a checkpoint that was being written.
            self._write_tracker(int(path.rsplit("_", 1)[1]))
        elif trainer.resume_mode == "resume_path":
            path = trainer.resume_from_path
            if not is_complete(path):
                raise CheckpointError(f"trainer.resume_from_path={path} is not a complete ZPPO checkpoint")
        state = None if path is None else self._own_state(path)
        change = state and self.questions.change_since(state, path, accept=self.zppo.data.accept_changes)
        beginning = self.train_dataloader.state_dict() if change and not change.in_place else None
        super()._load_checkpoint()
        if beginning is not None:
            self.train_dataloader.load_state_dict(beginning)
        if state is not None:
            self.buffer.load_state_dict(state["buffer"])
            self.pending_state = state["pending"]
            if change:
                taken = take_up(self.buffer, self.pending_state, self.questions.prompt_ids)
                self.pending_state, self.event_log.gone = taken
            self.metrics_log.restored = self.event_log.restored = state["metrics"]

    def _leave_behind(self) -> None:
        """Killed and started again by `auto`, the run shall not take up what an earlier one saved beyond its beginning.

        Only now that it trains: a start that failed, or a validation of an old checkpoint, has changed nothing.
        """
        trainer = self.config.trainer
        if trainer.resume_mode == "auto" or not os.path.exists(os.path.join(trainer.default_local_dir, TRACKER)):
            return
        step, path = 0, trainer.resume_from_path
        if trainer.resume_mode == "resume_path":
            parent, own = os.path.dirname(os.path.abspath(path)), trainer.default_local_dir
            step = int(path.rsplit("_", 1)[1]) if os.path.realpath(parent) == os.path.realpath(own) else 0
        self._write_tracker(step)

    def _own_state(self, path: str) -> dict[str, Any]:
        """What verl does not keep; checked before verl's engines load what they could not take up."""
        return read_state(
            os.path.join(path, STATE_FILE),
            _FORMAT,
            parts=("buffer", "pending", "metrics"),
            seed=self.zppo.seed,
            identity=self._identity(),
            optimizer=_unnamed_optimizer(self.config),
            named=self.config.trainer.resume_mode == "resume_path",
        )

    def _identity(self) -> dict[str, Any]:
        return run_identity(self.config, self.questions.prompt_ids)

    def _write_tracker(self, step: int) -> None:
        write_text_atomically(os.path.join(self.config.trainer.default_local_dir, TRACKER), str(step))

    def _remove_old(self) -> None:
        """Keep ``trainer.max_actor_ckpt_to_keep`` complete checkpoints, whole folders."""
        keep = self.config.trainer.get("max_actor_ckpt_to_keep", None)
        folder = self.config.trainer.default_local_dir
        if not keep:
            return
        for step in [step for step in saved_steps(folder) if step <= self.global_steps][:-keep]:
            path = Path(folder, f"global_step_{step}")
            (path / COMPLETE_FILE).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def _unnamed_optimizer(config: Any) -> str:
    """The optimiser of a checkpoint from before it had a name."""
    if config.trainer.device == "cpu":
        return "fp32"
    return "anyprecision" if config.actor_rollout_ref.actor.strategy == "megatron" else "stochastic"


@contextmanager
def _one_more_kept(trainer: Any) -> Iterator[None]:
    """verl deletes old actor folders before the new checkpoint is published; let it keep one more meanwhile."""
    keep = trainer.get("max_actor_ckpt_to_keep", None)
    if not keep:
        yield
        return
    trainer.max_actor_ckpt_to_keep = keep + 1
    try:
        yield
    finally:
        trainer.max_actor_ckpt_to_keep = keep
