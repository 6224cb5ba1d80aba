"""Corpora of parallel text: sentences and their translations, in the layouts that are distributed.

Tatoeba has no official split, and the same sentence in many pairs ("Hi." with several greetings,
and each of them with other English sentences), so that a random split would test on sentences of
training. Here pairs that share a sentence, in either language ignoring case, spaces and
punctuation, are a group, directly or through other pairs; a group is never divided.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gatedrnn.data.config import Config
from gatedrnn.data.files import find_file
from gatedrnn.data.report import Check, Report
from gatedrnn.data.tables import read_bytes, read_lines

__all__ = ["LAYOUTS", "Languages", "Pairs", "ParallelCorpus", "read_parallel"]

#: Groups of more pairs than this stay in the training set: in a test they would be most of it.
LARGEST_GROUP = 20

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pairs:
    """Sentences of one language, each with its translation into another.

    Arguments
    ---------
    name : str
        Name of the set, in results.
    source, target : sequence of str
        The sentences, words separated by single spaces.

    Raises
    ------
    ValueError
        If there are not as many translations as sentences, or none at all.

    Example
    -------
    >>> pairs = Pairs("test", ["guten Tag", "guten Tag"], ["hello", "good day"])
    >>> len(pairs), pairs.references()
    (2, {'guten Tag': ['hello', 'good day']})
    """

    name: str
    source: Sequence[str]
    target: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.source) != len(self.target):
            raise ValueError(
                f"{self.name}: {len(self.source)} sentences cannot have {len(self.target)} "
                "translations, one each"
            )
        if not self.source:
            raise ValueError(f"{self.name}: there is no pair of sentences")

    def __len__(self) -> int:
        return len(self.source)

    def references(self) -> dict[str, list[str]]:
        """The different translations of each sentence, in the order in which they come."""
        references: dict[str, list[str]] = {}
        for source, target in zip(self.source, self.target, strict=True):
            known = references.setdefault(source, [])
            if target not in known:
                known.append(target)
        return references


@dataclass(frozen=True)
class Languages(Config):
    """The two languages of a translator, as in its bundle.

    Arguments
    ---------
    source, target : str
        Codes of the two languages, such as ``"de"``.
    lowercase : bool
        Whether all text is in lower case.
    bleu_tokenize : str
        sacreBLEU's tokenizer of the translations, see :mod:`gatedrnn.tasks.translation.metrics`.

    Example
    -------
    >>> languages = Languages("de", "en", lowercase=True)
    >>> languages.prepared("  Guten   Tag "), Languages.from_dict(languages.to_dict()) == languages
    ('guten tag', True)
    """

    source: str = field(metadata={"min": 1})
    target: str = field(metadata={"min": 1})
    lowercase: bool = field(default=False, metadata={"required": True})
    bleu_tokenize: str = field(default="13a", metadata={"required": True, "min": 1})

    def prepared(self, sentence: str) -> str:
        """A sentence as in training: words separated by single spaces, perhaps in lower case."""
        squeezed = " ".join(sentence.split())
        return squeezed.lower() if self.lowercase else squeezed


@dataclass(frozen=True)
class ParallelCorpus:
    """The pairs of a training.

    Arguments
    ---------
    source, target : str
        Codes of the two languages, such as ``"de"``.
    train, valid : Pairs
        For training and validation.
    tests : tuple of Pairs
        For the results; those of ``valid`` are tested, too.
    """

    source: str
    target: str
    train: Pairs
    valid: Pairs
    tests: tuple[Pairs, ...] = field(default=())

    @property
    def evaluated(self) -> Mapping[str, Pairs]:
        """Name -> pairs that are tested."""
        return {pairs.name: pairs for pairs in (self.valid, *self.tests)}

    def reversed(self) -> ParallelCorpus:
        """The same for the other direction."""

        def turned(pairs: Pairs) -> Pairs:
            return Pairs(pairs.name, pairs.target, pairs.source)

        tests = tuple(map(turned, self.tests))
        return ParallelCorpus(
            self.target, self.source, turned(self.train), turned(self.valid), tests
        )


def read_parallel(
    layout: str, folder: str | Path, report: Report, **options: Any
) -> ParallelCorpus:
    """Reads a parallel corpus.

    Arguments
    ---------
    layout : str
        A key of ``LAYOUTS``.
    folder : str or Path
        Folder of the corpus.
    report : Report
        Told about issues, and the numbers of pairs, words and characters.
    **options : Any
        Of the layout's reader: ``source`` and ``target``, the languages, and others.

    Raises
    ------
    ValueError
        If there is no such layout or option, or a file is not what it should be.

    Example
    -------
    >>> read_parallel("wmt", "nowhere", Report("mine"))
    Traceback (most recent call last):
    ValueError: corpus must be one of files, multi30k, tatoeba, not 'wmt'
    """
    if layout not in LAYOUTS:
        raise ValueError(f"corpus must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    read = LAYOUTS[layout]
    known = [n for n in read.__annotations__ if n not in ("folder", "report", "return")]
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise ValueError(
            f"the corpus {layout} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    corpus = read(Path(folder), report, **options)
    for pairs in (corpus.train, corpus.valid, *corpus.tests):
        sides = (pairs.source, pairs.target)
        report.statistics[pairs.name] = {
            "pairs": len(pairs),
            "different sources": len(set(pairs.source)),
            "words": [sum(len(sentence.split()) for sentence in side) for side in sides],
            "characters": [sum(map(len, side)) for side in sides],
        }
    return corpus


def read_pairs(folder: Path, name: str, source: str, target: str, report: Report) -> Pairs:
    """Reads two files, ``NAME.SOURCE`` and ``NAME.TARGET``, line by line.

    Pairs of which a side is empty are skipped and named in the report.
    """
    paths = [find_file(folder, f"{name}.{language}") for language in (source, target)]
    sides = [read_lines(path, report, keep_empty=True) for path in paths]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"{paths[0]} has {len(sides[0])} lines, but {paths[1]} has {len(sides[1])}: line by "
            "line they should be translations of each other"
        )
    kept = []
    for number, pair in enumerate(zip(*sides, strict=True), start=1):
        if all(pair):
            kept.append(pair)
        else:
            empty = paths[0 if not pair[0] else 1].name
            report.add("pair-empty", f"{name}, line {number}", f"no words in {empty}")
    if not kept:
        raise ValueError(f"{paths[0]} and {paths[1]} have no line in which both have words")
    return Pairs(name, [pair[0] for pair in kept], [pair[1] for pair in kept])


def parallel_files(
    folder: Path,
    report: Report,
    source: str = "en",
    target: str = "de",
    train: str = "train",
    valid: str = "valid",
    tests: Sequence[str] = ("test",),
) -> ParallelCorpus:
    """Reads ``train.en`` and ``train.de``, and so on, in the folder or below it.

    ``source`` and ``target`` are the codes of the languages: the endings of their files. ``train``,
    ``valid`` and ``tests`` are the names of the sets' files, without endings.
    """
    if source == target:
        raise ValueError(f"source and target must be different languages, not {source} twice")
    if isinstance(tests, str):
        raise ValueError(f"tests must be a list of names, such as [{tests}], not {tests!r}")
    names = (train, valid, *tests)
    if len(set(names)) < len(names):
        raise ValueError(f"train, valid and tests must be different files, not {', '.join(names)}")
    sets = [read_pairs(folder, name, source, target, report) for name in names]
    return ParallelCorpus(source, target, sets[0], sets[1], tuple(sets[2:]))


def multi30k(
    folder: Path,
    report: Report,
    source: str = "en",
    target: str = "de",
    tests: Sequence[str] = ("test_2016_flickr",),
) -> ParallelCorpus:
    """Reads Multi30k, task 1: ``train``, ``val`` and ``test_2016_flickr`` in en, de, fr (and cs).

    D. Elliott, S. Frank, K. Sima'an, L. Specia, "Multi30K: multilingual English-German image
    descriptions", 2016. Captions of Flickr30k's images and their translations: 29,000, 1,014 and
    1,000 of them, which the report checks.
    """
    corpus = parallel_files(folder, report, source, target, "train", "val", tests)
    published = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
    for pairs in (corpus.train, corpus.valid, *corpus.tests):
        if pairs.name in published:
            count = published[pairs.name]
            report.checks.append(
                Check(f"{pairs.name} pairs", len(pairs), count, count, "Elliott et al. 2016")
            )
    return corpus


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
    """Reads Tatoeba's pairs and splits them so that no test sentence is in the training set.

    A line is an English sentence, a tab, its translation, and optionally a tab and who wrote them
    (CC BY 2.0 FR). No sentence of one set, in either language, is in another set, ignoring case,
    spaces and punctuation. Which set a group of pairs is in follows from its sentences and
    ``split_seed`` alone, not from the order of the lines: groups in the order of a hash of theirs,
    first the test's, then the validation's. Groups of more than 20 pairs are for training.

    ``folder`` is the file itself or that of ``file``, compressed (``.gz``) or not; ``source`` and
    ``target`` are ``"en"`` and ``foreign`` or the reverse; ``valid`` and ``test`` are minimum
    numbers of pairs.
    """
    if {source, target} != {foreign, "en"}:
        raise ValueError(
            f"{file} is of en and {foreign}: source and target must be these, not {source} and "
            f"{target}"
        )
    path = folder if folder.is_file() else find_file(folder, file)
    parts = split(read_tabbed(path, report), valid, test, split_seed, str(path))
    sides = [[list(side) for side in zip(*part, strict=True)] for part in parts]
    train, dev, tested = (
        Pairs(name, foreigns, englishes)
        for name, (englishes, foreigns) in zip(("train", "valid", "test"), sides, strict=True)
    )
    corpus = ParallelCorpus(foreign, "en", train, dev, (tested,))
    return corpus if source == foreign else corpus.reversed()


def read_tabbed(path: Path, report: Report) -> list[Pair]:
    """Reads the pairs of a file, each once."""
    raw = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    pairs: dict[Pair, None] = {}
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
        elif (fields[0], fields[1]) in pairs:
            report.add("pair-repeated", place, text[:80])
        else:
            pairs[fields[0], fields[1]] = None
    if not pairs:
        raise ValueError(
            f"{path} has no pair: a line should be a sentence, a tab, and its translation"
        )
    return list(pairs)


def split(
    pairs: Sequence[Pair], valid: int, test: int, seed: int, where: str
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Splits pairs so that no sentence is in two sets."""
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
        leading, following = sorted((lead(first), lead(second)))
        leader[following] = leading
    return [lead(first) for first, _ in named]


@cache
def plain(sentence: str) -> str:
    """A sentence without case, spaces and punctuation; itself if nothing is left."""
    folded = unicodedata.normalize("NFKC", sentence).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LNSM") or sentence


#: Layout -> its reader.
LAYOUTS: dict[str, Callable[..., ParallelCorpus]] = {
    "files": parallel_files,
    "multi30k": multi30k,
    "tatoeba": tatoeba,
}
