"""idx files, the format of MNIST: big-endian sizes, then the elements."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

#: Third byte of the file for elements of one byte without a sign, the only ones that are read.
UNSIGNED_BYTE = 0x08
_GZIP = b"\x1f\x8b"
_OTHERS = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def unpacked(path: str | Path) -> bytes:
    """Reads a file, decompressed if it is one of gzip, whatever its name.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    bytes

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is compressed and damaged.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.gz"
    >>> _ = path.write_bytes(gzip.compress(b"abc"))
    >>> unpacked(path)
    b'abc'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    raw = path.read_bytes()
    if not raw.startswith(_GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed, fetch it again: {error}") from error


def read_idx(path: str | Path, dimensions: int) -> tuple[np.ndarray, str]:
    """Reads an idx file of bytes.

    Arguments
    ---------
    path : str or Path
        The file, compressed by gzip or not.
    dimensions : int
        How many it must have: 3 for images, 1 for labels.

    Returns
    -------
    values : np.ndarray
        uint8.
    digest : str
        MD5 of the file without compression.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or cut off.

    Example
    -------
    >>> from gatedrnn.simulation.small_sets import write_idx
    >>> path = getfixture("tmp_path") / "labels"
    >>> write_idx(path, np.array([3, 1, 4], dtype=np.uint8))
    >>> read_idx(path, 1)[0]
    array([3, 1, 4], dtype=uint8)
    """
    path = Path(path)
    raw = unpacked(path)
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise ValueError(
            f"{path} is no idx file: it begins with {raw[:4].hex() or 'nothing'}, where "
            f"{bytes((0, 0, UNSIGNED_BYTE, dimensions)).hex()} is right"
        )
    kind, found = raw[2], raw[3]
    if kind != UNSIGNED_BYTE:
        raise ValueError(
            f"{path}: its elements are {_OTHERS.get(kind, f'of the unknown kind {kind:#04x}')}; "
            "images and labels are unsigned bytes (0x08)"
        )
    if found != dimensions:
        raise ValueError(
            f"{path} has {found} dimension(s), where {dimensions} are right: images have 3, labels "
            "1; are two files exchanged?"
        )
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ValueError(f"{path} is cut off: its sizes are not there")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], dtype=">u4"))
    wanted = start + math.prod(shape)
    if len(raw) != wanted:
        raise ValueError(
            f"{path} is {'cut off' if len(raw) < wanted else 'too long'}: {len(raw)} bytes, where "
            f"{' x '.join(map(str, shape))} elements need {wanted}"
        )
    values = np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
    return values, hashlib.md5(raw, usedforsecurity=False).hexdigest()
