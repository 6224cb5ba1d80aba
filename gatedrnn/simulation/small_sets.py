"""Synthetic sets in the files of real ones: digits, sentences, parallel text, chord sequences.

For recipes that must run at once, with nothing to download. The sets are easy: results on them say
nothing about real data.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp

STAMP = ".simulated.json"
#: Segments of each digit on a display of seven: top, upper left and right, middle, lower left and
#: right, bottom.
_SEGMENTS = (
    "1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010",
    "1111111", "1111011",
)  # fmt: skip
_FILLERS = tuple("the a film this story with its of and in is was one that more".split())
#: Class -> words that only its sentences have.
_SIGNS = (
    ("dull", "boring", "awful"), ("great", "lovely", "moving"), ("so-so", "average", "middling"),
    ("who", "whose", "person"), ("where", "city", "country"), ("many", "far", "old"),
)  # fmt: skip
#: Suffixes of the files.
SOURCE, TARGET = "en", "xx"
#: Noun -> its translation, and whether it is one of the second kind.
_NOUNS = {
    "dog": ("runo", False), "cat": ("mili", True), "child": ("pago", False),
    "bird": ("tiri", True), "house": ("domo", False), "river": ("akri", True),
}  # fmt: skip
_ARTICLES = {"the": ("lo", "li"), "a": ("uno", "uni")}
_ADJECTIVES = {"small": "pet", "red": "rug", "old": "vek", "quiet": "tas"}
_VERBS = {"sees": "vidar", "likes": "amar", "follows": "segar", "finds": "trovar"}
_TIMES = {"today": "odi", "often": "sov", "": ""}
#: Chords as steps above the root; and which chord follows which, in steps of the scale.
_CHORDS = {"major": (0, 4, 7), "minor": (0, 3, 7)}
_SCALE = (0, 2, 4, 5, 7, 9, 11)
_KINDS = ("major", "minor", "minor", "major", "major", "minor", "minor")
#: Degree -> degrees that may follow.
_FOLLOWS = {0: (3, 4, 5), 1: (4,), 2: (5, 3), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3), 6: (0,)}
SAMPLE_RATE = 16000
#: Formants, in Hz, of the sounds that words are made of.
SOUNDS = {"a": (700, 1200), "e": (500, 1900), "i": (300, 2300), "o": (450, 800), "u": (320, 1000)}
WORDS = ("ai", "ea", "io", "oe", "ua", "aiu", "eou", "iae", "oui", "uea")


def write_once(folder: Path, options: Mapping[str, object], write: Callable[[Path], None]) -> None:
    """Writes files into a folder of its own, unless it holds the same set already."""
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


# ---- labelled images and sentences ----------------------------------------------------------


def digit(number: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """A digit of seven segments at a random place, with noise: (side, side), uint8."""
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
    """Writes images of digits in the files of MNIST or CIFAR-10, unless they are there.

    Arguments
    ---------
    folder : str or Path
        Folder of the files.
    train : int
        Number of images for training.
    test : int
        Number of images of the test.
    dataset : str
        ``"mnist"``, ``"fashion_mnist"`` or ``"cifar10"``.
    seed : int
        Seed of labels, places, sizes and noise.

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
                batches = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
                names = batches if name == "train" else ("test_batch.bin",)
                _write_batches(folder, names, labels, images, rng)
            else:
                write_idx(folder / f"{name}-images-idx3-ubyte.gz", images)
                write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels)

    options = {"kind": "digits", "train": train, "test": test, "dataset": dataset, "seed": seed}
    write_once(Path(folder), options, write)


