"""Pictures of three families, of 84 x 84 pixels on white: what is in them (a scene), and how it is drawn.

- `counting`: a board of 3 x 3 cells, some with a square or a circle.
- `charts`: three bars, each 1 to 6 units tall.
- `geometry`: a board of 3 x 3 cells, some with a triangle, a square, a pentagon or a hexagon.

A cell of a board is what the model sees as one token (2 x 2 patches of 14 pixels); so nine tokens make a picture.
"""

import hashlib
import io
import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE = 84
CELL = 28
UNIT = 14
NUM_CELLS = 9
NUM_BARS = 3
MAX_HEIGHT = 6
SIDES = (3, 4, 5, 6)
LARGEST_VALUE = NUM_CELLS
"""Of one colour of a picture, in any family."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 32, 32),
    "green": (32, 160, 64),
    "blue": (40, 72, 224),
    "yellow": (244, 220, 40),
    "purple": (140, 48, 184),
    "orange": (248, 140, 24),
    "cyan": (64, 208, 224),
    "black": (16, 16, 16),
}

BACKGROUND = (255, 255, 255)
FAMILIES = ("counting", "charts", "geometry")


@dataclass(frozen=True)
class Thing:
    """One thing of a picture. `place` is a cell (row by row) or a bar's column.

    `form`: of `counting` 0 for a circle and 1 for a square; of `charts` the height; of `geometry` the number of sides.
    """

    place: int
    colour: str
    form: int


@dataclass(frozen=True)
class Scene:
    """What a picture shows; things in order of their places."""

    family: str
    things: tuple[Thing, ...]

    def value(self, colour: str) -> int:
        """The number of squares of this colour, the height of its bar, or the number of sides of its figure.

        0 where the colour does not occur. In `charts` and `geometry` a colour occurs once at most.
        """
        return sum(thing.form for thing in self.things if thing.colour == colour)

    def digest(self) -> str:
        """Names the picture: equal scenes have equal digests, on every machine."""
        text = ";".join(f"{thing.place},{thing.colour},{thing.form}" for thing in self.things)
        return hashlib.blake2b(f"{self.family}:{text}".encode(), digest_size=8).hexdigest()

    def held_out(self) -> bool:
        """One picture in eight, by digest, is for evaluation only: in no training question, in no pre-training."""
        return int(self.digest(), 16) % 8 == 0


def draw(scene: Scene) -> Image.Image:
    """The picture; a function of the scene alone."""
    image = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    for thing in scene.things:
        {"counting": _draw_sign, "charts": _draw_bar, "geometry": _draw_figure}[scene.family](canvas, thing)
    return image


def cell_of(scene: Scene, thing: Thing) -> int:
    """The cell, and so the token, by which a thing is known: its own, or the one with the upper end of the bar."""
    if scene.family != "charts":
        return thing.place
    row = SIZE // CELL - 1 - (thing.form - 1) * UNIT // CELL
    return row * (SIZE // CELL) + thing.place


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _corner(place: int) -> tuple[int, int]:
    row, column = divmod(place, SIZE // CELL)
    return column * CELL, row * CELL


def _draw_sign(canvas: ImageDraw.ImageDraw, thing: Thing) -> None:
    left, top = _corner(thing.place)
    box = (left + 4, top + 4, left + CELL - 5, top + CELL - 5)
    (canvas.rectangle if thing.form else canvas.ellipse)(box, fill=COLOURS[thing.colour])


def _draw_bar(canvas: ImageDraw.ImageDraw, thing: Thing) -> None:
    left = thing.place * CELL
    box = (left + 4, SIZE - thing.form * UNIT, left + CELL - 5, SIZE - 1)
    canvas.rectangle(box, fill=COLOURS[thing.colour])


def _draw_figure(canvas: ImageDraw.ImageDraw, thing: Thing) -> None:
    left, top = _corner(thing.place)
    centre, radius = CELL / 2, CELL / 2 - 1.5
    # The square stands on a side, the others on their lowest corners with one corner at the top.
    start = -math.pi / 2 + (math.pi / 4 if thing.form == 4 else 0.0)
    angles = [start + 2 * math.pi * n / thing.form for n in range(thing.form)]
    corners = [(left + centre + radius * math.cos(a), top + centre + radius * math.sin(a)) for a in angles]
    canvas.polygon(corners, fill=COLOURS[thing.colour])
