"""Pretrained word vectors (word2vec, GloVe, fastText), read for some words only.

The files hold millions of words and gigabytes; they are read in pieces.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_PIECE = 1 << 22
#: Bytes after which a word of a binary file must have ended.
_LONGEST = 2000


def read_vectors(path: str | Path, words: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads the vectors of some words.

    Arguments
    ---------
    path : str or Path
        ``.bin``: word2vec's binary format; any other: text with a word and its numbers in a line,
        as GloVe's, or with the line of counts before them that word2vec and fastText write. Both
        may be compressed (``.gz``).
    words : iterable of str
        The words.

    Returns
    -------
    dict
        Word -> vector, float32, of the words that the file has; of a repeated word the first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, is cut off, or has none of the words.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> _ = path.write_text("good 1.0 2.0\\n. . 3 4\\nbad -1 -2\\n")
    >>> {word: vector.tolist() for word, vector in read_vectors(path, ["bad", "ugly"]).items()}
    {'bad': [-1.0, -2.0]}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of word vectors")
    names = {word.encode() for word in words}
    binary = ".bin" in path.suffixes
    opened = gzip.open if path.suffix == ".gz" else open
    vectors: dict[str, np.ndarray] = {}
    with opened(path, "rb") as stream:
        try:
            pairs = _binary(stream, path, names) if binary else _text(stream, path, names)
            for word, vector in pairs:
                vectors.setdefault(word.decode(), vector)
        except (gzip.BadGzipFile, EOFError) as error:
            raise ValueError(f"{path} cannot be decompressed: {error}") from error
    if not vectors:
        raise ValueError(f"{path} has a vector of none of the {len(names)} words")
    return vectors


def _binary(stream: BinaryIO, path: Path, names: set[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
    head = stream.readline(100).split()
    if len(head) != 2 or not all(part.isdigit() for part in head):
        raise ValueError(
            f"{path} is not in word2vec's binary format: its first line must be the number of "
            "words and the width of the vectors"
        )
    count, width = map(int, head)
    size, data, place = 4 * width, b"", 0
    for number in range(count):
        space = data.find(b" ", place)
        while space < 0 or len(data) < space + 1 + size:
            piece = stream.read(_PIECE)
            if not piece or (space < 0 and len(data) - place > _LONGEST):
                raise ValueError(
                    f"{path} is cut off, or not in word2vec's binary format: of {count} words "
                    f"{number} are there"
                )
            data, place = data[place:] + piece, 0
            space = data.find(b" ")
        # Some writers end a vector with the end of a line.
        word = data[place:space].lstrip(b"\n")
        place = space + 1 + size
        if word in names:
            yield word, np.frombuffer(data[space + 1 : place], dtype="<f4")


def _text(stream: BinaryIO, path: Path, names: set[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
    width = 0
    for number, line in enumerate(stream, start=1):
        parts = line.rstrip().split(b" ")
        if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
            width = int(parts[1])
            continue
        width = width or len(parts) - 1
        # A few of GloVe's words have spaces in them.
        word = b" ".join(parts[: len(parts) - width])
        if len(parts) <= width or not width:
            raise ValueError(
                f"{path}: line {number} has {len(parts) - 1} numbers, the lines before it {width}"
            )
        if word not in names:
            continue
        try:
            vector = np.array(parts[len(parts) - width :], dtype=np.float32)
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is no word with numbers: {error}") from error
        yield word, vector
