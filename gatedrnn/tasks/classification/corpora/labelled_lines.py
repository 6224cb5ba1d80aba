"""Files of sentences with a label before each: ``1 so good``, as Harvard NLP passes them around."""

from __future__ import annotations

from pathlib import Path

import torch

from gatedrnn.data.report import Report
from gatedrnn.data.text import read_bytes
from gatedrnn.tasks.classification.corpora.labelled import Labelled

#: Tried in this order; in the last every file can be read.
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


def read_labelled(path: str | Path, name: str, classes: int, report: Report) -> Labelled:
    """Reads a file whose lines are a label, a space, and words.

    Arguments
    ---------
    path : str or Path
        The file, compressed (``.gz``) or not. What is not UTF-8 is read as Windows-1252, or as
        Latin-1 where it is not that either; the report says which.
    name : str
        What results call the sentences.
    classes : int
        Number of classes: labels go from 0 to one less.
    report : Report
        Takes the encoding, and lines without a word, which are skipped.

    Returns
    -------
    Labelled

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line has no label, or one of no class, or there is no sentence.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.all"
    >>> _ = path.write_bytes(b"1 a clich\\xe9\\n0  fine \\n")
    >>> read_labelled(path, "all", 2, Report("mine")).inputs
    ['a cliché', 'fine']
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
                f"{path}: line {number} begins with {label[:20]!r}, where a label from 0 to "
                f"{classes - 1} is right"
            )
        words = " ".join(words.split())
        if not words:
            report.add("text-empty", f"{path.name}:{number}")
            continue
        sentences.append(words)
        labels.append(int(label))
    if not sentences:
        raise ValueError(f"{path} holds no sentence")
    return Labelled(name, sentences, torch.tensor(labels))


def _decode(raw: bytes, path: Path, report: Report) -> str:
    for encoding in ENCODINGS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        report.figures.setdefault("encodings", {})[path.name] = encoding
        return text
    raise AssertionError("every file is Latin-1")
