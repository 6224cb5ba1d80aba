"""Small pictures of shapes with captions: the smallest task that looks like image captioning.

A scene has one kind of thing at a place, or two with a relation between them. How many things of
what colour and shape come together in the test set never does so in training (nor in dev), though
each number, colour and shape does: a captioner must name what it sees, not recall it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gatedrnn.simulation.captioned import Made, choose, counted, generator, read_contents, write_set
from gatedrnn.simulation.combinations import Combination, part
from gatedrnn.simulation.drawing import COLOURS, SHAPES, draw
from gatedrnn.tasks.captioning.corpora.media import write_image

#: Words for the shapes, singular and plural.
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("disc", "discs")),
    "square": (("square", "squares"), ("box", "boxes")),
    "triangle": (("triangle", "triangles"),),
    "cross": (("cross", "crosses"), ("plus", "pluses")),
}
PLACES = ("top left", "top right", "bottom left", "bottom right", "middle")
#: Relation -> ways to say it, and the relation the other way round.
RELATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "left": (("left of", "to the left of"), "right"),
    "right": (("right of", "to the right of"), "left"),
    "above": (("above", "over"), "below"),
    "below": (("below", "under"), "above"),
}
ATTRIBUTES = {"count": ("1", "2", "3"), "colour": tuple(COLOURS), "shape": SHAPES}


@dataclass(frozen=True)
class Thing:
    """Things of one kind.

    Arguments
    ---------
    count : int
        How many, from 1 to 3.
    colour, shape : str
        Of each.
    """

    count: int
    colour: str
    shape: str

    def combination(self, names: tuple[str, ...]) -> Combination:
        """The values of some attributes."""
        return tuple(str(getattr(self, name)) for name in names)

    def phrases(self) -> list[str]:
        """Ways to say it."""
        return counted(self.count, self.colour, NOUNS[self.shape])


@dataclass(frozen=True)
class Scene:
    """What is in a picture.

    Arguments
    ---------
    things : tuple of Thing
        One, or two of which neither colour nor shape need differ, but not both are the same.
    relation : str
        Of one thing its place, of two how the first lies to the second.

    Example
    -------
    >>> scene = Scene((Thing(2, "red", "circle"), Thing(1, "blue", "triangle")), "left")
    >>> captions = scene.captions()
    >>> "two red discs left of a blue triangle" in captions, len(captions)
    (True, 48)
    """

    things: tuple[Thing, ...]
    relation: str

    def captions(self) -> tuple[str, ...]:
        """All captions that are true of it, by the grammar, in order."""
        if len(self.things) == 1:
            (thing,) = self.things
            found = _of_one(thing, self.relation)
        else:
            first, second = self.things
            found = _of_two(first, second, self.relation)
            found |= _of_two(second, first, RELATIONS[self.relation][1])
        return tuple(sorted(found))


def _of_one(thing: Thing, place: str) -> set[str]:
    be = "is" if thing.count == 1 else "are"
    where = f"in the {place}"
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


def _of_two(first: Thing, second: Thing, relation: str) -> set[str]:
    be = "is" if first.count == 1 else "are"
    return {
        sentence
        for one in first.phrases()
        for how in RELATIONS[relation][0]
        for other in second.phrases()
        for sentence in (
            f"{one} {how} {other}",
            f"there {be} {one} {how} {other}",
            f"the picture shows {one} {how} {other}",
        )
    }


@dataclass(frozen=True)
class SceneOptions:
    """What scenes are made of.

    Arguments
    ---------
    seed : int
        The same seed, the same bytes.
    size : int
        Pixels of a side, at least 32.
    two : float
        Share of scenes with two kinds of things.
    held_out : tuple of str
        The attributes whose combinations are parted between the splits: of count, colour and
        shape. Fewer are harder: ``("colour", "shape")`` shows a red circle in no number.
    share : float
        Of combinations that go to dev, and again to test.
    noise : float
        Standard deviation of what is added to pixels, of 255.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    seed: int = 0
    size: int = 64
    two: float = 0.6
    held_out: tuple[str, ...] = ("count", "colour", "shape")
    share: float = 0.125
    noise: float = 0.02

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"size must be at least 32, not {self.size}")
        if not 0 <= self.two <= 1:
            raise ValueError(f"two must lie between 0 and 1, not {self.two}")
        if self.seed < 0 or self.noise < 0:
            raise ValueError("seed and noise must not be negative")
        combinations(self)

    def things(self, split: str) -> tuple[Thing, ...]:
        """All things that come in a split."""
        return _things(self, split)


