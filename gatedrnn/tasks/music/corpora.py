"""Corpora of polyphonic music as piano rolls: which of the 88 keys sound in each frame of a piece.

The corpora are those of Boulanger-Lewandowski et al. (2012) with their division; files of one's own
are MATLAB cell arrays, or JSON with the MIDI notes of each frame.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Check, Report
from gatedrnn.data.tables import read_bytes

#: Keys of a piano, and their lowest and highest MIDI note: key k is note ``LOWEST + k``.
KEYS, LOWEST, HIGHEST = 88, 21, 108
#: The parts of a corpus, in order.
PARTS = ("train", "valid", "test")
#: Frames of the shortest piece: the second is predicted from the first.
_SHORTEST = 2
_SOURCE = "Boulanger-Lewandowski, Bengio, Vincent 2012"
_JSON = (".json", ".json.gz")
#: Exceptions of scipy on files that are not MATLAB's, of another version, truncated or damaged.
_DAMAGED = (
    MatReadError, NotImplementedError, ValueError, TypeError, OSError, zlib.error, struct.error,
    EOFError, KeyError, IndexError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Music:
    """Pieces of one part of a corpus: its name, names of the pieces, and their piano rolls, each
    (frames, 88), uint8, of zeros and ones.
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
        sounding = torch.stack([roll.any(dim=0) for roll in self.rolls]).any(dim=0).nonzero()
        if not len(sounding):
            return 0, 0
        return LOWEST + int(sounding.min()), LOWEST + int(sounding.max())


@dataclass(frozen=True)
class MusicCorpus:
    """The parts of a corpus."""

    train: Music
    valid: Music
    test: Music


def make_music(name: str, rolls: Sequence[np.ndarray], report: Report) -> Music:
    """Music of the piano rolls (frames, 88) of two frames or more; the report names the others."""
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


@dataclass(frozen=True)
class CorpusFiles:
    """File names of a corpus, the first choice first, and its number of pieces for training,
    validation and test."""

    files: tuple[str, ...]
    pieces: tuple[int, int, int] | None


#: Name of a corpus -> its files; ``"folder"``: a file of one's own.
CORPORA = {
    "jsb": CorpusFiles(
        ("JSB_Chorales.mat", "jsb-chorales-16th.json", "jsb-chorales-quarter.json"), (229, 76, 77)
    ),
    "nottingham": CorpusFiles(("Nottingham.mat", "nottingham.json"), (694, 173, 170)),
    "musedata": CorpusFiles(("MuseData.mat", "musedata.json"), (524, 135, 124)),
    "piano": CorpusFiles(("Piano_midi.mat", "piano_midi.json"), (87, 12, 25)),
    "folder": CorpusFiles(("music.json", "music.mat"), None),
}


def read_music(
    corpus: str, folder: str | Path, report: Report, *, file: str | None = None, step: int = 1
) -> MusicCorpus:
    """Reads a corpus.

    Arguments
    ---------
    corpus : str
        A key of ``CORPORA``.
    folder : str or Path
        Folder of its file, there or below; or the file.
    report : Report
        Collects issues, statistics and checks.
    file : str or None
        Name of the file; default: the usual names of the corpus.
    step : int
        Keep every ``step``-th frame: 4 turns sixteenths into quarters.

    Raises
    ------
    ValueError
        If there is no such corpus, or the file has other contents.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> pieces = "[[[60], [64], [67]]]"
    >>> _ = (folder / "music.json").write_text(
    ...     f'{{"train": {pieces}, "valid": {pieces}, "test": {pieces}}}')
    >>> read_music("folder", folder, Report("mine"), step=2).test.frames
    2
    """
    if corpus not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, not {corpus!r}")
    if not isinstance(step, int) or step < 1:
        raise ValueError(f"step must be a whole number of at least 1, not {step!r}")
    files = CORPORA[corpus]
    path = _find(Path(folder), files.files if file is None else (file,))
    parts = read_parts(path, report)
    try:
        music = {n: make_music(n, [roll[::step] for roll in parts[n]], report) for n in PARTS}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    counts = tuple(len(parts[name]) for name in PARTS)
    for name, known in CORPORA.items():
        if known.pieces == counts and files.pieces not in (None, counts):
            raise ValueError(f"{path} has the pieces of {name}, and is not {corpus}")
    for number, (name, part) in enumerate(music.items()):
        low, high = part.notes
        report.statistics[name] = {
            "pieces": len(part), "frames": part.frames, "lowest note": low, "highest note": high,
        }  # fmt: skip
        if files.pieces is not None:
            count = files.pieces[number]
            report.checks.append(Check(f"{name} pieces", len(parts[name]), count, count, _SOURCE))
        for note, which in ((low, "lowest"), (high, "highest")):
            report.checks.append(
                Check(f"{name} {which} note", note, LOWEST, HIGHEST, "keys of a piano")
            )
    return MusicCorpus(**music)


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such file or folder")
    there = list_files(folder)
    for name in (n for base in names for n in (base, f"{base}.gz")):
        paths = [path for path in there if path.name == name]
        paths = [path for path in paths if path.parent == folder] or paths
        if len(paths) > 1:
            raise ValueError(
                f"{folder}: several files are called {name}: {', '.join(map(str, paths))}; give "
                "one of them as data_folder"
            )
        if paths:
            return paths[0]
    raise FileNotFoundError(f"{folder}: there is no {' or '.join(names)} in it")