def write_idx(path: str | Path, values: np.ndarray) -> None:
    """Writes bytes (uint8, any shape) as an idx file, compressed if its name ends with ``.gz``."""
    path = Path(path)
    # 0x08: unsigned bytes.
    head = bytes((0, 0, 0x08, values.ndim))
    raw = head + np.array(values.shape, dtype=">u4").tobytes() + values.tobytes()
    # Without a time in it, the same elements make the same file.
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


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
    folder: str | Path,
    files: Mapping[str, str],
    classes: int,
    train: int = 200,
    test: int = 60,
    seed: int = 1,
) -> None:
    """Writes labelled sentences, one in a line after its label, unless they are there.

    A word determines the class, and "not" before it inverts it (of the classes 2k and 2k+1).

    Arguments
    ---------
    folder : str or Path
        Folder of the files.
    files : Mapping
        Part of the set -> name of its file.
    classes : int
        Number of classes, 2 to 6.
    train : int
        Number of sentences for training, or of all in a set without parts.
    test : int
        Number of sentences of ``valid`` and of ``test``.
    seed : int
        Seed of the sentences.

    Raises
    ------
    ValueError
        If the folder holds other files.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "mr"
    >>> write_sentences(folder, {"whole": "rt-polarity.all"}, 2, train=3)
    >>> print((folder / "rt-polarity.all").read_text().splitlines()[0])
    0 was dull more the film
    """

    def write(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        for part, name in files.items():
            count = test if part in ("valid", "test") else train
            lines = [_sentence(classes, rng) for _ in range(count)]
            write_atomically(folder / name, "".join(lines))

    options = {"kind": "sentences", "train": train, "test": test, "files": dict(files)}
    options |= {"classes": classes, "seed": seed}
    write_once(Path(folder), options, write)


def _sentence(classes: int, rng: np.random.Generator) -> str:
    label = int(rng.integers(classes))
    words = list(rng.choice(_FILLERS, int(rng.integers(2, 7))))
    opposite = label ^ 1
    inverted = opposite < classes and rng.random() < 0.3
    sign = rng.choice(_SIGNS[opposite if inverted else label])
    place = int(rng.integers(len(words) + 1))
    words[place:place] = ["not", sign] if inverted else [sign]
    return f"{label} {' '.join(words)}\n"


# ---- parallel text --------------------------------------------------------------------------


def parallel_sentence(rng: np.random.Generator) -> tuple[str, str]:
    """A sentence of a tiny synthetic language and its translation.

    The translation puts the verb last, adjectives behind their noun and adverbs of time first, and
    its articles agree with the noun: a translation word by word is wrong.

    Example
    -------
    >>> parallel_sentence(np.random.default_rng(4))
    ('a red quiet river likes a old dog often', 'sov uni akri tas rug uno runo vek amar')
    """

    def phrase() -> tuple[str, str]:
        article, noun = (str(rng.choice(list(words))) for words in (_ARTICLES, _NOUNS))
        count = int(rng.choice([0, 0, 1, 1, 2]))
        adjectives = [str(word) for word in rng.choice(list(_ADJECTIVES), count, replace=False)]
        translated, second = _NOUNS[noun]
        behind = [_ADJECTIVES[word] for word in reversed(adjectives)]
        return (
            " ".join([article, *adjectives, noun]),
            " ".join([_ARTICLES[article][second], translated, *behind]),
        )

    (who, qui), (whom, quem) = phrase(), phrase()
    verb, when = (str(rng.choice(list(words))) for words in (_VERBS, _TIMES))
    words = (
        " ".join([who, verb, whom, when]),
        " ".join([_TIMES[when], qui, quem, _VERBS[verb]]),
    )
    return words[0].strip(), words[1].strip()


def write_parallel(
    folder: str | Path, train: int = 2000, valid: int = 100, test: int = 100, seed: int = 1
) -> None:
    """Writes ``train``, ``valid`` and ``test`` with the suffixes ``.en`` and ``.xx``, once.

    No sentence comes twice, neither within a set nor in two sets.

    Arguments
    ---------
    folder : str or Path
        Folder of the files.
    train : int
        Number of pairs for training.
    valid : int
        Number of pairs for validation.
    test : int
        Number of pairs of the test.
    seed : int
        Seed of the sentences.

    Raises
    ------
    ValueError
        If the folder holds other files, or a number is out of its range.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "pairs"
    >>> write_parallel(folder, 5, 2, 2)
    >>> [len((folder / f"train.{suffix}").read_text().splitlines()) for suffix in ("en", "xx")]
    [5, 5]
    """
    counts = {"train": train, "valid": valid, "test": test}
    if min(counts.values()) < 1 or sum(counts.values()) > 50_000:
        raise ValueError(
            "train, valid and test must be at least 1 pair each, and 50,000 together at most, not "
            f"{train}, {valid} and {test}"
        )

    def write(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        translations: dict[str, str] = {}
        while len(translations) < sum(counts.values()):
            source, target = parallel_sentence(rng)
            translations[source] = target
        pairs = iter(translations.items())
        for name, count in counts.items():
            taken = [next(pairs) for _ in range(count)]
            for ending, side in ((SOURCE, 0), (TARGET, 1)):
                text = "".join(f"{pair[side]}\n" for pair in taken)
                write_atomically(folder / f"{name}.{ending}", text)

    write_once(Path(folder), {"kind": "parallel", **counts, "seed": seed}, write)


# ---- polyphonic music -----------------------------------------------------------------------


def make_piece(seed: int, chords: int = 8, hold: int = 2) -> list[list[int]]:
    """A piece in some key: chords above a bass note, each of ``hold`` frames of MIDI notes.

    Example
    -------
    >>> piece = make_piece(3, chords=4)
    >>> len(piece), piece[0] == piece[1], piece == make_piece(3, chords=4)
    (8, True, True)
    """
    rng = random.Random(seed)
    tonic, degree = rng.randrange(48, 60), 0
    piece = []
    for _ in range(chords):
        root = tonic + _SCALE[degree]
        notes = sorted({root - 12, *(root + step for step in _CHORDS[_KINDS[degree]])})
        piece += [list(notes) for _ in range(hold)]
        degree = rng.choice(_FOLLOWS[degree])
    return piece


def make_pieces(
    counts: tuple[int, int, int] = (12, 5, 4), *, chords: int = 8, seed: int = 0
) -> dict[str, list[list[list[int]]]]:
    """A corpus in the JSON form: part -> pieces -> frames -> notes. Pieces have ``chords`` to
    one and a half times as many chords.
    """
    pieces, number = {}, 1000 * seed
    for part, count in zip(("train", "valid", "test"), counts, strict=True):
        pieces[part] = []
        for _ in range(count):
            number += 1
            pieces[part].append(make_piece(number, chords + number % (chords // 2 + 1)))
    return pieces


def write_music(
    folder: str | Path, train: int = 400, valid: int = 20, test: int = 20, seed: int = 0
) -> None:
    """Writes ``music.json`` of synthetic pieces, once.

    Arguments
    ---------
    folder : str or Path
        Folder of the file.
    train : int
        Number of pieces for training.
    valid : int
        Number of pieces for validation.
    test : int
        Number of pieces of the test.
    seed : int
        Seed of the pieces.

    Raises
    ------
    ValueError
        If the folder holds other files, or a number is out of its range.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "music"
    >>> write_music(folder, 3, 1, 1)
    >>> len(json.loads((folder / "music.json").read_text())["train"])
    3
    """
    counts = (train, valid, test)
    # The seeds of pieces of one corpus lie below those of the next.
    if min(counts) < 1 or sum(counts) >= 1000:
        raise ValueError(
            "train, valid and test must be at least 1 piece each, and fewer than 1,000 together, "
            f"not {train}, {valid} and {test}"
        )

    def write(folder: Path) -> None:
        write_atomically(folder / "music.json", json.dumps(make_pieces(counts, seed=seed)) + "\n")

    options = {"kind": "music", "train": train, "valid": valid, "test": test, "seed": seed}
    write_once(Path(folder), options, write)


@dataclass(frozen=True)
class ToneUtterance:
    """A synthetic utterance: its signal (samples,), float32, at 16 kHz, and its words."""

    samples: torch.Tensor
    words: tuple[str, ...]


def make_utterance(
    seed: int, *, speaker: int, max_words: int = 5, snr: float = 15.0
) -> ToneUtterance:
    """Synthesizes an utterance.

    Arguments
    ---------
    seed : int
        Seed of the words; the same seed and speaker give the same utterance.
    speaker : int
        Seed of pitch, formants, tempo and room.
    max_words : int
        Longest utterance, in words.
    snr : float
        Signal-to-noise ratio, in dB.

    Example
    -------
    >>> make_utterance(0, speaker=1).words == make_utterance(0, speaker=2).words
    True
    """
    text = torch.Generator().manual_seed(seed)
    voice = torch.Generator().manual_seed(10_000_019 + speaker)
    pitch, tract, tempo, echo = torch.rand(4, generator=voice).tolist()
    count = int(torch.randint(1, max_words + 1, (), generator=text))
    words = tuple(WORDS[i] for i in torch.randint(len(WORDS), (count,), generator=text).tolist())
    pieces = [torch.zeros(800)]
    for word in words:
        for sound in word:
            seconds = 0.06 + 0.04 * tempo + 0.02 * float(torch.rand((), generator=text))
            pieces.append(_sound(sound, 90 + 140 * pitch, 0.85 + 0.3 * tract, seconds))
        pieces.append(torch.zeros(int(SAMPLE_RATE * (0.03 + 0.03 * tempo))))
    clean = torch.cat(pieces)
    delay = 400 + int(1200 * echo)
    wet = clean.clone()
    wet[delay:] += 0.4 * clean[:-delay]
    noise = torch.randn(len(wet), generator=text)
    noise *= wet.pow(2).mean().sqrt() * 10 ** (-snr / 20)
    return ToneUtterance(0.1 * (wet + noise), words)


def _sound(name: str, pitch: float, tract: float, seconds: float) -> torch.Tensor:
    """Harmonics of a pitch under two formant resonances."""
    time = torch.arange(int(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    harmonics = torch.arange(1, int(4000 / pitch) + 1) * pitch
    level = sum(
        torch.exp(-(((harmonics - formant * tract) / 120.0) ** 2)) for formant in SOUNDS[name]
    )
    signal = (level[:, None] * torch.sin(2 * math.pi * harmonics[:, None] * time)).sum(0)
    return signal * torch.hann_window(len(time), periodic=False).sqrt()