@cache
def combinations(options: SceneOptions) -> dict[str, set[Combination]]:
    """Which combinations of attributes each split has.

    Arguments
    ---------
    options : SceneOptions
        They decide it.

    Returns
    -------
    dict
        Split -> combinations.

    Example
    -------
    >>> {split: len(found) for split, found in combinations(SceneOptions()).items()}
    {'train': 54, 'dev': 9, 'test': 9}
    """
    return part(ATTRIBUTES, options.held_out, options.share, options.seed)


@cache
def _things(options: SceneOptions, split: str) -> tuple[Thing, ...]:
    every = (
        Thing(int(count), colour, shape)
        for count in ATTRIBUTES["count"]
        for colour in ATTRIBUTES["colour"]
        for shape in ATTRIBUTES["shape"]
    )
    allowed = combinations(options)[split]
    return tuple(thing for thing in every if thing.combination(options.held_out) in allowed)


def make_scene(split: str, number: int, options: SceneOptions | None = None) -> Made:
    """Makes a picture with five captions.

    Arguments
    ---------
    split : str
        "train", "dev" or "test".
    number : int
        Any: the same number, the same picture.
    options : SceneOptions or None
        What scenes are made of; None for the defaults.

    Returns
    -------
    Made
        ``signal`` is (size, size, 3), uint8.

    Raises
    ------
    ValueError
        If there is no such split.

    Example
    -------
    >>> made = make_scene("test", 0)
    >>> made.signal.shape, len(set(made.references)), set(made.references) <= set(
    ...     made.contents.captions())
    ((64, 64, 3), 5, True)
    """
    options = options or SceneOptions()
    rng = generator(options.seed, split, number)
    known = options.things(split)
    first = known[rng.integers(len(known))]
    others = [t for t in known if (t.colour, t.shape) != (first.colour, first.shape)]
    if rng.random() < options.two and others:
        things = (first, others[rng.integers(len(others))])
        relation = tuple(RELATIONS)[rng.integers(len(RELATIONS))]
    else:
        things = (first,)
        relation = PLACES[rng.integers(len(PLACES))]
    scene = Scene(things, relation)
    groups = [(thing.count, thing.colour, thing.shape) for thing in things]
    pixels = draw(groups, relation, options.size, options.noise, rng)
    return Made(scene, choose(scene.captions(), rng), pixels)


def write_scenes(
    out: str | Path, counts: Mapping[str, int], options: SceneOptions | None = None
) -> Path:
    """Writes pictures and a manifest of their captions, unless they lie there already.

    Arguments
    ---------
    out : str or Path
        The folder.
    counts : Mapping
        Split -> number of pictures.
    options : SceneOptions or None
        What scenes are made of; None for the defaults.

    Returns
    -------
    Path
        The manifest, ``captions.jsonl``.

    Raises
    ------
    ValueError
        If a number is negative, or a split unknown.
    ImportError
        If Pillow is not installed.

    Example
    -------
    >>> from gatedrnn.tasks.captioning.corpora.prepare import prepare_captions
    >>> folder = getfixture("tmp_path")
    >>> path = write_scenes(folder / "scenes", {"train": 3, "dev": 1})
    >>> len(prepare_captions("manifest", path, folder / "out").items("train"))
    3
    """
    options = options or SceneOptions()
    return write_set(
        out,
        counts,
        options,
        lambda split, number: make_scene(split, number, options),
        write_image,
        ("image", ".png"),
    )


def read_scenes(out: str | Path) -> dict[str, Scene]:
    """Reads what is in each picture of a set: a caption is right if it is one of ``captions()``.

    Arguments
    ---------
    out : str or Path
        The folder that :func:`write_scenes` wrote.

    Returns
    -------
    dict
        Item -> scene.

    Raises
    ------
    FileNotFoundError
        If there is no set.

    Example
    -------
    >>> folder = write_scenes(getfixture("tmp_path"), {"dev": 1}).parent
    >>> read_scenes(folder)["dev-000000"] == make_scene("dev", 0).contents
    True
    """
    return read_contents(
        out, lambda row: Scene(tuple(Thing(**thing) for thing in row["things"]), row["relation"])
    )
