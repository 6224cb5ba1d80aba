"""Made-up chord sequences: the smallest polyphonic music that has something to learn."""

from __future__ import annotations

import json
import random
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.simulation.labelled import write_once

#: Chords as steps above the root; and which chord follows which, in steps of the scale.
_CHORDS = {"major": (0, 4, 7), "minor": (0, 3, 7)}
_SCALE = (0, 2, 4, 5, 7, 9, 11)
_KINDS = ("major", "minor", "minor", "major", "major", "minor", "minor")
#: Degree -> degrees that may follow.
_FOLLOWS = {0: (3, 4, 5), 1: (4,), 2: (5, 3), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3), 6: (0,)}


def make_piece(seed: int, chords: int = 8, hold: int = 2) -> list[list[int]]:
    """Makes a piece: a bass note and a chord above it, a cadence after the other, in some key.

    Arguments
    ---------
    seed : int
        Decides all.
    chords : int
        Number of chords.
    hold : int
        Frames of each.

    Returns
    -------
    list of list of int
        Of each frame, the MIDI notes.

    Example
    -------
    >>> piece = make_piece(3, chords=4)
    >>> len(piece), piece[0] == piece[1], piece == make_piece(3, chords=4)
    (8, True, True)
    """
    draw = random.Random(seed)
    tonic, degree = draw.randrange(48, 60), 0
    piece = []
    for _ in range(chords):
        root = tonic + _SCALE[degree]
        notes = sorted({root - 12, *(root + step for step in _CHORDS[_KINDS[degree]])})
        piece += [list(notes) for _ in range(hold)]
        degree = draw.choice(_FOLLOWS[degree])
    return piece


def make_pieces(
    counts: tuple[int, int, int] = (12, 5, 4), *, chords: int = 8, seed: int = 0
) -> dict[str, list[list[list[int]]]]:
    """Makes a corpus in the JSON form, with pieces of different lengths.

    Arguments
    ---------
    counts : tuple of int
        Pieces for training, validation and test.
    chords : int
        Of the shortest piece; others have up to half as many more.
    seed : int
        Decides all.

    Returns
    -------
    dict
        Part -> pieces -> frames -> notes.

    Example
    -------
    >>> {part: len(pieces) for part, pieces in make_pieces().items()}
    {'train': 12, 'valid': 5, 'test': 4}
    """
    found, number = {}, 1000 * seed
    for part, count in zip(("train", "valid", "test"), counts, strict=True):
        found[part] = []
        for _ in range(count):
            number += 1
            found[part].append(make_piece(number, chords + number % (chords // 2 + 1)))
    return found


def write_music(
    folder: str | Path, train: int = 400, valid: int = 20, test: int = 20, seed: int = 0
) -> None:
    """Writes ``music.json`` of made-up pieces, once.

    Arguments
    ---------
    folder : str or Path
        Where to.
    train : int
        Numbers of pieces.
    valid : int
        Numbers of pieces.
    test : int
        Numbers of pieces.
    seed : int
        Decides all.

    Raises
    ------
    ValueError
        If the folder holds other files, a number is not positive, or they are too many.

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
