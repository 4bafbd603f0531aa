"""Drawn pictures and the data rows about them."""

import io
from typing import Any

from PIL import Image, ImageDraw


def picture(number: int, size: tuple[int, int] = (40, 48)) -> Image.Image:
    """A picture that no other number has: bars whose places and colours are its digits."""
    image = Image.new("RGB", size, (250, 250, 250))
    draw = ImageDraw.Draw(image)
    for bar in range(4):
        height = (number * 7 + bar * 5) % (size[1] - 4) + 2
        left = bar * size[0] // 4
        color = tuple((number * 37 + bar * 61 + channel * 83) % 256 for channel in range(3))
        draw.rectangle([left + 1, size[1] - height, left + size[0] // 4 - 2, size[1]], fill=color)
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def row(prompt_id: str, question: str, images: list[Image.Image] | None = None, **more: Any) -> dict[str, Any]:
    """A row of a data file; ``images=None`` leaves out the column."""
    result = {
        "data_source": "pictures",
        "prompt": [{"role": "user", "content": question}],
        "reward_model": {"style": "rule", "ground_truth": "1"},
        "prompt_id": prompt_id,
        **more,
    }
    if images is not None:
        result["images"] = [{"bytes": png(image), "path": None} for image in images]
    return result
