"""The student of the last checkpoint as a Hugging Face model, by verl's own merger."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from recipe.zppo.on_verl.merge_adapter import ADAPTER
from recipe.zppo.run.checkpoint_files import latest_complete

logger = logging.getLogger(__name__)

_TIMEOUT_S = 3600
_BACKENDS = {"fsdp": "fsdp", "fsdp2": "fsdp", "megatron": "megatron"}
"""actor.strategy to the merger's back end."""


def export_hf_model(run_dir: str, strategy: str) -> str | None:
    """Write ``<run_dir>/hf_model`` from the newest complete checkpoint; it appears whole.

    Megatron-Bridge, verl's default with Megatron, saves weights in Hugging Face's format, and verl's merger does not
    read them: they are copied. Everything else is merged, in a process of its own, since the merger loads the whole
    model. Where it fails (shards that lie on other nodes' own disks, say), the run is not lost: the cause and the
    command to run by hand are logged.
    A LoRA student is written merged, and its adapter alone to ``<run_dir>/lora_adapter``.

    Returns:
        the folder, or None if there is no checkpoint or the merger failed.
    """
    checkpoint = latest_complete(run_dir)
    if strategy not in _BACKENDS:
        logger.error("zppo: no Hugging Face model: verl's merger does not read actor.strategy=%s", strategy)
        return None
    if checkpoint is None:
        logger.warning("no checkpoint in %s: no Hugging Face model is written", run_dir)
        return None
    target, temporary = os.path.join(run_dir, "hf_model"), os.path.join(run_dir, "hf_model.tmp")
    adapter, exported_adapter = os.path.join(run_dir, ADAPTER), os.path.join(temporary, ADAPTER)
    shutil.rmtree(temporary, ignore_errors=True)
    # Where Megatron-Bridge saves (verl/utils/megatron_utils.py: get_hf_model_checkpoint_path).
    bridged = os.path.join(checkpoint, "actor", "model", "huggingface")
    if strategy == "megatron" and any(Path(bridged).glob("*.safetensors")):
        shutil.copytree(bridged, temporary)
        _publish(temporary, target)
        return target
    merge = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", _BACKENDS[strategy]]
    merge += ["--local_dir", os.path.join(checkpoint, "actor"), "--target_dir"]
    add_adapter = [sys.executable, "-m", "recipe.zppo.merge_adapter"]
    try:
        _run([*merge, temporary])
        if os.path.isdir(exported_adapter):
            _run([*add_adapter, temporary])
    except (subprocess.SubprocessError, OSError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        by_hand = f"{' '.join([*merge, target])} && {' '.join([*add_adapter, target])}"
        logger.error("zppo: no Hugging Face model: %s; by hand: %s", detail, by_hand)
        shutil.rmtree(temporary, ignore_errors=True)
        return None
    _publish(exported_adapter, adapter)
    _publish(temporary, target)
    return target


def _publish(new: str, place: str) -> None:
    """Put the folder `new`, if there is one, in place of what an earlier export left."""
    shutil.rmtree(place, ignore_errors=True)
    if os.path.isdir(new):
        os.replace(new, place)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
