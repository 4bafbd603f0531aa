"""Images and videos of a question: where they stand in the messages, and how they become pixels.

A data row carries its images in a column of their own, and its text has one `<image>` for each (`<video>` for a video).
`place` makes of them the parts of a chat message, still encoded: bytes and paths travel, pixels do not. `decoded` opens
them once for all rollouts of a prompt, and `extract` lists them in the order of their placeholders, as processors want
them. The same pixels come of it with and without torchvision and `qwen_vl_utils`, which is needed for video files only.
"""

import base64
import binascii
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from recipe.zppo.errors import DataError, first_line

NO_VIDEO_ON_VLLM = (
    "from verl's prompts vLLM makes other tokens of a video than the trainer has, and would answer another prompt than "
    "is learnt from (docs/guides/images.md); leave such rows out"
)

Part = dict[str, Any]

_PLACEHOLDER = re.compile("(<image>|<video>)")
_LIMITS = ("min_pixels", "max_pixels")
_ORIENTATION = ExifTags.Base.Orientation.value
_FPS = 2.0
"""Frames per second of a video that is given as frames, where the row does not say it: Qwen's sampling rate."""


def place(messages: Sequence[Mapping[str, Any]], images: Sequence[Any], videos: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages with a part in place of each `<image>` and `<video>`, in order; text without any stays a string.

    A content that is a list of parts already may leave out the media of its parts: they are taken from the columns.

    Raises:
        DataError: placeholders and media differ in number, or a part is of another type.
    """
    left = {"image": iter(images), "video": iter(videos)}
    found = {"image": 0, "video": 0}

    def media_part(kind: str, part: Mapping[str, Any]) -> Part:
        part = {key: value for key, value in part.items() if value is not None}
        if kind not in part:
            found[kind] += 1
            source = next(left[kind], None)
            if source is None:
                given = len(images if kind == "image" else videos)
                raise DataError(f"the prompt has more <{kind}> placeholders than the row has {kind}s ({given})")
            part |= _as_part(kind, source)
        return part | {"type": kind}

    def placed_part(part: Mapping[str, Any]) -> Part:
        if not isinstance(part, Mapping):
            raise DataError(f"a part of the prompt is {part!r:.50}, not an object with a type")
        if part.get("type") == "text":
            return {"type": "text", "text": part.get("text") or ""}
        if part.get("type") not in left:
            raise DataError(f"a part of the prompt is of type {part.get('type')!r}, not text, image or video")
        return media_part(part["type"], part)

    placed = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            pieces = [piece for piece in _PLACEHOLDER.split(content) if piece]
            kinds = {"<image>": {"type": "image"}, "<video>": {"type": "video"}}
            if not kinds.keys().isdisjoint(pieces):
                content = [kinds.get(piece, {"type": "text", "text": piece}) for piece in pieces]
        placed.append({**message, "content": content})
    placed = with_parts(placed, placed_part)
    for kind, given in (("image", images), ("video", videos)):
        if found[kind] < len(given):
            raise DataError(f"the row has {len(given)} {kind}(s), but the prompt has {found[kind]} <{kind}>")
    return placed


def spoken(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The messages without system messages of null: files write so where a row has none.

    Raises:
        DataError: another message has null as its content.
    """
    for number, message in enumerate(messages):
        if message.get("content") is None and message.get("role") != "system":
            raise DataError(f"message {number} of the prompt ({message.get('role')}) has no content")
    return [message for message in messages if message.get("content") is not None]


def has_media(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a message carries something other than text."""
    return any(True for _ in _media(messages))


def without_media(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the media's types only, for whoever reads their text."""
    return with_parts(messages, lambda part: part if part.get("type") == "text" else {"type": part["type"]})


def decoded(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with every image and frame opened; what needs no change is shared with the input.

    Raises:
        DataError: one of them can't be read; the message says which and why.
    """
    if not has_media(messages):
        return list(messages)
    count = {"image": 0, "video": 0}

    def opened(part: Part) -> Part:
        kind = part.get("type")
        if kind == "text":
            return part
        count[kind] += 1
        where = f"{kind} {count[kind]}"
        if kind == "image":
            image = resized(read_image(part["image"], where), part)
            # Once: opened again, an image within tight limits would be another one.
            return {key: value for key, value in part.items() if key not in _LIMITS} | {"image": image}
        if isinstance(part["video"], Sequence) and not isinstance(part["video"], str):
            frames = [read_image(frame, f"{where}, frame {i + 1}") for i, frame in enumerate(part["video"])]
            if len({frame.size for frame in frames}) != 1:
                sizes = sorted({frame.size for frame in frames})
                raise DataError(f"{where} has frames of different sizes: {sizes}" if frames else f"{where} is empty")
            return part | {"video": frames}
        return part

    return with_parts(messages, opened)


def extract(
    messages: Sequence[Mapping[str, Any]], image_patch_size: int
) -> tuple[list[Image.Image] | None, list[tuple[torch.Tensor, dict]] | None]:
    """Images, and videos as (frames (T, 3, H, W) in 0..255, metadata), in order of appearance; None where none is."""
    images, videos = [], []
    for part in _media(decoded(messages)):
        if part["type"] == "image":
            images.append(part["image"])
        elif isinstance(part["video"], str):
            videos.append(_video_of_file(part, image_patch_size))
        else:
            frames = torch.from_numpy(np.stack([np.asarray(frame) for frame in part["video"]])).permute(0, 3, 1, 2)
            fps = float(part.get("fps") or part.get("sample_fps") or _FPS)
            numbers = list(range(len(frames)))
            videos.append((frames, {"fps": fps, "frames_indices": numbers, "total_num_frames": len(numbers)}))
    return images or None, videos or None


def read_image(source: Any, where: str = "image") -> Image.Image:
    """An RGB image from a PIL image, encoded bytes, a path, a `file://` or `data:` address, or a dictionary of those.

    A photograph that its camera says lies on its side is turned upright (EXIF), as `datasets` and `transformers` do.
    Transparency is laid on white.

    Raises:
        DataError: it is missing, damaged or of an unknown form.
    """
    source = _source(source)
    if isinstance(source, Image.Image):
        image = source
    else:
        if isinstance(source, str) and source.startswith("data:"):
            try:
                source = base64.b64decode(source.partition(",")[2], validate=True)
            except binascii.Error as error:
                raise DataError(f"{where}: its data: address is not base64 ({error})") from error
        if isinstance(source, str):
            if "://" in source and not source.startswith("file://"):
                raise DataError(f"{where}: {source[:80]} is an address; images are not fetched, give bytes or a path")
            path = os.path.expanduser(source.removeprefix("file://"))
            if not os.path.isfile(path):
                raise DataError(f"{where}: the file {path} does not exist")
        elif isinstance(source, bytes):
            path = io.BytesIO(source)
        else:
            raise DataError(f"{where} is {type(source).__name__}, not an image, bytes or a path")
        if source == b"":
            raise DataError(f"{where} is empty (0 bytes)")
        name = source if isinstance(source, str) else f"{len(source)} bytes"
        try:
            image = Image.open(path)
            image.load()
        except UnidentifiedImageError as error:
            raise DataError(f"{where} ({name}) can't be read: not a picture of a known format") from error
        except Exception as error:  # Pillow's decoders raise about everything
            raise DataError(f"{where} ({name}) can't be read: {first_line(error)}") from error
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)  # without the mark: nobody after us turns it again
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def resized(image: Image.Image, part: Mapping[str, Any]) -> Image.Image:
    """The image within the `min_pixels` and `max_pixels` of its part; the processor has limits of its own."""
    pixels = image.width * image.height
    least, most = part.get("min_pixels") or 0, part.get("max_pixels") or math.inf
    wanted = least if pixels < least else most if pixels > most else pixels
    if wanted == pixels:
        return image
    scale = math.sqrt(wanted / pixels)
    whole = math.ceil if wanted > pixels else math.floor
    return image.resize(tuple(max(1, whole(side * scale)) for side in image.size), Image.Resampling.BICUBIC)


def limited(messages: Sequence[Mapping[str, Any]], least: int | None, most: int | None) -> list[dict[str, Any]]:
    """The messages with `min_pixels` and `max_pixels` for every image that has none of its own."""
    limits = {name: value for name, value in zip(_LIMITS, (least, most), strict=True) if value}
    return with_parts(messages, lambda part: limits | part if part.get("type") == "image" else part)


def with_parts(messages: Sequence[Mapping[str, Any]], change: Callable[[Part], Part]) -> list[dict[str, Any]]:
    """The messages with every part changed; text that is a string stays as it is."""
    return [
        message
        if isinstance(message["content"], str)
        else {**message, "content": [change(part) for part in message["content"]]}
        for message in messages
    ]


def _media(messages: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    for message in messages:
        if not isinstance(message["content"], str):
            yield from (part for part in message["content"] if part.get("type") != "text")


def _as_part(kind: str, source: Any) -> Part:
    """A row's entry as a part: what it says besides the medium itself (`fps`, `max_pixels`) stays with it."""
    if isinstance(source, Mapping) and kind in source:
        return {key: value for key, value in source.items() if value is not None}
    if isinstance(source, Mapping):
        rest = {key: value for key, value in source.items() if key not in ("bytes", "path") and value is not None}
        return {**rest, kind: _source(source)}
    return {kind: source}


def _source(source: Any) -> Any:
    """The medium itself of `{"bytes": ..., "path": ...}`, the form of Hugging Face data sets; bytes come first."""
    if isinstance(source, Mapping):
        found = [source.get(key) for key in ("image", "video", "bytes", "path")]
        source = next((value for value in found if value is not None), None)
    return os.fspath(source) if isinstance(source, os.PathLike) else source


def _video_of_file(part: Part, image_patch_size: int) -> tuple[torch.Tensor, dict]:
    try:
        from qwen_vl_utils import process_vision_info
    except ImportError as error:
        raise DataError(
            f"the video file {part['video']} needs the package qwen_vl_utils (with torchvision) to be decoded; "
            "install it, or give the video as a list of frames"
        ) from error
    message = {"role": "user", "content": [part]}
    _, videos = process_vision_info([message], image_patch_size=image_patch_size, return_video_metadata=True)
    return videos[0]
