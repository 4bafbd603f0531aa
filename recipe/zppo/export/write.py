"""From a checkpoint to a Hugging Face folder that appears whole."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipe.zppo.errors import ExportError, ZPPOError, one_line
from recipe.zppo.export.card import write_card
from recipe.zppo.export.record import Record
from recipe.zppo.export.source import Source
from recipe.zppo.run.publish import new_building_folder, publish, recover
from recipe.zppo.run.weights import cast_weights


def check_target(target: Path, source: Source, overwrite: bool, key: str = "--to") -> None:
    """Also brings back a model that an export which was killed had moved away.

    Raises:
        ExportError: something is there that must not be replaced.
    """
    if target == source.run or target in source.run.parents or target.is_relative_to(source.path):
        raise ExportError(f"{key} {target}: this is the run itself, or a folder that holds it; name another one")
    recover(target)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    if not any((target / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ExportError(f"{key} {target}: there is something else than a model; name another folder")
    if not overwrite:
        raise ExportError(f"{key} {target}: a model is there already; replace it with --overwrite, or name another")


def export(
    source: Source, record: Record, target: Path, *, name: str, dtype: str, base: str | None, adapter: Path | None
) -> None:
    """Write `target`, and a LoRA student's adapter to `adapter` if that is named.

    Raises:
        ExportError: the checkpoint can't be read or the target not be written; it is as it was before.
    """
    base = base or record.model.get("path")
    with _building(target) as folder, _told(source, target):
        if source.kind == "local":
            from recipe.zppo.local.export import write_student

            if base is None:
                raise ExportError(f"{source.run} does not say which model it began from; name it with --base")
            write_student(source.run, folder, record.model, base)
        elif source.kind == "whole":
            shutil.copytree(source.path, folder, dirs_exist_ok=True)
        else:
            from recipe.zppo.on_verl.merge import merge_checkpoint

            trust = bool(record.model.get("trust_remote_code", False))
            merge_checkpoint(source.path / "actor", folder, dtype, base, trust)
        _restore_generation_config(source, folder, base)
        with _adapter(folder, adapter):
            cast_weights(folder, dtype)
            write_card(folder, name, source, record, dtype)
            publish(folder, target)


@contextlib.contextmanager
def _building(target: Path) -> Iterator[Path]:
    """A folder beside the target, which is gone at the end."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = new_building_folder(target)
    except OSError as error:
        raise ExportError(f"--to {target}: {target.parent} can't be written to ({error.strerror or error})") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _adapter(folder: Path, place: Path | None) -> Iterator[None]:
    from recipe.zppo.on_verl.merge_adapter import ADAPTER

    found = folder / ADAPTER
    if place is None:  # whoever merged it again would add it twice
        shutil.rmtree(found, ignore_errors=True)
        yield
        return
    if not found.is_dir():
        raise ExportError("--adapter: the checkpoint has no LoRA adapter")
    with _building(place) as apart:
        shutil.copytree(found, apart, dirs_exist_ok=True)
        shutil.rmtree(found)
        yield
        publish(apart, place)


@contextlib.contextmanager
def _told(source: Source, target: Path) -> Iterator[None]:
    """Whatever verl, torch and transformers find wrong with the files, in one line; what they chat about is dropped."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except ZPPOError:
        raise
    except FileNotFoundError as error:
        raise ExportError(
            f"{source.path}: {error.filename or error} is not there; shards that other nodes saved on their own disks "
            "must be copied to the others, and a model that has moved is named with --base"
        ) from error
    except Exception as error:  # of three libraries, without a common type
        raise ExportError(f"no export of {source.path} to {target}: {one_line(error)}") from error


def _restore_generation_config(source: Source, folder: Path, base: Any) -> None:
    """verl saves none that transformers finds contradictory, as many published ones are; then the base model's is taken
    as it is.
    """
    from transformers import GenerationConfig

    if source.kind == "verl" and base is not None and not any(source.path.rglob("huggingface/generation_config.json")):
        with contextlib.suppress(OSError, ValueError):
            GenerationConfig.from_pretrained(base).to_json_file(folder / "generation_config.json")
