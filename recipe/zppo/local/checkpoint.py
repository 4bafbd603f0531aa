"""The newest state of a local run, in one file that is replaced by rename: a killed run goes on from it."""

import os
from typing import TYPE_CHECKING

import torch

from recipe.zppo.errors import CheckpointError, one_line
from recipe.zppo.replay_buffer.packing import pack
from recipe.zppo.run.checkpoint_files import LOCAL_STATE
from recipe.zppo.run.data_change import take_up
from recipe.zppo.run.files import write_atomically
from recipe.zppo.run.identity import run_identity
from recipe.zppo.run.saved_state import read_state

if TYPE_CHECKING:
    from recipe.zppo.local.trainer import LocalTrainer

_FORMAT = 2
_PARTS = ("step", "weights", "optimizer", "dataloader", "buffer", "pending")
"""Without which no run can go on; older states lack others."""


def save_state(trainer: "LocalTrainer") -> None:
    """Everything that later steps depend on; draws are hashes of seed, step and prompt, so no generator is in it.

    Raises:
        CheckpointError: the disk does not take it. The state before is there as it was.
    """
    path = _path(trainer)
    state = {
        "format": _FORMAT,
        "step": trainer.step_number,
        "seed": trainer.zppo.seed,
        "identity": run_identity(trainer.config, trainer.questions.prompt_ids),
        "prompt_ids": pack(trainer.questions.prompt_ids),
        "weights": trainer.learner.master.state(),
        "optimizer": trainer.learner.optimizer.state_dict(),
        "dataloader": trainer.dataloader.state_dict(),
        "buffer": trainer.buffer.state_dict(),
        "pending": trainer.pipeline.state_dict(),
    }
    try:
        write_atomically(path, lambda temporary: torch.save(state, temporary, pickle_protocol=5))
    except (OSError, RuntimeError) as error:  # torch's own writer raises the latter, and says of no disk what it has
        raise CheckpointError(
            f"{path} can't be written ({one_line(error)}); see that the disk has room and takes files, then the same "
            "command goes on from the checkpoint before"
        ) from error


def remove_state(trainer: "LocalTrainer") -> None:
    if os.path.exists(_path(trainer)):
        os.remove(_path(trainer))


async def load_state(trainer: "LocalTrainer") -> None:
    """Take the state up, if there is one.

    Raises:
        CheckpointError: see `read_state` and `check_data`; or it is of a model of another size.
    """
    path = _path(trainer)
    if not os.path.exists(path):
        return
    state = read_state(
        path,
        _FORMAT,
        parts=_PARTS,
        seed=trainer.zppo.seed,
        identity=run_identity(trainer.config, trainer.questions.prompt_ids),
        optimizer="fp32",  # there was no other
        named=False,
    )
    then, now = ([tuple(w.shape) for w in weights] for weights in (state["weights"], trainer.learner.master.weights))
    if then != now:
        raise CheckpointError(
            f"actor_rollout_ref.model.path: {path} has weights of other shapes than this model; set the model back, or "
            "start afresh in another trainer.default_local_dir or with trainer.resume_mode=disable"
        )
    change = trainer.questions.change_since(state, path, accept=trainer.zppo.data.accept_changes)
    trainer.step_number = state["step"]
    trainer.learner.master.load_state(state["weights"])
    trainer.learner.optimizer.load_state_dict(state["optimizer"])
    if change is None or change.in_place:
        trainer.dataloader.load_state_dict(state["dataloader"])
    trainer.buffer.load_state_dict(state["buffer"])
    if change:
        taken = take_up(trainer.buffer, state["pending"], trainer.questions.prompt_ids)
        state["pending"], trainer.event_log.gone = taken
    rows = state["pending"]["rows"] if state["pending"] else {}
    again = {name: trainer.questions.get(name, row, replayed) for name, (row, replayed) in rows.items()}
    await trainer.pipeline.load_state_dict(state["pending"], again)


def _path(trainer: "LocalTrainer") -> str:
    return os.path.join(trainer.config.trainer.default_local_dir, LOCAL_STATE)
