"""Tatoeba's sentence pairs, as manythings.org passes them around, and a split of our own.

There is no official split. Tatoeba has the same sentence in many pairs ("Hi." with several
greetings, and each of them with other English sentences), so that a random split would test on
sentences of training. Here pairs that share a sentence, in either language and but for case,
spaces and punctuation, are a group, directly or over others; groups go to a set as wholes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gatedrnn.data.report import Report
from gatedrnn.data.text import read_bytes
from gatedrnn.tasks.language_modeling.corpora.layouts import find
from gatedrnn.tasks.translation.corpora.pairs import Pairs, ParallelCorpus

#: Groups of more pairs than this stay in the training set: in a test they would be most of it.
LARGEST_GROUP = 20

Pair = tuple[str, str]


def tatoeba(
    folder: Path,
    report: Report,
    source: str = "zh",
    target: str = "en",
    file: str = "cmn.txt",
    foreign: str = "zh",
    valid: int = 1000,
    test: int = 1000,
    split_seed: int = 1,
) -> ParallelCorpus:
    """Reads Tatoeba's pairs and splits them so that nothing that is tested was seen in training.

    A line is an English sentence, a tab, its translation, and optionally a tab and who wrote them
    (CC BY 2.0 FR). No sentence of one set, in either language, stands in another set, but for case,
    spaces and punctuation. Which set a group of pairs is in follows from its sentences and
    ``split_seed`` alone, not from the order of the lines: groups in the order of a hash of theirs,
    first the test's, then the validation's. Groups of more than 20 pairs are for training.

    Arguments
    ---------
    folder : Path
        The file itself, or the folder it is in, compressed (``.gz``) or not.
    report : Report
        Takes the faults.
    source : str
        Languages to translate from and into: ``foreign`` and ``"en"``, in one order or the other.
    target : str
        Languages to translate from and into: ``foreign`` and ``"en"``, in one order or the other.
    file : str
        Name of the file.
    foreign : str
        What to call its other language.
    valid : int
        At least so many pairs in these sets.
    test : int
        At least so many pairs in these sets.
    split_seed : int
        Decides which.

    Returns
    -------
    ParallelCorpus

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no pairs, too few of them, or is of other languages.

    Example
    -------
    >>> path = getfixture("tmp_path") / "cmn.txt"
    >>> lines = [f"Number {i}.\\t{i}\\tCC-BY" for i in range(9)] + ["number 3!\\t333", "odd"]
    >>> _ = path.write_text("\\n".join(lines))
    >>> corpus = tatoeba(path, Report("mine"), valid=2, test=2)
    >>> len(corpus.train) + len(corpus.valid) + len(corpus.tests[0])
    10
    """
    if {source, target} != {foreign, "en"}:
        raise ValueError(
            f"{file} is of en and {foreign}: source and target must be these, not {source} and "
            f"{target}"
        )
    path = folder if folder.is_file() else find(folder, file)
    parts = split(read_tabbed(path, report), valid, test, split_seed, str(path))
    sides = [[list(side) for side in zip(*part, strict=True)] for part in parts]
    train, dev, tested = (
        Pairs(name, foreigns, englishes)
        for name, (englishes, foreigns) in zip(("train", "valid", "test"), sides, strict=True)
    )
    corpus = ParallelCorpus(foreign, "en", train, dev, (tested,))
    return corpus if source == foreign else corpus.reversed()


def read_tabbed(path: Path, report: Report) -> list[Pair]:
    """Reads the pairs of a file, each once.

    Arguments
    ---------
    path : Path
        The file.
    report : Report
        Takes lines that are no pairs, and pairs that come again.

    Returns
    -------
    list of tuple

    Raises
    ------
    ValueError
        If there is no pair.
    """
    raw = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    found: dict[Pair, None] = {}
    for number, line in enumerate(raw.split(b"\n"), start=1):
        place = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            report.add("bytes-not-utf8", place)
            text = line.decode("utf-8", errors="replace")
        fields = [" ".join(field.split()) for field in text.split("\t")]
        if len(fields) < 2 or len(fields) > 3:
            report.add("pair-incomplete", place, text[:80])
        elif not (fields[0] and fields[1]):
            report.add("pair-empty", place, text[:80])
        elif (fields[0], fields[1]) in found:
            report.add("pair-repeated", place, text[:80])
        else:
            found[fields[0], fields[1]] = None
    if not found:
        raise ValueError(
            f"{path} has no pair: a line should be a sentence, a tab, and its translation"
        )
    return list(found)


def split(
    pairs: Sequence[Pair], valid: int, test: int, seed: int, where: str
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Splits pairs so that no sentence is in two sets.

    Arguments
    ---------
    pairs : sequence of tuple
        The pairs.
    valid : int
        At least so many in these sets.
    test : int
        At least so many in these sets.
    seed : int
        Decides which.
    where : str
        Whose they are, for messages.

    Returns
    -------
    tuple of list
        For training, validation and test, each in the order in which they came.

    Raises
    ------
    ValueError
        If there are too few pairs for this.
    """
    if not all(type(count) is int and count >= 1 for count in (valid, test)):
        raise ValueError(f"valid and test must be at least 1 pair each, not {valid} and {test}")
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(_groups(pairs)):
        groups.setdefault(name, []).append(number)

    def rank(name: str) -> str:
        return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()

    sets: list[list[int]] = [[], [], []]
    for name in sorted(groups, key=rank):
        members = groups[name]
        if len(members) > LARGEST_GROUP:
            sets[0] += members
        else:
            sets[2 if len(sets[2]) < test else 1 if len(sets[1]) < valid else 0] += members
    if len(sets[0]) < len(sets[1]) + len(sets[2]) or len(sets[1]) < valid or len(sets[2]) < test:
        raise ValueError(
            f"{where}: {len(pairs)} pairs are too few for {valid} in valid, {test} in test and "
            "more than both together in train; ask for fewer"
        )
    train, dev, tested = ([pairs[i] for i in sorted(members)] for members in sets)
    return train, dev, tested


def _groups(pairs: Sequence[Pair]) -> list[str]:
    """The name of each pair's group: the first of its sentences in the order of the alphabet."""
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    named = [(f"0 {plain(a)}", f"1 {plain(b)}") for a, b in pairs]
    for first, second in named:
        one, other = sorted((lead(first), lead(second)))
        leader[other] = one
    return [lead(first) for first, _ in named]


@cache
def plain(sentence: str) -> str:
    """A sentence without case, spaces and punctuation; itself if nothing is left.

    Arguments
    ---------
    sentence : str
        The sentence.

    Returns
    -------
    str

    Example
    -------
    >>> plain("I'm  OK!"), plain("?!")
    ('imok', '?!')
    """
    folded = unicodedata.normalize("NFKC", sentence).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNSM") or sentence
