"""Piano rolls in MATLAB files: cell arrays ``traindata``, ``validdata`` and ``testdata``."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from gatedrnn.tasks.music.corpora.rolls import KEYS, PARTS

#: What scipy raises on files that are none, of another version, cut off or damaged.
_DAMAGED = (
    MatReadError, NotImplementedError, ValueError, TypeError, OSError, zlib.error, struct.error,
    EOFError, KeyError, IndexError, OverflowError,
)  # fmt: skip


def read_matlab(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Reads a MATLAB file whose cell arrays hold one piano roll for each piece.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict
        ``"train"``, ``"valid"`` and ``"test"`` -> piano rolls, each (frames, 88), uint8.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no MATLAB file, a cell array is missing, or a piece is no roll of 88 keys.

    Example
    -------
    >>> from scipy.io import savemat
    >>> path = getfixture("tmp_path") / "small.mat"
    >>> cells = np.empty((1, 2), dtype=object)
    >>> cells[0, 0], cells[0, 1] = np.eye(88)[:3], np.eye(88)[:5]
    >>> savemat(path, {"traindata": cells, "validdata": cells, "testdata": cells})
    >>> [roll.shape for roll in read_matlab(path)["valid"]]
    [(3, 88), (5, 88)]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        found = loadmat(path)
    except _DAMAGED as error:
        raise ValueError(f"{path} is no MATLAB file that can be read here: {error}") from error
    parts = {}
    for part in PARTS:
        cells = found.get(f"{part}data")
        if cells is None or cells.dtype != object:
            raise ValueError(
                f"{path} has no cell array {part}data; it has "
                f"{', '.join(name for name in found if not name.startswith('__')) or 'nothing'}"
            )
        parts[part] = [
            _roll(piece, f"{path}: {part}data: piece {number}")
            for number, piece in enumerate(cells.ravel())
        ]
    return parts


def _roll(piece: np.ndarray, place: str) -> np.ndarray:
    if piece.size == 0:
        return np.zeros((0, KEYS), dtype=np.uint8)
    if piece.ndim != 2 or piece.shape[1] != KEYS:
        raise ValueError(f"{place} is {piece.shape}, not (frames, {KEYS})")
    if not np.isin(piece, (0, 1)).all():
        raise ValueError(f"{place} holds other values than 0 and 1")
    return piece.astype(np.uint8)
