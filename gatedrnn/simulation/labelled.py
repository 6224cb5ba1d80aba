"""Tiny sets in the files of real ones: drawn digits, and sentences of a few words.

They serve where a recipe must run at once, with nothing to download. They are easy: what is learnt
from them says nothing about real data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp
from gatedrnn.tasks.classification.corpora.idx import write_idx
from gatedrnn.tasks.classification.corpora.image_layouts import BATCHES, TEST_BATCH
from gatedrnn.tasks.classification.corpora.sentence_layouts import DATASETS

STAMP = ".simulated.json"
#: Segments of each digit on a display of seven: top, upper left and right, middle, lower left and
#: right, bottom.
_SEGMENTS = (
    "1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010",
    "1111111", "1111011",
)  # fmt: skip
_FILLERS = tuple("the a film this story with its of and in is was one that more".split())
#: What tells the classes of a set from each other.
_SIGNS = (
    ("dull", "boring", "awful"), ("great", "lovely", "moving"), ("so-so", "average", "middling"),
    ("who", "whose", "person"), ("where", "city", "country"), ("many", "far", "old"),
)  # fmt: skip


def digit(number: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a digit of seven segments at some place, with some noise.

    Arguments
    ---------
    number : int
        The digit.
    side : int
        Height and width of the image.
    rng : np.random.Generator
        Decides place, size, brightness and noise.

    Returns
    -------
    np.ndarray
        (side, side), uint8.

    Example
    -------
    >>> digit(8, 28, np.random.default_rng(1)).shape
    (28, 28)
    """
    image = rng.integers(0, 25, (side, side))
    half, width = (int(rng.integers(side // 4, side // 3 + 1)) for _ in range(2))
    top = int(rng.integers(1, side - 2 * half - 2))
    left = int(rng.integers(1, side - width - 2))
    light, thick = int(rng.integers(160, 230)), 2
    high, middle, low = top, top + half, top + 2 * half
    right = left + width
    bars = (
        (high, high, left, right), (high, middle, left, left), (high, middle, right, right),
        (middle, middle, left, right), (middle, low, left, left), (middle, low, right, right),
        (low, low, left, right),
    )  # fmt: skip
    for lit, (y0, y1, x0, x1) in zip(_SEGMENTS[number], bars, strict=True):
        if lit == "1":
            image[y0 : y1 + thick, x0 : x1 + thick] += light
    return image.clip(0, 255).astype(np.uint8)


def write_digits(
    folder: str | Path, train: int = 600, test: int = 100, dataset: str = "mnist", seed: int = 1
) -> None:
    """Writes images of digits in the files of MNIST or CIFAR-10, if that has not been done.

    Arguments
    ---------
    folder : str or Path
        Where to.
    train : int
        Number of images for training.
    test : int
        And for the test.
    dataset : str
        ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
    seed : int
        Decides all.

    Raises
    ------
    ValueError
        If the folder holds other files.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "digits"
    >>> write_digits(folder, 20, 10)
    >>> sorted(path.name for path in folder.glob("t10k*"))
    ['t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz']
    """
    colours = dataset == "cifar10"

    def write(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        for name, count in (("train", train), ("t10k", test)):
            labels = rng.integers(0, 10, count).astype(np.uint8)
            images = np.stack([digit(int(n), 32 if colours else 28, rng) for n in labels])
            if colours:
                names = BATCHES if name == "train" else (TEST_BATCH,)
                _write_batches(folder, names, labels, images, rng)
            else:
                write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
                write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)

    options = {"kind": "digits", "train": train, "test": test, "dataset": dataset, "seed": seed}
    write_once(Path(folder), options, write)


def _write_batches(
    folder: Path,
    names: tuple[str, ...],
    labels: np.ndarray,
    images: np.ndarray,
    rng: np.random.Generator,
) -> None:
    tints = rng.uniform(0.4, 1.0, (len(labels), 3, 1, 1))
    pixels = (images[:, None] * tints).astype(np.uint8).reshape(len(labels), -1)
    records = np.concatenate([labels[:, None], pixels], axis=1)
    for name, part in zip(names, np.array_split(records, len(names)), strict=True):
        (folder / name).write_bytes(part.tobytes())


def write_sentences(
    folder: str | Path, train: int = 200, test: int = 60, dataset: str = "sst2", seed: int = 1
) -> None:
    """Writes sentences in the files of a set, if that has not been done.

    A word tells the class, and "not" before it makes it the opposite (of the classes 2k and 2k+1).

    Arguments
    ---------
    folder : str or Path
        Where to.
    train : int
        Number of sentences for training, or of all in a set without parts.
    test : int
        And of those in each other part.
    dataset : str
        A key of :data:`~gatedrnn.tasks.classification.corpora.sentence_layouts.DATASETS`.
    seed : int
        Decides all.

    Raises
    ------
    ValueError
        If there is no such set, or the folder holds other files.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "mr"
    >>> write_sentences(folder, 3, dataset="mr")
    >>> print((folder / "rt-polarity.all").read_text().splitlines()[0])
    0 was dull more the film
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, not {dataset!r}")
    layout = DATASETS[dataset]

    def write(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        for part, name in layout.files.items():
            count = test if part in ("valid", "test") else train
            lines = [_sentence(len(layout.classes), rng) for _ in range(count)]
            write_atomically(folder / name, "".join(lines))

    options = {"kind": "sentences", "train": train, "test": test, "dataset": dataset, "seed": seed}
    write_once(Path(folder), options, write)


def _sentence(classes: int, rng: np.random.Generator) -> str:
    label = int(rng.integers(classes))
    words = list(rng.choice(_FILLERS, int(rng.integers(2, 7))))
    opposite = label ^ 1
    turned = opposite < classes and rng.random() < 0.3
    sign = rng.choice(_SIGNS[opposite if turned else label])
    place = int(rng.integers(len(words) + 1))
    words[place:place] = ["not", sign] if turned else [sign]
    return f"{label} {' '.join(words)}\n"


def write_once(folder: Path, options: Mapping[str, object], write: Callable[[Path], None]) -> None:
    """Writes into a folder of its own, unless it holds the same already.

    Arguments
    ---------
    folder : Path
        The folder.
    options : Mapping
        What decides the content, as plain data.
    write : callable
        Writes the files, given the folder.

    Raises
    ------
    ValueError
        If the folder holds other files.
    """
    key = fingerprint(options, [])
    stamp = folder / STAMP
    if is_current(stamp, key):
        return
    if folder.is_dir() and any(folder.iterdir()) and not stamp.is_file():
        raise ValueError(
            f"{folder} holds files that were not simulated: give a data_folder of its own"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write(folder)
    write_stamp(stamp, key, [path for path in folder.iterdir() if path != stamp])
