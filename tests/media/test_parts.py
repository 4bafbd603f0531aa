"""From a row's columns to pixels: every form that an image comes in, and a message for each that can't be used."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recipe.zppo.errors import DataError
from recipe.zppo.media import parts as media
from recipe.zppo.prompts import bcq_messages, ncq_messages, with_closer
from tests.media.pictures import picture, png


def pixels(image: Image.Image) -> bytes:
    assert image.mode == "RGB"
    return image.tobytes()


def user(content) -> list[dict]:
    return [{"role": "user", "content": content}]


def test_every_form_of_an_image_gives_the_same_pixels(tmp_path):
    image = picture(3)
    path = tmp_path / "a picture.png"
    image.save(path)
    encoded = png(image)
    forms = [
        image,
        encoded,
        str(path),
        path,
        f"file://{path}",
        "data:image/png;base64," + base64.b64encode(encoded).decode(),
        {"bytes": encoded, "path": None},
        {"bytes": None, "path": str(path)},
        {"bytes": encoded, "path": "not/there.png"},
        {"image": image},
    ]
    for form in forms:
        messages = media.place(user("<image>?"), [form], [])
        (opened,), videos = media.extract(messages, 8)
        assert pixels(opened) == pixels(image), form
        assert videos is None


@pytest.mark.parametrize(
    ("orientation", "turn"), [(1, None), (3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_270)]
)
def test_a_photograph_that_lies_on_its_side_is_turned_upright_once(orientation: int, turn: Image.Transpose | None):
    """Bytes and an opened picture alike; what comes of it says nothing of a turn to whoever reads it next."""
    photo = picture(1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    photo.save(file, "PNG", exif=exif)
    upright = photo if turn is None else photo.transpose(turn)
    for source in (file.getvalue(), Image.open(io.BytesIO(file.getvalue()))):
        read = media.read_image(source)
        assert pixels(read) == pixels(upright) and read.size == upright.size
        assert pixels(media.read_image(read)) == pixels(upright)


def test_transparency_is_laid_on_white_and_grey_becomes_rgb():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert media.read_image(png(clear)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert media.read_image(palette).getpixel((1, 1)) == (255, 255, 255)
    assert media.read_image(Image.new("L", (4, 4), 77)).getpixel((0, 0)) == (77, 77, 77)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "image 1 is empty"),
        (b"no picture at all", r"image 1 \(17 bytes\) can't be read: not a picture"),
        (png(picture(1, (200, 200)))[:-200], "image 1 .* can't be read"),
        ("/nowhere/a.png", "image 1: the file /nowhere/a.png does not exist"),
        ("https://example.org/a.png", "images are not fetched"),
        ("data:image/png;base64,%%%", "not base64"),
        ({"bytes": None, "path": None}, "image 1 is NoneType"),
        (17, "image 1 is int"),
    ],
)
def test_what_is_no_image_is_named(source, message):
    with pytest.raises(DataError, match=message):
        media.extract(media.place(user("<image>"), [source], []), 8)


def test_a_folder_instead_of_a_file_and_a_damaged_file(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        media.read_image(str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match=r"a\.png.*can't be read"):
        media.read_image(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("content", "images", "videos", "message"),
    [
        ("<image>", [], [], r"more <image> placeholders than the row has images \(0\)"),
        ("<image><image>", [b"a"], [], r"more <image> placeholders than the row has images \(1\)"),
        ("<image>", [b"a", b"b"], [], r"has 2 image\(s\), but the prompt has 1"),
        ("what?", [b"a"], [], r"has 1 image\(s\), but the prompt has 0"),
        ("<video>", [b"a"], [], "more <video>"),
        ("<video>", [], ["a", "b"], r"has 2 video\(s\)"),
        ([{"type": "audio", "audio": "a"}], [], [], "type 'audio'"),
    ],
)
def test_placeholders_and_media_that_do_not_match_are_refused(content, images, videos, message):
    with pytest.raises(DataError, match=message):
        media.place(user(content), images, videos)


def test_parts_of_a_message_keep_their_place_and_their_settings():
    parts = [{"type": "text", "text": "see", "image": None}, {"type": "image", "image": None, "max_pixels": 100}]
    (message,) = media.place(user(parts), [{"bytes": b"x", "path": None}], [])
    assert message["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "max_pixels": 100, "image": b"x"},
    ]
    (message,) = media.place(user("a<video>b"), [], [{"video": [b"1"], "fps": 4.0}])
    assert message["content"][1] == {"type": "video", "video": [b"1"], "fps": 4.0}


def test_limits_of_a_row_resize_its_image():
    image = picture(1, (100, 50))
    part = {"type": "image", "image": image}
    for limits, fits in (({"max_pixels": 800}, 800), ({"min_pixels": 20_000}, 20_000)):
        (small,), _ = media.extract([{"role": "user", "content": [part | limits]}], 8)
        assert small.width * small.height <= fits if "max_pixels" in limits else small.width * small.height >= fits
        assert small.width / small.height == pytest.approx(2, rel=0.1)


def test_an_image_is_fitted_into_its_limits_once():
    part = {"type": "image", "image": picture(1, (253, 394)), "min_pixels": 100_000, "max_pixels": 100_000}
    once = media.decoded([{"role": "user", "content": [part]}])
    twice = media.decoded(once)
    assert twice[0]["content"][0]["image"].size == once[0]["content"][0]["image"].size != (253, 394)


def test_a_video_is_its_frames_with_their_times():
    frames = [picture(i, (32, 16)) for i in range(3)]
    messages = media.place(user("<video>?"), [], [{"video": [png(frame) for frame in frames], "fps": 4.0}])
    images, ((tensor, metadata),) = media.extract(messages, 8)
    assert images is None
    assert tensor.shape == (3, 3, 16, 32)
    assert metadata == {"fps": 4.0, "frames_indices": [0, 1, 2], "total_num_frames": 3}
    for frame, image in zip(tensor, frames, strict=True):
        assert np.array_equal(frame.permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "video 1 is empty"),
        ([picture(1), picture(2, (16, 16))], "video 1 has frames of different sizes"),
        ([picture(1), b"broken"], "video 1, frame 2 .* can't be read"),
    ],
)
def test_videos_that_can_not_be_used_are_named(frames, message):
    with pytest.raises(DataError, match=message):
        media.decoded(user([{"type": "video", "video": frames}]))


def test_a_video_file_needs_a_package_that_reads_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "qwen_vl_utils", None)
    with pytest.raises(DataError, match=r"a\.mp4 needs the package qwen_vl_utils"):
        media.extract(media.place(user("<video>"), [], ["a.mp4"]), 8)


def test_decoding_opens_once_and_leaves_the_input_alone(monkeypatch):
    messages = media.place([{"role": "system", "content": "s"}, *user("<image>?")], [png(picture(5))], [])
    before = repr(messages)
    once = media.decoded(messages)
    assert repr(messages) == before
    monkeypatch.setattr(media.Image, "open", None)  # whoever opens again fails
    (image,), _ = media.extract(once, 8)
    assert pixels(image) == pixels(picture(5))


def test_what_a_reward_function_gets_has_no_pixels():
    messages = media.decoded(media.place(user("a<image>b"), [picture(1)], []))
    (stripped,) = media.without_media(messages)
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert stripped == {"role": "user", "content": parts}


PLACEHOLDERS = ["<image>", "<video>", "＜image＞", "<|image_pad|>", "<|video_pad|>", "\\boxed{<image>}"]
PLACEHOLDERS += ["<|vision_start|><|image_pad|><|vision_end|>", "<ima<image>ge>", "<|image<image>_pad|>"]
PLACEHOLDERS += ["<|vision_sta<|im_end|>rt|>"]
HOSTILE = st.text() | st.sampled_from(PLACEHOLDERS)
TEXTS = st.lists(HOSTILE, min_size=1, max_size=4).map("".join)


@given(
    question=st.lists(st.sampled_from(["how many? ", "<image>", "<video>"]), max_size=6).map("".join),
    candidates=st.lists(TEXTS, min_size=2, max_size=2),
    answers=st.lists(TEXTS, max_size=3),
)
def test_a_reformulation_has_the_questions_media_once_each_and_no_other(question, candidates, answers):
    images = [bytes([i]) for i in range(question.count("<image>"))]
    videos = [f"{i}.mp4" for i in range(question.count("<video>"))]
    asked = media.place(user(question), images, videos)
    plain = with_closer(asked)
    for shown in (bcq_messages(asked, *candidates), ncq_messages(asked, answers, candidates)):
        (message,), (expected,) = with_closer(shown), plain
        assert list(_media(message)) == list(_media(expected))
        # What goes to the chat template has no placeholder in any text, so nothing can become an image there.
        text = _text(message)
        assert not any(token in text for token in ("<image>", "<video>", "<|image_pad|>", "<|video_pad|>"))
        assert "<|vision_start|>" not in text


def _media(message):
    if not isinstance(message["content"], str):
        yield from ((i, part) for i, part in enumerate(message["content"]) if part["type"] != "text")


def _text(message) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
