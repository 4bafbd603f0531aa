"""A run's saved state on its way back: read, and compared with the run, before engines load what would not fit."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from recipe.zppo.errors import CheckpointError, one_line
from recipe.zppo.run.identity import check_identity

_AFRESH = "start afresh in another trainer.default_local_dir or with trainer.resume_mode=disable"


def read_state(
    file: str,
    version: int,
    *,
    parts: Iterable[str],
    seed: int,
    identity: Mapping[str, Any],
    optimizer: str,
    named: bool,
) -> dict[str, Any]:
    """The state in ``file``, with ``format``, ``seed`` and maybe ``identity`` among its keys.

    Args:
        version: of its format.
        parts: further keys that it must have.
        seed: `zppo.seed` of the run, on which draws depend.
        identity: of the run (`run_identity`).
        optimizer: that of a state from before it had a name.
        named: see `check_identity`.

    Raises:
        CheckpointError: it can't be read, is of another version, lacks a part, or is of another run; one line.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=False)
        found, saved_seed = state["format"], state["seed"]
    except Exception as error:  # of the disk, zip, pickle, or a class that is not here
        raise CheckpointError(f"{file} can't be read: {one_line(error)}; {_AFRESH}") from error
    if found != version:
        raise CheckpointError(f"{file} has format {found}, this version reads {version}; {_AFRESH}")
    if missing := [part for part in parts if part not in state]:
        raise CheckpointError(f"{file} is damaged: it has no {', '.join(missing)}; {_AFRESH}")
    if saved_seed != seed:
        raise CheckpointError(
            f"zppo.seed: {file} was written with {saved_seed}, now it is {seed}, and draws would differ; set it back, "
            f"or {_AFRESH}"
        )
    saved = {"zppo.optimizer": optimizer} | (state.get("identity") or {})
    check_identity(saved, identity, file, named=named)
    return state
