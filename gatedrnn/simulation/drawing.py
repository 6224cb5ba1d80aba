"""Drawing of shapes: groups of them at a place, or on both sides of a relation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Red, green and blue.
COLOURS = {
    "red": (220, 40, 40),
    "green": (50, 180, 70),
    "blue": (50, 90, 230),
    "yellow": (240, 215, 50),
    "purple": (160, 60, 190),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross")
#: Each pixel is drawn as this many by as many.
_FINE = 3
#: The picture is four by four cells, with room for a thing in each.
_CELLS = 4
_EVERY = [(row, column) for row in range(_CELLS) for column in range(_CELLS)]
_MIDDLE = [(row, column) for row, column in _EVERY if row in (1, 2) and column in (1, 2)]
#: Place -> its cells. No cell has two places: the corners end where the middle begins.
_PLACES = {
    f"{vertical} {horizontal}": [
        (row, column)
        for row, column in _EVERY
        if row // 2 == i and column // 2 == j and (row, column) not in _MIDDLE
    ]
    for i, vertical in enumerate(("top", "bottom"))
    for j, horizontal in enumerate(("left", "right"))
} | {"middle": _MIDDLE}
_LEFT, _RIGHT = ([cell for cell in _EVERY if cell[1] // 2 == half] for half in (0, 1))
_TOP, _BOTTOM = ([cell for cell in _EVERY if cell[0] // 2 == half] for half in (0, 1))
#: Relation -> cells of the first and of the second.
_SIDES = {
    "left": (_LEFT, _RIGHT),
    "right": (_RIGHT, _LEFT),
    "above": (_TOP, _BOTTOM),
    "below": (_BOTTOM, _TOP),
}

#: How many of what colour and shape.
Group = tuple[int, str, str]
#: Row and column of a thing's middle, and its radius.
Spot = tuple[float, float, float]


def draw(
    groups: Sequence[Group], relation: str, size: int, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws one group at a place, or two with a relation between them.

    Arguments
    ---------
    groups : sequence of Group
        One or two.
    relation : str
        A place for one; "left", "right", "above" or "below" for two.
    size : int
        Pixels of a side.
    noise : float
        Standard deviation of what is added to pixels, of 255.
    rng : np.random.Generator
        Decides the ground, sizes, tints and where exactly things lie.

    Returns
    -------
    np.ndarray
        (size, size, 3), uint8.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> pixels = draw([(1, "red", "circle")], "top left", 64, 0.0, rng)
    >>> red = (pixels[..., 0].astype(int) - pixels[..., 1]) > 100
    >>> bool(red[:32, :32].any()), bool(red[32:].any() | red[:, 32:].any())
    (True, False)
    """
    ground = rng.uniform(70, 110) + rng.uniform(-8, 8, 3)
    pixels = np.broadcast_to(ground, (size, size, 3)).copy()
    for (_, colour, shape), spots in zip(groups, _layout(groups, relation, size, rng), strict=True):
        for row, column, radius in spots:
            tint = np.array(COLOURS[colour]) + rng.uniform(-15, 15, 3)
            box, cover = _cover(shape, row, column, radius, size)
            pixels[box] = (1 - cover) * pixels[box] + cover * tint
    pixels += 255 * noise * rng.standard_normal(pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _layout(
    groups: Sequence[Group], relation: str, size: int, rng: np.random.Generator
) -> list[list[Spot]]:
    """Where the things of each group are."""
    if len(groups) == 1:
        return [_spots(groups[0][0], _PLACES[relation], size, rng)]
    # What is left of something must not be above it as well: then both captions were true.
    across = 0 if relation in ("left", "right") else 1
    while True:
        pairs = zip(groups, _SIDES[relation], strict=True)
        layout = [_spots(group[0], cells, size, rng) for group, cells in pairs]
        (low, high), (begin, end) = (
            (min(s[across] - s[2] for s in spots), max(s[across] + s[2] for s in spots))
            for spots in layout
        )
        if low < end and begin < high:
            return layout


def _spots(
    count: int, cells: Sequence[tuple[int, int]], size: int, rng: np.random.Generator
) -> list[Spot]:
    """Middle and radius of each thing: in cells of their own, so that none hides another."""
    side = size / _CELLS
    spots = []
    for index in rng.choice(len(cells), count, replace=False):
        radius = side * rng.uniform(0.28, 0.42)
        # At least a sixteenth of a cell to its edge: neighbours do not touch.
        room = side * (0.5 - 1 / 16) - radius
        row, column = (side * (i + 0.5) + rng.uniform(-room, room) for i in cells[index])
        spots.append((row, column, radius))
    return spots


def _cover(
    shape: str, row: float, column: float, radius: float, size: int
) -> tuple[tuple[slice, slice], np.ndarray]:
    """The box around a thing, and how much of each pixel in it the thing covers, (h, w, 1)."""
    box = tuple(
        slice(max(0, int(middle - radius)), min(size, int(middle + radius) + 1))
        for middle in (row, column)
    )
    y, x = (
        (np.arange(part.start * _FINE, part.stop * _FINE) + 0.5) / _FINE - middle
        for part, middle in zip(box, (row, column), strict=True)
    )
    y, x = y[:, None] / radius, x[None, :] / radius
    if shape == "circle":
        inside = x**2 + y**2 <= 1
    elif shape == "square":
        inside = np.maximum(np.abs(x), np.abs(y)) <= 0.85
    elif shape == "triangle":
        inside = (y <= 0.8) & (np.abs(x) <= (y + 1) / 1.8)
    else:
        short, long = np.minimum(np.abs(x), np.abs(y)), np.maximum(np.abs(x), np.abs(y))
        inside = (short <= 0.34) & (long <= 1)
    height, width = (part.stop - part.start for part in box)
    return box, inside.reshape(height, _FINE, width, _FINE).mean((1, 3))[..., None]
