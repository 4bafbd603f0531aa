"""The student in the saved state of a local run, as a Hugging Face folder."""

from pathlib import Path
from typing import Any

from recipe.zppo.errors import ExportError, one_line
from recipe.zppo.run.checkpoint_files import LOCAL_STATE
from recipe.zppo.run.weights import save_model


def saved_step(run: Path) -> int | None:
    """The step of the run's state; None if it has saved none."""
    state = _state(run)
    return None if state is None else int(state["step"])


def write_student(run: Path, folder: Path, settings: Any, base: str) -> None:
    """The weights of the run's state in the model that it began from.

    Args:
        settings: `actor_rollout_ref.model` of the run.
        base: where the model is.

    Raises:
        ExportError: the weights are not of this model.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from verl.utils.fs import copy_to_local

    from recipe.zppo.local.models import student_tokenizer

    state = _state(run)
    assert state is not None
    weights, trust = state["weights"], bool(settings.get("trust_remote_code", False))
    model = AutoModelForCausalLM.from_pretrained(copy_to_local(base), dtype=weights[0].dtype, trust_remote_code=trust)
    parameters = list(model.parameters())
    if [parameter.shape for parameter in parameters] != [weight.shape for weight in weights]:
        raise ExportError(f"the weights in {run / LOCAL_STATE} are not of {base}; name their model with --base")
    with torch.no_grad():
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(weight)
    save_model(model, model.generation_config, folder)
    student_tokenizer(settings, base).save_pretrained(folder)


def _state(run: Path) -> dict[str, Any] | None:
    """Not read into memory before it is used; it holds the optimiser too."""
    import torch

    path = run / LOCAL_STATE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    except Exception as error:  # of zip, pickle, or a class that is not here
        raise ExportError(f"{path} can't be read: {one_line(error)}") from error
    if not isinstance(state, dict) or not state.keys() >= {"step", "weights"}:
        raise ExportError(f"{path} is not a state of recipe.zppo.local")
    return state
