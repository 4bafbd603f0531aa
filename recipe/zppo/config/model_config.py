"""A model's config.json: of its folder, of the hub's cache, or of the paper's models, for machines without them."""

import functools
import json
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("qwen3_5.json")
"""Configs of the paper's models, for machines on which they are not."""

BY_NAME = "known shapes, by the folder's name"
"""Source of the config of a folder that is not here and is named as one of them."""


class UnknownShapeError(ValueError):
    """A model whose shape can't be told; the message says why."""


def find_config(path: str) -> tuple[dict[str, Any], str]:
    """A model's config and where it is from. A folder that is not here may be named as one of the paper's models.

    Raises:
        UnknownShapeError: it is on no disk of this machine, and not one of the paper's models.
    """
    folder = Path(path).expanduser()
    if (folder / "config.json").is_file():
        return _read(folder / "config.json"), "config.json"
    if "://" not in path and not folder.exists():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = try_to_load_from_cache(path, "config.json")
        except HFValidationError:
            cached = None
        if isinstance(cached, str):
            return _read(Path(cached)), "hub cache"
        if known := _known().get(path):
            return known, "known shapes"
        for name, known in _known().items():
            if folder.name == name.rpartition("/")[2]:
                return known, BY_NAME
    raise UnknownShapeError("it is not on this machine")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnknownShapeError(f"{file} can't be read: {error}") from None
    if not isinstance(content, dict):
        raise UnknownShapeError(f"{file} holds no object")
    return content


@functools.cache
def _known() -> dict[str, dict[str, Any]]:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    common = table["common"]
    merged = {}
    for name, model in table["models"].items():
        parts = {part: common[part] | model[part] for part in ("text_config", "vision_config")}
        parts["text_config"]["tie_word_embeddings"] = model["tie_word_embeddings"]
        merged[name] = {key: value for key, value in common.items() if key not in parts} | model | parts
    return merged
