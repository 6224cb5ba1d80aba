"""Sets of labelled sentences with official parts or in ten folds, and pretrained word vectors."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from gatedrnn.data.report import Check, Report
from gatedrnn.data.tables import read_bytes
from gatedrnn.tasks.classification.data import LabelledSet, Splits, hold_out

#: Tried in this order; the last one can decode every file.
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")
#: One of so many training sentences is held out where there is no validation part.
_HELD_OUT = 10
_OPINIONS = ("negative", "positive")
_PIECE = 1 << 22
#: Bytes after which a word of a binary file must have ended.
_LONGEST = 2000


@dataclass(frozen=True)
class SentenceSet:
    """A set: part -> file (``whole`` where there are no official parts), part -> published number
    of sentences, names of the classes in the order of labels, and optionally the file of all
    phrases of the training sentences, with labels of their own."""

    files: Mapping[str, str]
    counts: Mapping[str, int]
    classes: tuple[str, ...]
    phrases: str | None = None


#: Name -> set, in the names of the files of Kim's and Harvard NLP's code (2014).
DATASETS = {
    "mr": SentenceSet({"whole": "rt-polarity.all"}, {"whole": 10_662}, _OPINIONS),
    "subj": SentenceSet({"whole": "subj.all"}, {"whole": 10_000}, ("subjective", "objective")),
    "cr": SentenceSet({"whole": "custrev.all"}, {"whole": 3_775}, _OPINIONS),
    "mpqa": SentenceSet({"whole": "mpqa.all"}, {"whole": 10_606}, _OPINIONS),
    "trec": SentenceSet(
        {"train": "TREC.train.all", "test": "TREC.test.all"},
        {"train": 5_452, "test": 500},
        ("description", "entity", "abbreviation", "human", "location", "number"),
    ),
    "sst2": SentenceSet(
        {part: f"stsa.binary.{file}" for part, file in
         (("train", "train"), ("valid", "dev"), ("test", "test"))},
        {"train": 6_920, "valid": 872, "test": 1_821},
        _OPINIONS,
        phrases="stsa.binary.phrases.train",
    ),
    "sst5": SentenceSet(
        {part: f"stsa.fine.{file}" for part, file in
         (("train", "train"), ("valid", "dev"), ("test", "test"))},
        {"train": 8_544, "valid": 1_101, "test": 2_210},
        ("very negative", "negative", "neutral", "positive", "very positive"),
        phrases="stsa.fine.phrases.train",
    ),
}  # fmt: skip


def sentence_set(dataset: str) -> SentenceSet:
    """A set by its name; a ValueError if there is no such set."""
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, not {dataset!r}")
    return DATASETS[dataset]


def read_sentences(
    dataset: str,
    folder: str | Path,
    report: Report,
    *,
    folds: int = 10,
    seed: int = 1,
    phrases: bool = False,
) -> list[Splits]:
    """Reads a set of labelled sentences.

    Arguments
    ---------
    dataset : str
        ``"mr"``, ``"subj"``, ``"cr"``, ``"mpqa"``, ``"trec"``, ``"sst2"`` or ``"sst5"``.
    folder : str or Path
        Folder of its files.
    report : Report
        Collects encodings, numbers of sentences and the division.
    folds : int
        Number of folds of a set without official parts.
    seed : int
        Seed of the folds, and of the tenth of the training sentences that is held out for
        validation where there is no part for it.
    phrases : bool
        Train on the phrases of the trees instead of the sentences (SST).

    Returns
    -------
    list of Splits
        One, or one for each fold, which is its test.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If there is no such set, a file has other contents, or it has no phrases.
    """
    layout, folder = sentence_set(dataset), Path(folder)
    if phrases and layout.phrases is None:
        raise ValueError(f"{dataset} has no phrases; sst2 and sst5 have")
    parts = {}
    for name, file in layout.files.items():
        parts[name] = read_labelled(_find(folder, file), name, len(layout.classes), report)
        count = layout.counts[name]
        report.checks.append(Check(f"{name} sentences", len(parts[name]), count, count, "Kim 2014"))
    if phrases:
        path = _find(folder, layout.phrases)
        parts["train"] = read_labelled(path, "train", len(layout.classes), report)
    report.statistics["sentences"] = {name: len(part) for name, part in parts.items()}
    if "whole" in parts:
        return cross_validation(parts["whole"], layout.classes, folds, seed, report)
    train, valid = parts["train"], parts.get("valid")
    if valid is None:
        train, valid = hold_out(train, max(1, len(train) // _HELD_OUT), seed)
        report.notes.append(
            f"{len(valid)} of the sentences for training, sampled with the seed {seed}, are held "
            "out for validation: there is no official part for it"
        )
    return [Splits(layout.classes, train, valid, (parts["test"],))]


def cross_validation(
    whole: LabelledSet, classes: Sequence[str], folds: int, seed: int, report: Report
) -> list[Splits]:
    """Divides a set into folds, whose sizes differ by one at most; each is the test set once. Of
    the others a tenth is held out for validation.
    """
    if type(folds) is not int or not 2 <= folds <= len(whole):
        raise ValueError(
            f"{len(whole)} sentences cannot be divided into {folds} folds; there must be at least "
            "two, and a sentence for each"
        )
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    splits = []
    for number in range(folds):
        inside = torch.zeros(len(whole), dtype=torch.bool)
        inside[order[number::folds]] = True
        test = whole.take(inside.nonzero().flatten(), "test")
        rest = whole.take((~inside).nonzero().flatten(), "train")
        train, valid = hold_out(rest, max(1, len(rest) // _HELD_OUT), seed + number + 1)
        splits.append(Splits(classes, train, valid, (test,)))
    report.statistics["folds"] = {"seed": seed, "sizes": [len(fold.tests[0]) for fold in splits]}
    report.notes.append(
        f"no official parts: {folds} folds sampled with the seed {seed}, each the test once; a "
        "tenth of the others is held out for validation"
    )
    return splits


def _find(folder: Path, name: str) -> Path:
    for known in (name, f"{name}.gz"):
        if (folder / known).is_file():
            return folder / known
    raise FileNotFoundError(f"{folder}: there is no {name}, nor {name}.gz")


def read_labelled(path: str | Path, name: str, classes: int, report: Report) -> LabelledSet:
    """Reads a file whose lines are a label from 0 to ``classes - 1``, a space, and words.

    What is not UTF-8 is read as Windows-1252, or as Latin-1 where it is not that either; the report
    names the encoding, and lines without a word, which are skipped.
    """
    path = Path(path)
    sentences, labels = [], []
    for number, line in enumerate(_decode(read_bytes(path), path, report).split("\n"), start=1):
        # Python's own split at all kinds of space takes some of Latin-1's control characters.
        label, _, words = line.strip(" \r\t").partition(" ")
        if not label:
            continue
        if not (label.isascii() and label.isdigit() and int(label) < classes):
            raise ValueError(
                f"{path}: line {number} begins with {label[:20]!r}, must be a label from 0 "
                f"to {classes - 1}"
            )
        words = " ".join(words.split())
        if not words:
            report.add("text-empty", f"{path.name}:{number}")
            continue
        sentences.append(words)
        labels.append(int(label))
    if not sentences:
        raise ValueError(f"{path} holds no sentence")
    return LabelledSet(name, sentences, torch.tensor(labels))


def _decode(raw: bytes, path: Path, report: Report) -> str:
    for encoding in ENCODINGS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        report.statistics.setdefault("encodings", {})[path.name] = encoding
        return text
    raise AssertionError("every file is Latin-1")


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
