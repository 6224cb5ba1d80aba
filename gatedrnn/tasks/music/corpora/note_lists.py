"""Music as JSON: of each frame of a piece, the MIDI notes that sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gatedrnn.data.report import Report
from gatedrnn.data.text import read_bytes
from gatedrnn.tasks.music.corpora.rolls import HIGHEST, KEYS, LOWEST, PARTS


def read_note_lists(path: str | Path, report: Report) -> dict[str, list[np.ndarray]]:
    """Reads ``{"train": [piece, ...], "valid": ..., "test": ...}``, which may be compressed.

    A piece is a list of frames, a frame a list of notes from 21 to 108.

    Arguments
    ---------
    path : str or Path
        The file, ``.json`` or ``.json.gz``.
    report : Report
        Takes the faults.

    Returns
    -------
    dict
        ``"train"``, ``"valid"`` and ``"test"`` -> piano rolls, each (frames, 88), uint8.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not JSON, a part is missing, or a note is none of a piano.

    Example
    -------
    >>> path = getfixture("tmp_path") / "small.json"
    >>> _ = path.write_text('{"train": [[[60, 64], []]], "valid": [], "test": []}')
    >>> read_note_lists(path, Report("mine"))["train"][0].nonzero()
    (array([0, 0]), array([39, 43]))
    """
    path = Path(path)
    try:
        found = json.loads(read_bytes(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    parts = {}
    for part in PARTS:
        pieces = found.get(part) if isinstance(found, dict) else None
        if not isinstance(pieces, list):
            raise ValueError(f"{path} must be an object with lists {', '.join(PARTS)}: no {part}")
        parts[part] = [
            _roll(piece, f"{path}: {part}: piece {number}", f"{part}-{number:03d}", report)
            for number, piece in enumerate(pieces)
        ]
    return parts


def _roll(piece: Any, place: str, name: str, report: Report) -> np.ndarray:
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
