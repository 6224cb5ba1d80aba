"""Pictures of shapes and recordings of events with captions: the smallest captioning tasks.

A scene has one kind of shape at a place, or two with a relation between them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from gatedrnn.data.files import write_atomically
from gatedrnn.lazy import require
from gatedrnn.simulation.captioned import CaptionedItem, CaptionedItems, Group, choose

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
#: Each pixel is sampled at this many by as many points.
_FINE = 3
#: The picture is four by four cells, with room for a thing in each.
_CELLS = 4
_EVERY = [(row, column) for row in range(_CELLS) for column in range(_CELLS)]
_MIDDLE = [(row, column) for row, column in _EVERY if row in (1, 2) and column in (1, 2)]
#: Place -> its cells. No cell has two places: the corners end where the middle begins.
PLACES = {
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

#: Row and column of a thing's middle, and its radius.
Spot = tuple[float, float, float]
#: Relation -> prepositions for it, and the relation in the other direction.
RELATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "left": (("left of", "to the left of"), "right"),
    "right": (("right of", "to the right of"), "left"),
    "above": (("above", "over"), "below"),
    "below": (("below", "under"), "above"),
}


@dataclass(frozen=True)
class Thing(Group):
    """One to three shapes of one colour."""

    ATTRIBUTES = {"count": ("1", "2", "3"), "colour": tuple(COLOURS), "shape": SHAPES}
    NOUNS = {
        "circle": (("circle", "circles"), ("disc", "discs")),
        "square": (("square", "squares"), ("box", "boxes")),
        "triangle": (("triangle", "triangles"),),
        "cross": (("cross", "crosses"), ("plus", "pluses")),
    }

    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """Contents of a picture: one thing and its place, or two and their relation."""

    things: tuple[Thing, ...]
    relation: str

    def captions(self) -> tuple[str, ...]:
        """All captions that are true of it, by the grammar, sorted."""
        if len(self.things) == 1:
            return tuple(sorted(_captions_of_one(self.things[0], self.relation)))
        first, second = self.things
        return tuple(
            sorted(
                _captions_of_two(first, second, self.relation)
                | _captions_of_two(second, first, RELATIONS[self.relation][1])
            )
        )


def _captions_of_one(thing: Thing, place: str) -> set[str]:
    be, where = thing.verb, f"in the {place}"
    return {
        sentence
        for phrase in thing.phrases()
        for sentence in (
            f"{phrase} {where}",
            f"there {be} {phrase} {where}",
            f"{where} {be} {phrase}",
            f"the picture shows {phrase} {where}",
            f"{phrase} can be seen {where}",
            f"someone drew {phrase} {where}",
        )
    }


def _captions_of_two(first: Thing, second: Thing, relation: str) -> set[str]:
    return {
        f"{opening}{a} {preposition} {b}"
        for a in first.phrases()
        for preposition in RELATIONS[relation][0]
        for b in second.phrases()
        for opening in ("", f"there {first.verb} ", "the picture shows ")
    }


@dataclass(frozen=True, kw_only=True)
class Scenes(CaptionedItems):
    """Generator of pictures of shapes.

    Arguments
    ---------
    held_out : tuple of str
        Of count, colour and shape. Fewer are harder: with ``("colour", "shape")`` training shows a
        red circle in no number.
    size : int
        Pixels of a side, at least 32.
    noise : float
        Standard deviation of the noise that is added to pixels, as a fraction of 255.

    Example
    -------
    >>> item = Scenes().sample("test", 0)
    >>> item.signal.shape, len(set(item.references)), set(item.references) <= set(
    ...     item.contents.captions())
    ((64, 64, 3), 5, True)
    >>> {split: len(combinations) for split, combinations in Scenes().combinations().items()}
    {'train': 54, 'dev': 9, 'test': 9}
    """

    KIND, FOLDER, SUFFIX, GROUP = "image", "images", ".png", Thing

    held_out: tuple[str, ...] = ("count", "colour", "shape")
    size: int = 64
    noise: float = 0.02

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"size must be at least 32, not {self.size}")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, not {self.noise}")
        super().__post_init__()

    def _differ(self, first: Thing, second: Thing) -> bool:
        return (first.colour, first.shape) != (second.colour, second.shape)

    def _render(self, groups: tuple[Thing, ...], rng: np.random.Generator) -> CaptionedItem:
        relations = tuple(RELATIONS if len(groups) == 2 else PLACES)
        scene = Scene(groups, relations[rng.integers(len(relations))])
        pixels = draw(groups, scene.relation, self.size, self.noise, rng)
        return CaptionedItem(scene, choose(scene.captions(), rng), pixels)

    @staticmethod
    def _write_signal(path: Path, signal: np.ndarray) -> None:
        write_image(path, signal)

    @classmethod
    def _contents(cls, row: Mapping[str, Any]) -> Scene:
        return Scene(tuple(Thing(**thing) for thing in row["things"]), row["relation"])


def draw(
    groups: Sequence[Thing], relation: str, size: int, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Renders one group at a place, or two in a relation, as pixels (size, size, 3), uint8."""
    ground = rng.uniform(70, 110) + rng.uniform(-8, 8, 3)
    pixels = np.broadcast_to(ground, (size, size, 3)).copy()
    for thing, spots in zip(groups, _layout(groups, relation, size, rng), strict=True):
        for row, column, radius in spots:
            tint = np.array(COLOURS[thing.colour]) + rng.uniform(-15, 15, 3)
            box, cover = _cover(thing.shape, row, column, radius, size)
            pixels[box] = (1 - cover) * pixels[box] + cover * tint
    pixels += 255 * noise * rng.standard_normal(pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _layout(
    groups: Sequence[Thing], relation: str, size: int, rng: np.random.Generator
) -> list[list[Spot]]:
    """Where the things of each group are."""
    if len(groups) == 1:
        return [_spots(groups[0].count, PLACES[relation], size, rng)]
    # What is left of something must not be above it as well: then both captions were true.
    across = 0 if relation in ("left", "right") else 1
    while True:
        pairs = zip(groups, _SIDES[relation], strict=True)
        layout = [_spots(group.count, cells, size, rng) for group, cells in pairs]
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


def write_image(path: str | Path, pixels: np.ndarray) -> None:
    """Writes pixels (height, width, 3), uint8, atomically as PNG."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"an image must be (height, width, 3) of uint8, not {pixels.shape} of {pixels.dtype}"
        )
    image = require("PIL.Image", "images", "captions", "Pillow")
    encoded = io.BytesIO()
    image.fromarray(pixels).save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())


SAMPLE_RATE = 16_000
#: Root mean square of an event; each varies by 2 dB, so that the two never meet.
LOUDNESS = {"soft": 0.02, "loud": 0.2}
_NOUNS = {
    "low tone": (("low tone", "low tones"), ("low beep", "low beeps")),
    "high tone": (("high tone", "high tones"), ("high beep", "high beeps")),
    "rising chirp": (("rising chirp", "rising chirps"), ("rising whistle", "rising whistles")),
    "falling chirp": (
        ("falling chirp", "falling chirps"),
        ("falling whistle", "falling whistles"),
    ),
    "noise": (("burst of noise", "bursts of noise"), ("hiss", "hisses")),
    "click": (("click", "clicks"), ("tick", "ticks")),
}


@dataclass(frozen=True)
class Event(Group):
    """One to three events of one kind and loudness."""

    ATTRIBUTES = {"count": ("1", "2", "3"), "loudness": tuple(LOUDNESS), "kind": tuple(_NOUNS)}
    NOUNS = _NOUNS

    loudness: str
    kind: str


@dataclass(frozen=True)
class Sound:
    """Contents of a recording: events of one kind, or of two kinds, one after the other."""

    events: tuple[Event, ...]

    def captions(self) -> tuple[str, ...]:
        """All captions that are true of it, by the grammar, sorted."""
        captions = _sound_captions_of_one if len(self.events) == 1 else _sound_captions_of_two
        return tuple(sorted(captions(*self.events)))


def _sound_captions_of_one(event: Event) -> set[str]:
    return {
        sentence
        for phrase in event.phrases()
        for sentence in (
            phrase,
            f"there {event.verb} {phrase}",
            f"{phrase} can be heard",
            f"the sound of {phrase}",
            f"you can hear {phrase}",
        )
    }


def _sound_captions_of_two(first: Event, second: Event) -> set[str]:
    return {
        sentence
        for a in first.phrases()
        for b in second.phrases()
        for sentence in (
            f"{a} followed by {b}",
            f"{a} and then {b}",
            f"first {a} then {b}",
            f"{b} after {a}",
            f"{a} before {b}",
            f"there {first.verb} {a} and then {b}",
        )
    }


@dataclass(frozen=True, kw_only=True)
class Sounds(CaptionedItems):
    """Generator of recordings of events.

    Arguments
    ---------
    held_out : tuple of str
        Of count, loudness and kind.
    seconds : float
        Length of a recording, at least 3.5.
    floor : float
        Root mean square of the background noise.

    Example
    -------
    >>> item = Sounds().sample("test", 0)
    >>> item.signal.shape, len(set(item.references))
    ((56000,), 5)
    >>> {split: len(combinations) for split, combinations in Sounds().combinations().items()}
    {'train': 28, 'dev': 4, 'test': 4}
    """

    KIND, FOLDER, SUFFIX, GROUP = "audio", "audio", ".wav", Event

    held_out: tuple[str, ...] = ("count", "loudness", "kind")
    seconds: float = 3.5
    floor: float = 0.0005

    def __post_init__(self) -> None:
        if self.seconds < 3.5:
            raise ValueError(f"seconds must be at least 3.5, not {self.seconds}")
        if self.floor < 0:
            raise ValueError(f"floor must not be negative, not {self.floor}")
        super().__post_init__()

    def _differ(self, first: Event, second: Event) -> bool:
        return first.kind != second.kind

    def _render(self, groups: tuple[Event, ...], rng: np.random.Generator) -> CaptionedItem:
        sound = Sound(groups)
        references = choose(sound.captions(), rng)
        return CaptionedItem(sound, references, self._samples(groups, rng))

    def _samples(self, groups: tuple[Event, ...], rng: np.random.Generator) -> np.ndarray:
        """All events, with silence before, between and after."""
        pieces: list[np.ndarray] = []
        for number, event in enumerate(groups):
            if number:
                pieces.append(_silence(rng.uniform(0.35, 0.5)))
            for repeat in range(event.count):
                if repeat:
                    pieces.append(_silence(rng.uniform(0.08, 0.15)))
                wave = _event(event.kind, rng)
                level = LOUDNESS[event.loudness] * 10 ** (rng.uniform(-2, 2) / 20)
                pieces.append(wave * level / np.sqrt(np.mean(wave**2)))
        events = np.concatenate(pieces)
        samples = self.floor * rng.standard_normal(round(self.seconds * SAMPLE_RATE))
        start = rng.integers(len(samples) - len(events) + 1)
        samples[start : start + len(events)] += events
        return np.clip(samples, -1, 1).astype(np.float32)

    @staticmethod
    def _write_signal(path: Path, signal: np.ndarray) -> None:
        soundfile.write(path, signal, SAMPLE_RATE, subtype="PCM_16")

    @classmethod
    def _contents(cls, row: Mapping[str, Any]) -> Sound:
        return Sound(tuple(Event(**event) for event in row["events"]))


def _silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE))


def _event(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One event, of any level."""
    if kind == "click":
        # A decay of 2 ms: a click is short whatever its level.
        time = np.arange(round(0.012 * SAMPLE_RATE)) / SAMPLE_RATE
        return rng.standard_normal(len(time)) * np.exp(-time / 0.002)
    count = round(rng.uniform(0.18, 0.28) * SAMPLE_RATE)
    if kind == "noise":
        wave = rng.standard_normal(count)
    else:
        low, high = (rng.uniform(250, 400), rng.uniform(1400, 2200))
        ends = {"low tone": (low, low), "high tone": (high, high),
                "rising chirp": (low, high), "falling chirp": (high, low)}[kind]  # fmt: skip
        wave = np.sin(2 * np.pi * np.cumsum(np.geomspace(*ends, count)) / SAMPLE_RATE)
    edge = round(0.01 * SAMPLE_RATE)
    ramp = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    wave[:edge] *= ramp
    wave[-edge:] *= ramp[::-1]
    return wave
