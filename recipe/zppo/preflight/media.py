"""Checks of images and videos before Ray starts: the first rows are opened, and every model must be able to see.

The data set opens all the others when it is loaded, which takes minutes where there are many.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, first_line
from recipe.zppo.media import parts as media
from recipe.zppo.media.columns import as_list
from recipe.zppo.on_verl.columns import Columns
from recipe.zppo.on_verl.row_files import read_rows, read_schema
from recipe.zppo.preflight.data_files import local_files

OPENED_ROWS = 64
"""Of each file."""

_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def check_media(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The images and videos of the files' first rows can be read, and student and teachers have a processor for them.

    Raises:
        ConfigError: a row's media don't fit its placeholders or can't be read; or a model would not see them.
    """
    seeing = video = ""
    for key in ("train_files", "val_files"):
        for file in local_files(config.data, key):
            found, found_video = _first_row_with_media(file, f"data.{key}", config.data)
            seeing, video = seeing or found, video or found_video
    if not seeing:
        return
    if video and config.actor_rollout_ref.rollout.name == "vllm":
        raise ConfigError(f"actor_rollout_ref.rollout.name: {video} has a video; {media.NO_VIDEO_ON_VLLM}")
    shown = zppo.asks_teacher or zppo.distillation.mode != "none"
    if video and shown and zppo.teacher.base_url:
        raise ConfigError(
            f"zppo.teacher.base_url: {video} has a video, which chat completions have no form for; leave such rows "
            "out, or serve the teacher here (base_url=null)"
        )
    models = [("actor_rollout_ref.model.path", config.actor_rollout_ref.model.path)]
    # A judge or whoever compresses reads text only.
    if shown:
        models += [
            ("zppo.teacher.more" if path in zppo.teacher.more else "zppo.teacher.path", path)
            for path in zppo.placed_teachers
        ]
    for key, path in models:
        if not has_processor(path):
            raise ConfigError(
                f"{key}: {seeing} has images or videos, but {path} has no processor for them (no {_PROCESSOR_FILES[0]}"
                "): it would answer without seeing them; give a vision model, or data of text only"
            )


def has_processor(model: str) -> bool:
    """For images and videos. True of a model that is not on this machine: nobody knows."""
    folder = Path(str(model)).expanduser()
    return not folder.is_dir() or any((folder / name).is_file() for name in _PROCESSOR_FILES)


def _first_row_with_media(file: str, key: str, data: DictConfig) -> tuple[str, str]:
    """`<file> row <n>` of the first row with an image or a video, and of that with a video; early rows are opened."""
    columns = [data.get("image_key") or "images", data.get("video_key") or "videos"]
    first = video = ""
    for number, row in enumerate(_rows(file, key, data, columns)):
        images, videos = (as_list(row.get(column)) for column in columns)
        if not first and (images or videos or _has_parts(row[data.prompt_key])):
            first = f"{file} row {number}"
        if not video and (videos or _has_parts(row[data.prompt_key], "video")):
            video = f"{file} row {number}"
        if number < OPENED_ROWS and (any(column in row for column in columns) or _has_parts(row[data.prompt_key])):
            if all(row.get(column) is None for column in columns) and not _has_parts(row[data.prompt_key]):
                continue  # `<image>` in a row without media is text
            try:
                media.decoded(media.place(media.spoken(row[data.prompt_key]), images, videos))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{key}: {file} row {number}: {error}") from error
        if first and number >= OPENED_ROWS:
            break
    return first, video


def _rows(file: str, key: str, data: DictConfig, names: list[str]) -> Iterator[dict[str, Any]]:
    """The prompt and what there is of the columns ``names``; nothing of a file of text, which has none and no parts."""
    columns = Columns(data)
    try:
        schema = read_schema(file, columns.answers)
        in_file = [columns.in_file(name, schema.names) for name in (data.prompt_key, *names)]
        wanted = [name for name in in_file if name in schema.names]
        if in_file[0] not in wanted or (len(wanted) == 1 and _is_text(schema.field(in_file[0]).type)):
            return
        for row in read_rows(file, wanted, OPENED_ROWS, columns.answers):  # small: pictures are in it
            yield columns.row(row)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{key}: {file} can't be read: {first_line(error)}") from error


def _is_text(prompts: pa.DataType) -> bool:
    """Whether the question is a string, or the messages' contents are, not lists of parts."""
    if pa.types.is_string(prompts) or pa.types.is_large_string(prompts):
        return True
    if not (pa.types.is_list(prompts) or pa.types.is_large_list(prompts)) or not pa.types.is_struct(prompts.value_type):
        return False
    content = prompts.value_type.get_field_index("content")
    found = prompts.value_type.field(content).type if content >= 0 else pa.null()
    return pa.types.is_string(found) or pa.types.is_large_string(found)


def _has_parts(messages: Any, kind: str | None = None) -> bool:
    """Whether a message's content is a list with something other than text, or of the given kind.

    What is no message is checked elsewhere.
    """
    contents = [message.get("content") for message in messages or [] if isinstance(message, dict)]
    return any(
        isinstance(part, dict) and (part.get("type") == kind if kind else part.get("type") not in (None, "text"))
        for content in contents
        if isinstance(content, list)
        for part in content
    )
