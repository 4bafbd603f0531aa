"""Media of a request, as a server opens them."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from recipe.zppo.errors import DataError
from recipe.zppo.evaluate.engines.wire import wire_messages
from tests.evaluate.small import png


def sent(part: dict, **options: object) -> str:
    (message,) = wire_messages([{"role": "user", "content": [part, {"type": "text", "text": "?"}]}], **options)
    assert message["content"][1] == {"type": "text", "text": "?"}
    kind = f"{part['type']}_url"
    return message["content"][0][kind]["url"]


def test_what_a_server_would_see_otherwise_is_made_anew():
    """Turned by its camera, transparent, damaged."""
    photograph, see_through = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (640, 480), "blue").save(photograph, "JPEG", exif=exif)
    Image.new("RGBA", (640, 480), (0, 0, 0, 0)).save(see_through, "PNG")
    for data, size, color in ((photograph, (480, 640), (0, 0, 254)), (see_through, (640, 480), (255, 255, 255))):
        url = sent({"type": "image", "image": {"bytes": data.getvalue(), "path": None}}, kind="PNG")
        with Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,")))) as image:
            assert (image.size, image.getpixel((5, 5))) == (size, color)
    assert base64.b64decode(sent({"type": "image", "image": png()}).partition(",")[2]) == png()
    with pytest.raises(DataError, match=r"can't be read: not a picture of a known format"):
        sent({"type": "image", "image": b"no picture"})


def test_videos(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    assert sent({"type": "video", "video": str(path)}) == "data:video/mp4;base64,ZmlsbQ=="
    assert sent({"type": "video", "video": str(path)}, same_disk=True) == f"file://{path}"
    with pytest.raises(DataError, match=r"the video /nowhere\.mp4 can't be read: No such file"):
        sent({"type": "video", "video": "/nowhere.mp4"})
    frames = sent({"type": "video", "video": [png("red"), png("green")]})
    pictures = frames.removeprefix("data:video/jpeg;base64,").split(",")
    assert [Image.open(io.BytesIO(base64.b64decode(each))).size for each in pictures] == [(512, 512)] * 2