def read_parts(path: Path, report: Report) -> dict[str, list[np.ndarray]]:
    """Part -> piano rolls (frames, 88), uint8, of a MATLAB or JSON file."""
    if path.name.endswith(".mat"):
        return read_matlab(path)
    if path.name.endswith(_JSON):
        return read_note_lists(path, report)
    raise ValueError(f"{path}: music is read from .mat, .json and .json.gz files")


def read_matlab(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Reads a MATLAB file whose cell arrays hold one piano roll for each piece.

    Returns: Part -> piano rolls, each (frames, 88), uint8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = loadmat(path)
    except _DAMAGED as error:
        raise ValueError(f"{path} is no MATLAB file that can be read here: {error}") from error
    parts = {}
    for part in PARTS:
        cells = content.get(f"{part}data")
        if cells is None or cells.dtype != object:
            raise ValueError(
                f"{path} has no cell array {part}data; it has "
                f"{', '.join(name for name in content if not name.startswith('__')) or 'nothing'}"
            )
        parts[part] = [
            _roll_of_matrix(piece, f"{path}: {part}data: piece {number}")
            for number, piece in enumerate(cells.ravel())
        ]
    return parts


def _roll_of_matrix(piece: np.ndarray, place: str) -> np.ndarray:
    if piece.size == 0:
        return np.zeros((0, KEYS), dtype=np.uint8)
    if piece.ndim != 2 or piece.shape[1] != KEYS:
        raise ValueError(f"{place} is {piece.shape}, not (frames, {KEYS})")
    if not np.isin(piece, (0, 1)).all():
        raise ValueError(f"{place} holds other values than 0 and 1")
    return piece.astype(np.uint8)


def read_note_lists(path: str | Path, report: Report) -> dict[str, list[np.ndarray]]:
    """Reads ``{"train": [piece, ...], "valid": ..., "test": ...}``, which may be compressed.

    A piece is a list of frames, a frame a list of notes from 21 to 108.

    Returns: Part -> piano rolls, each (frames, 88), uint8.
    """
    path = Path(path)
    try:
        content = json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    parts = {}
    for part in PARTS:
        pieces = content.get(part) if isinstance(content, dict) else None
        if not isinstance(pieces, list):
            raise ValueError(f"{path} must be an object with lists {', '.join(PARTS)}: no {part}")
        parts[part] = [
            roll_of_notes(piece, f"{path}: {part}: piece {number}", f"{part}-{number:03d}", report)
            for number, piece in enumerate(pieces)
        ]
    return parts


def roll_of_notes(piece: Any, place: str, name: str, report: Report) -> np.ndarray:
    """Piano roll (frames, 88), uint8, of a list of frames, each a list of MIDI notes."""
    if not isinstance(piece, list) or not all(isinstance(frame, list) for frame in piece):
        raise ValueError(f"{place} is no list of frames, each a list of notes")
    roll = np.zeros((len(piece), KEYS), dtype=np.uint8)
    for time, frame in enumerate(piece):
        for note in frame:
            # Some of the published files have 60.0 for 60.
            known = isinstance(note, int | float) and not isinstance(note, bool)
            if not known or not float(note).is_integer():
                raise ValueError(f"{place}: frame {time}: {note!r} is no MIDI note")
            if not LOWEST <= note <= HIGHEST:
                raise ValueError(
                    f"{place}: frame {time}: note {note} is none of a piano's, "
                    f"{LOWEST} to {HIGHEST}"
                )
            if roll[time, int(note) - LOWEST]:
                report.add("note-repeated", name)
            roll[time, int(note) - LOWEST] = 1
    return roll
