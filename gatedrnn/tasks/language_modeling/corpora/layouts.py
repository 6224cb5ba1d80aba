"""Corpora of running text in the layouts in which they are passed around."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report
from gatedrnn.data.text import Text, read_bytes, read_lines, read_text
from gatedrnn.tasks.language_modeling.corpora.ami import read_ami

#: Parts of 100 of a text that is divided: the rest is for training.
VALID = TEST = 5
#: Words in the path of a file, for a folder of text files -> the set it belongs to.
SETS = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "dev": "valid", "val": "valid",
    "test": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_SUFFIXES = (".txt", ".txt.gz")


@dataclass(frozen=True)
class Corpus:
    """The texts of a corpus.

    Arguments
    ---------
    train, valid : Text
        For training, and for the choice of everything that is chosen.
    tests : tuple of Text
        What figures are reported on, once.
    """

    train: Text
    valid: Text
    tests: tuple[Text, ...] = ()


def read_corpus(layout: str, folder: str | Path, report: Report, **options: Any) -> Corpus:
    """Reads a corpus.

    Arguments
    ---------
    layout : str
        A key of ``CORPORA``: ``"ami"``, ``"ptb"``, ``"wikitext"``, ``"text8"`` or ``"folder"``.
    folder : str or Path
        Where it lies.
    report : Report
        Takes the faults, and the numbers of lines, words and characters.
    **options : Any
        Of the layout's reader.

    Returns
    -------
    Corpus

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such layout, or a file is not what it should be.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for part in ("train", "valid", "test"):
    ...     _ = (folder / f"ptb.{part}.txt").write_text(" no it was n't \\n" * 3)
    >>> corpus = read_corpus("ptb", folder, Report("mine"))
    >>> corpus.valid.words
    15
    """
    if layout not in CORPORA:
        raise ValueError(f"corpus must be one of {', '.join(CORPORA)}, not {layout!r}")
    corpus = CORPORA[layout](Path(folder), report, **options)
    report.figures["texts"] = {
        text.name: {"lines": len(text.lines), "words": text.words, "characters": text.characters}
        for text in (corpus.train, corpus.valid, *corpus.tests)
    }
    return corpus


def ami(folder: Path, report: Report, order: str = "time", exclude: Sequence[str] = ()) -> Corpus:
    """Reads transcripts of AMI; see ``read_ami``."""
    train, dev, test = read_ami(folder, report, order, exclude)
    return Corpus(train, dev, (test,))


def ptb(folder: Path, report: Report) -> Corpus:
    """Reads ``ptb.train.txt``, ``ptb.valid.txt`` and ``ptb.test.txt``, one sentence a line.

    Rare words are ``<unk>`` and numbers ``N`` in the files themselves; the end of a sentence
    counts as a word (82,430 in the test set).
    """
    texts = (
        read_text(find(folder, f"ptb.{part}.txt"), part, report)
        for part in ("train", "valid", "test")
    )
    train, valid, test = texts
    return Corpus(train, valid, (test,))


def wikitext(folder: Path, report: Report, raw: bool = False) -> Corpus:
    """Reads ``wiki.{train,valid,test}.tokens``, or with ``raw`` the ``.raw`` files.

    Both are split into words, with ``@-@``, ``@,@`` and ``@.@`` inside of words and numbers. In
    ``.tokens`` rare words are ``<unk>``; in ``.raw`` they stand as they were, so that there is no
    closed vocabulary: perplexities of the two cannot be compared. Empty lines count, as is the
    custom (245,569 words in the test set of WikiText-2).
    """
    suffix = "raw" if raw else "tokens"
    texts = (
        read_text(find(folder, f"wiki.{part}.{suffix}"), part, report, keep_empty=True)
        for part in ("train", "valid", "test")
    )
    train, valid, test = texts
    return Corpus(train, valid, (test,))


def text8(folder: Path, report: Report) -> Corpus:
    """Reads ``text8``: one line of a to z and spaces, cut after 90 % and 95 % of its characters.

    Of the whole file, of 100,000,000 characters, these are the 90, 5 and 5 million characters that
    all use; a shorter file is cut in the same proportions. There are no ends of lines to predict.
    """
    path = folder if folder.is_file() else find(folder, "text8")
    characters = read_bytes(path).decode("utf-8", errors="replace").rstrip("\n")
    other = re.search(r"[^a-z ]", characters)
    if other or len(characters) < 100:
        wrong = f"has {other.group()!r} at {other.start()}" if other else "is too short"
        raise ValueError(
            f"{path} {wrong}: text8 holds a to z and spaces only; read other text as a folder"
        )
    end = len(characters) * (100 - TEST) // 100
    middle = len(characters) * (100 - VALID - TEST) // 100
    parts = characters[:middle], characters[middle:end], characters[end:]
    train, valid, test = (
        Text(name, [part], ends=False)
        for name, part in zip(("train", "valid", "test"), parts, strict=True)
    )
    return Corpus(train, valid, (test,))


def folder_of_texts(folder: Path, report: Report) -> Corpus:
    """Reads all ``.txt`` and ``.txt.gz`` files under a folder, or one file, a sentence per line.

    The path of a file says which set it belongs to: ``train/a.txt``, ``b.valid.txt``,
    ``dev-c.txt``, ``test.txt.gz``. Where no path does, all files together, in the order of their
    names, are cut at the line ends nearest after 90 % and 95 % of their characters.
    """
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = [folder] if folder.is_file() else list_files(folder)
    files = [file for file in files if file.name.endswith(_SUFFIXES)]
    if not files:
        raise FileNotFoundError(f"{folder}: there is no {' or '.join(_SUFFIXES)} file")
    sets: dict[str, list[Path]] = {}
    for file in files:
        sets.setdefault(_set_of(file, folder), []).append(file)
    if set(sets) == {""}:
        return _divide([line for file in files for line in read_lines(file, report)], folder)
    lost = sets.pop("", [])
    if lost or not {"train", "valid"} <= set(sets):
        raise ValueError(
            f"{folder}: "
            + (f"{lost[0]} belongs to no set" if lost else f"there are only {list(sets)}")
            + ": each file needs train, valid or test in its path, or none of them any"
        )
    texts = {
        name: Text(name, [line for file in files for line in read_lines(file, report)])
        for name, files in sets.items()
    }
    return Corpus(texts["train"], texts["valid"], tuple(texts[n] for n in texts if n == "test"))


#: Layout -> its reader.
CORPORA: dict[str, Callable[..., Corpus]] = {
    "ami": ami, "ptb": ptb, "wikitext": wikitext, "text8": text8, "folder": folder_of_texts,
}  # fmt: skip


def find(folder: Path, name: str) -> Path:
    """Finds a file by its name, in a folder or below, also compressed.

    Arguments
    ---------
    folder : Path
        The folder.
    name : str
        Name of the file; it may end in ``.gz`` as well.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If there are several.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    found = [path for path in list_files(folder) if path.name in (name, f"{name}.gz")]
    found = [path for path in found if path.parent == folder] or found
    if not found:
        raise FileNotFoundError(f"{folder}: there is no {name} (or {name}.gz) in it")
    if len(found) > 1:
        raise ValueError(
            f"{folder}: several files are called {name}: {', '.join(map(str, found))}; give the "
            "folder of one of them"
        )
    return found[0]


def _set_of(file: Path, folder: Path) -> str:
    path = file.name if file == folder else str(file.relative_to(folder))
    sets = {SETS[word] for word in re.split("[^a-z]+", path.lower()) if word in SETS}
    if len(sets) > 1:
        raise ValueError(f"{file}: its path names several sets: {', '.join(sorted(sets))}")
    return sets.pop() if sets else ""


def _divide(lines: list[str], folder: Path) -> Corpus:
    total = sum(map(len, lines))
    parts: tuple[list[str], ...] = ([], [], [])
    done = 0
    for line in lines:
        part = (done * 100 >= total * (100 - VALID - TEST)) + (done * 100 >= total * (100 - TEST))
        parts[part].append(line)
        done += len(line)
    if not all(parts):
        raise ValueError(
            f"{folder}: {len(lines)} line(s) are too few to be divided; give files with train, "
            "valid and test in their paths"
        )
    train, valid, test = (
        Text(name, part) for name, part in zip(("train", "valid", "test"), parts, strict=True)
    )
    return Corpus(train, valid, (test,))
