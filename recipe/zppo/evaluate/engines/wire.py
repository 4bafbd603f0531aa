"""Messages as chat completions have them: media become data addresses.

An image that is within its limits travels as the bytes that the data set has; others are resized first, and travel
without loss: as BMP, since a PNG takes longer to make than to resize, or as PNG to services that know nothing else.
A video is what vLLM takes: its frames as pictures, or the file, whose frames the server chooses.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from recipe.zppo.errors import DataError
from recipe.zppo.media.parts import decoded, read_image, resized, with_parts
from recipe.zppo.prompts import Messages

_SENT_AS_THEY_ARE = {"PNG": "png", "JPEG": "jpeg"}


def wire_messages(messages: Messages, *, kind: str = "BMP", same_disk: bool = False) -> list[dict[str, Any]]:
    """
    Args:
        kind: of a picture that was made here, ``BMP`` or ``PNG``.
        same_disk: the server opens a video's file itself.

    Raises:
        DataError: an image or a video can't be read.
    """
    return with_parts(messages, lambda part: _wire(part, kind, same_disk))


def has_video_file(messages: Messages) -> bool:
    parts = (part for message in messages if not isinstance(message["content"], str) for part in message["content"])
    return any(isinstance(part.get("video"), str) for part in parts)


def _wire(part: Mapping[str, Any], made: str, same_disk: bool) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part["text"]}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _image(part, made)}}
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": _video(part, same_disk)}}
    raise DataError(f"a part of the prompt is of type {kind!r}, not text, image or video")


def _image(part: Mapping[str, Any], made: str) -> str:
    source = part["image"]
    data = source.get("bytes") if isinstance(source, Mapping) else source
    if isinstance(data, bytes) and (kind := _as_it_is(data, part)):
        return _address(f"image/{kind}", data)
    return _address(f"image/{made.lower()}", _encoded(resized(read_image(source), part), made, compress_level=1))


def _as_it_is(data: bytes, part: Mapping[str, Any]) -> str:
    """The kind of an image that a server would see as `read_image` does; empty for another."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
            upright = image.getexif().get(ExifTags.Base.Orientation.value, 1) == 1
            plain = image.mode == "RGB" and "transparency" not in image.info
    except Exception:  # `read_image` says what it is
        return ""
    within = (part.get("min_pixels") or 0) <= pixels <= (part.get("max_pixels") or pixels)
    return _SENT_AS_THEY_ARE.get(image.format or "", "") if within and upright and plain else ""


def _video(part: Mapping[str, Any], same_disk: bool) -> str:
    if isinstance(part["video"], str):
        path = Path(part["video"].removeprefix("file://"))
        try:
            if same_disk:
                return path.resolve(strict=True).as_uri()
            return _address("video/mp4", path.read_bytes())
        except OSError as error:
            raise DataError(f"the video {path} can't be read: {error.strerror}") from error
    frames = decoded([{"role": "user", "content": [part]}])[0]["content"][0]["video"]
    pictures = (base64.b64encode(_encoded(frame, "JPEG", quality=95)).decode() for frame in frames)
    return "data:video/jpeg;base64," + ",".join(pictures)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
