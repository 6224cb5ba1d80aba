"""Parallel text as two files of as many lines: ``train.en`` and ``train.de``, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gatedrnn.data.report import Check, Report
from gatedrnn.data.text import read_lines
from gatedrnn.tasks.language_modeling.corpora.layouts import find
from gatedrnn.tasks.translation.corpora.pairs import Pairs, ParallelCorpus


def read_pairs(folder: Path, name: str, source: str, target: str, report: Report) -> Pairs:
    """Reads two files, ``NAME.SOURCE`` and ``NAME.TARGET``, line by line.

    Pairs of which a side is empty are skipped and named in the report.

    Arguments
    ---------
    folder : Path
        Where they are, or below; compressed (``.gz``) or not.
    name : str
        Name of the set.
    source : str
        Codes of the languages.
    target : str
        Codes of the languages.
    report : Report
        Takes the faults.

    Returns
    -------
    Pairs

    Raises
    ------
    FileNotFoundError
        If one is not there.
    ValueError
        If they do not have as many lines, or one is not text.
    """
    paths = [find(folder, f"{name}.{language}") for language in (source, target)]
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
    """Reads ``train.en`` and ``train.de``, and so on.

    Arguments
    ---------
    folder : Path
        Where they are, or below.
    report : Report
        Takes the faults.
    source : str
        Codes of the languages: the endings of the files.
    target : str
        Codes of the languages: the endings of the files.
    train : str
        Names of the files before them.
    valid : str
        Names of the files before them.
    tests : sequence of str
        And of those of the tests.

    Returns
    -------
    ParallelCorpus

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("train", "valid", "test"):
    ...     _ = (folder / f"{name}.en").write_text("a dog\\n\\n")
    ...     _ = (folder / f"{name}.de").write_text("ein  Hund\\nnichts\\n")
    >>> report = Report("mine")
    >>> parallel_files(folder, report).train
    Pairs(name='train', source=['a dog'], target=['ein Hund'])
    >>> report.count("pair-empty")
    3
    """
    if source == target:
        raise ValueError(f"source and target must be different languages, not {source} twice")
    if isinstance(tests, str):
        raise ValueError(f"tests must be a list of names, such as [{tests}], not {tests!r}")
    names = (train, valid, *tests)
    if len(set(names)) < len(names):
        raise ValueError(f"train, valid and tests must be different files, not {', '.join(names)}")
    found = [read_pairs(folder, name, source, target, report) for name in names]
    return ParallelCorpus(source, target, found[0], found[1], tuple(found[2:]))


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
    wanted = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
    for pairs in (corpus.train, corpus.valid, *corpus.tests):
        if pairs.name in wanted:
            count = wanted[pairs.name]
            report.checks.append(
                Check(f"{pairs.name} pairs", len(pairs), count, count, "Elliott et al. 2016")
            )
    return corpus
