"""Reads a picture by its pixels alone, slowly and without the drawing code: the reference for the answers."""

from PIL import Image

WHITE = (255, 255, 255)


def read(family: str, image: Image.Image, colour: tuple[int, int, int]) -> int:
    """Number of squares, height of the bar, or number of sides of the figure of this colour; 0 where it is absent."""
    pieces = _pieces(image, colour)
    if family == "counting":
        return sum(_is_full_rectangle(piece) for piece in pieces)
    if not pieces:
        return 0
    (piece,) = pieces
    if family == "charts":
        assert _is_full_rectangle(piece)
        return round((max(y for _, y in piece) - min(y for _, y in piece) + 1) / 14)
    return _corners(piece)


def colours(image: Image.Image) -> set[tuple[int, int, int]]:
    return {colour for _, colour in image.getcolors()} - {WHITE}


def _pieces(image: Image.Image, colour: tuple[int, int, int]) -> list[set[tuple[int, int]]]:
    """Connected pixels of one colour, by flood fill."""
    left = {(x, y) for x in range(image.width) for y in range(image.height) if image.getpixel((x, y)) == colour}
    pieces = []
    while left:
        piece, border = set(), [left.pop()]
        while border:
            x, y = border.pop()
            piece.add((x, y))
            near = {(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)} & left
            left -= near
            border += near
        pieces.append(piece)
    return pieces


def _is_full_rectangle(piece: set[tuple[int, int]]) -> bool:
    width = max(x for x, _ in piece) - min(x for x, _ in piece) + 1
    height = max(y for _, y in piece) - min(y for _, y in piece) + 1
    return len(piece) == width * height


def _corners(piece: set[tuple[int, int]]) -> int:
    """Corners of a convex figure: vertices of its hull, without those that hardly matter to its area."""
    hull = _hull(sorted(piece))
    whole = _area(hull)
    while len(hull) > 3:
        losses = [_area([hull[n - 1], hull[n], hull[(n + 1) % len(hull)]]) for n in range(len(hull))]
        least = min(range(len(hull)), key=losses.__getitem__)
        if losses[least] > 0.12 * whole:
            break
        hull.pop(least)
    return len(hull)


def _hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    def half(points):
        chain = []
        for p in points:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return half(points) + half(points[::-1])


def _turn(a, b, c) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _area(corners: list[tuple[int, int]]) -> float:
    return abs(sum(_turn((0, 0), corners[n - 1], corners[n]) for n in range(len(corners)))) / 2
