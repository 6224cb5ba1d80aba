"""Piano rolls: which of the 88 keys sound in each frame of a piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from gatedrnn.data.report import Report

#: Keys of a piano, and their lowest and highest MIDI note: key k is note ``LOWEST + k``.
KEYS, LOWEST, HIGHEST = 88, 21, 108
#: The parts of a corpus, in order.
PARTS = ("train", "valid", "test")
#: Frames of the shortest piece in which there is something to predict from something.
_SHORTEST = 2


@dataclass(frozen=True)
class Music:
    """The pieces of one part of a corpus.

    Arguments
    ---------
    name : str
        What results call it.
    ids : sequence of str
        Name of each piece.
    rolls : sequence of torch.Tensor
        Each (frames, 88), uint8, of zeros and ones.

    Example
    -------
    >>> music = Music("train", ["a"], [torch.eye(88, dtype=torch.uint8)[:5]])
    >>> music.frames, music.notes
    (5, (21, 25))
    """

    name: str
    ids: Sequence[str]
    rolls: Sequence[torch.Tensor]

    def __len__(self) -> int:
        return len(self.rolls)

    @cached_property
    def frames(self) -> int:
        """Number of frames of all pieces."""
        return sum(len(roll) for roll in self.rolls)

    @cached_property
    def notes(self) -> tuple[int, int]:
        """The lowest and the highest MIDI note that sounds."""
        heard = torch.stack([roll.any(dim=0) for roll in self.rolls]).any(dim=0).nonzero()
        if not len(heard):
            return 0, 0
        return LOWEST + int(heard.min()), LOWEST + int(heard.max())


@dataclass(frozen=True)
class MusicCorpus:
    """The parts of a corpus.

    Arguments
    ---------
    train, valid, test : Music
        What is learnt from, chosen by, and reported.
    """

    train: Music
    valid: Music
    test: Music


def make_music(name: str, rolls: Sequence[np.ndarray], report: Report) -> Music:
    """Takes the pieces in which there is something to predict, and reports the others.

    Arguments
    ---------
    name : str
        Of the part.
    rolls : sequence of np.ndarray
        Each (frames, 88), of zeros and ones.
    report : Report
        Takes the faults.

    Returns
    -------
    Music

    Raises
    ------
    ValueError
        If no piece is left.

    Example
    -------
    >>> report = Report("mine")
    >>> rolls = [np.zeros((0, 88), np.uint8), np.eye(88, dtype=np.uint8)]
    >>> make_music("valid", rolls, report).ids, report.items("piece-empty")
    (['valid-001'], {'valid-000': 'no frames'})
    """
    ids, kept = [], []
    for number, roll in enumerate(rolls):
        piece = f"{name}-{number:03d}"
        if len(roll) == 0:
            report.add("piece-empty", piece, "no frames")
            continue
        if len(roll) < _SHORTEST:
            report.add("piece-short", piece, f"{len(roll)} frame")
            continue
        if not roll.any():
            report.add("piece-silent", piece, f"{len(roll)} frames")
        ids.append(piece)
        kept.append(torch.from_numpy(np.ascontiguousarray(roll, dtype=np.uint8)))
    if not kept:
        raise ValueError(f"{name}: of {len(rolls)} piece(s) none has {_SHORTEST} frames or more")
    return Music(name, ids, kept)
