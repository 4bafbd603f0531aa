"""The files in a model's folder: whole weights, and a chat template. A hub id is looked at where its cache has it."""

import json
from pathlib import Path

from omegaconf import DictConfig
from safetensors import SafetensorError, safe_open

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.preflight.models import HUB_ID

INDEX = "model.safetensors.index.json"


def check_model_files(config: DictConfig, zppo: ZPPOConfig) -> None:
    """
    Raises:
        ConfigError: weights are cut off or missing, or a tokenizer has no chat template.
    """
    model, student = config.actor_rollout_ref.model, "actor_rollout_ref.model.path"
    teachers = [
        ("zppo.teacher.more" if i else "zppo.teacher.path", path) for i, path in enumerate(zppo.placed_teachers)
    ]
    for key, path in [(student, model.path), *teachers]:
        if folder := model_folder(path):
            check_weights(folder, key)
    own = [] if model.get("custom_chat_template") else [(student, model.get("tokenizer_path") or model.path)]
    for key, path in [*own, *teachers]:
        folder = model_folder(path)
        if folder and (folder / "tokenizer_config.json").is_file() and not has_chat_template(folder):
            custom = "set actor_rollout_ref.model.custom_chat_template, or " if key == student else ""
            raise ConfigError(
                f"{key}: the tokenizer of {path} has no chat template (is it a base model?), and questions and "
                f"candidates are chat messages; {custom}put a chat_template.jinja beside it, or take an instruct model"
            )


def model_folder(path: str) -> Path | None:
    """Where its files lie on this machine; None for a remote path, a hub id that is not in the cache, and nothing."""
    folder = Path(path or "").expanduser()
    if path and folder.is_dir():
        return folder
    if not path or not HUB_ID.fullmatch(path):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(path, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def has_chat_template(folder: Path) -> bool:
    """A file of its own, or a key of tokenizer or processor."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_templates").is_dir():
        return True
    for name in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        try:
            if json.loads((folder / name).read_text(encoding="utf-8")).get("chat_template"):
                return True
        except (OSError, ValueError, AttributeError):
            continue
    return False


def check_weights(folder: Path, key: str) -> None:
    """Safetensors files are as long as their headers say, and the index names none that is missing.

    Raises:
        ConfigError: naming the file.
    """
    files = set(folder.glob("*.safetensors"))
    if (folder / INDEX).is_file():
        try:
            files |= {folder / name for name in json.loads((folder / INDEX).read_text())["weight_map"].values()}
        except (ValueError, KeyError, AttributeError) as error:
            raise ConfigError(f"{key}: {folder / INDEX} can't be read; download the model again") from error
    for file in sorted(files):
        if not file.is_file():
            raise ConfigError(f"{key}: {file} is missing, though {INDEX} names it; download the model again")
        try:
            with safe_open(file, framework="np"):  # reads the header and maps the rest
                pass
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"{key}: {file} is not whole ({first_line(error)}); download the model again") from error
