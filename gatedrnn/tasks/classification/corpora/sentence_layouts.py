"""Sets of labelled sentences, with their official parts, or in ten folds where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gatedrnn.data.report import Check, Report
from gatedrnn.tasks.classification.corpora.labelled import Labelled, LabelledSets, hold_out
from gatedrnn.tasks.classification.corpora.labelled_lines import read_labelled

#: What is held out for validation where there is no part for it: one of so many.
_HELD_OUT = 10
_OPINIONS = ("negative", "positive")


@dataclass(frozen=True)
class Layout:
    """The files of a set.

    Arguments
    ---------
    files : Mapping
        Part -> file: ``whole`` where there are no official parts, or ``train``, ``test`` and
        perhaps ``valid``.
    counts : Mapping
        Part -> number of sentences that the field reports.
    classes : tuple of str
        Their names, by the number of their label.
    phrases : str or None
        A file for training that also holds the phrases of the sentences, with labels of their own.
    """

    files: dict[str, str]
    counts: dict[str, int]
    classes: tuple[str, ...]
    phrases: str | None = field(default=None)


#: Name -> layout, in the names of the files of Kim's and Harvard NLP's code (2014).
DATASETS = {
    "mr": Layout({"whole": "rt-polarity.all"}, {"whole": 10_662}, _OPINIONS),
    "subj": Layout({"whole": "subj.all"}, {"whole": 10_000}, ("subjective", "objective")),
    "cr": Layout({"whole": "custrev.all"}, {"whole": 3_775}, _OPINIONS),
    "mpqa": Layout({"whole": "mpqa.all"}, {"whole": 10_606}, _OPINIONS),
    "trec": Layout(
        {"train": "TREC.train.all", "test": "TREC.test.all"},
        {"train": 5_452, "test": 500},
        ("description", "entity", "abbreviation", "human", "location", "number"),
    ),
    "sst2": Layout(
        {part: f"stsa.binary.{file}" for part, file in
         (("train", "train"), ("valid", "dev"), ("test", "test"))},
        {"train": 6_920, "valid": 872, "test": 1_821},
        _OPINIONS,
        phrases="stsa.binary.phrases.train",
    ),
    "sst5": Layout(
        {part: f"stsa.fine.{file}" for part, file in
         (("train", "train"), ("valid", "dev"), ("test", "test"))},
        {"train": 8_544, "valid": 1_101, "test": 2_210},
        ("very negative", "negative", "neutral", "positive", "very positive"),
        phrases="stsa.fine.phrases.train",
    ),
}  # fmt: skip


def layout_of(dataset: str) -> Layout:
    """The layout of a set; a ValueError if there is no such set."""
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
) -> list[LabelledSets]:
    """Reads a set of labelled sentences.

    Arguments
    ---------
    dataset : str
        ``"mr"``, ``"subj"``, ``"cr"``, ``"mpqa"``, ``"trec"``, ``"sst2"`` or ``"sst5"``.
    folder : str or Path
        Where its files lie.
    report : Report
        Takes what is found: encodings, numbers of sentences, the division.
    folds : int
        Of a set without official parts.
    seed : int
        Divides such a set into folds, and draws what is held out for validation where there is no
        part for it: a tenth of what is for training.
    phrases : bool
        Train on the phrases of the trees, too (SST).

    Returns
    -------
    list of LabelledSets
        One, or one for each fold, which is its test.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such set, a file is not what it should be, or it has no phrases.
    """
    layout, folder = layout_of(dataset), Path(folder)
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
    report.figures["sentences"] = {name: len(part) for name, part in parts.items()}
    if "whole" in parts:
        return cross_validation(parts["whole"], layout.classes, folds, seed, report)
    train, valid = parts["train"], parts.get("valid")
    if valid is None:
        train, valid = hold_out(train, max(1, len(train) // _HELD_OUT), seed)
        report.notes.append(
            f"{len(valid)} of the sentences for training, drawn with the seed {seed}, are held out "
            "for validation: there is no official part for it"
        )
    return [LabelledSets(layout.classes, train, valid, (parts["test"],))]


def cross_validation(
    whole: Labelled, classes: Sequence[str], folds: int, seed: int, report: Report
) -> list[LabelledSets]:
    """Divides a set into folds, each of which is the test once.

    Arguments
    ---------
    whole : Labelled
        The set.
    classes : sequence of str
        Names of its classes.
    folds : int
        How many: their sizes differ by one at most.
    seed : int
        Draws them, and what is held out of the rest for validation.
    report : Report
        Takes the division.

    Returns
    -------
    list of LabelledSets

    Raises
    ------
    ValueError
        If there are too few sentences for so many folds.

    Example
    -------
    >>> whole = Labelled("whole", [str(n) for n in range(40)], torch.arange(40) % 2)
    >>> found = cross_validation(whole, ("even", "odd"), 4, 1, Report("mine"))
    >>> [len(part) for part in (found[0].train, found[0].valid, found[0].tests[0])]
    [27, 3, 10]
    >>> sorted(int(s) for fold in found for s in fold.tests[0].inputs) == list(range(40))
    True
    """
    if type(folds) is not int or not 2 <= folds <= len(whole):
        raise ValueError(
            f"{len(whole)} sentences cannot be divided into {folds} folds; there must be at least "
            "two, and a sentence for each"
        )
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    found = []
    for number in range(folds):
        inside = torch.zeros(len(whole), dtype=torch.bool)
        inside[order[number::folds]] = True
        test = whole.take(inside.nonzero().flatten(), "test")
        rest = whole.take((~inside).nonzero().flatten(), "train")
        train, valid = hold_out(rest, max(1, len(rest) // _HELD_OUT), seed + number + 1)
        found.append(LabelledSets(classes, train, valid, (test,)))
    report.figures["folds"] = {"seed": seed, "sizes": [len(fold.tests[0]) for fold in found]}
    report.notes.append(
        f"no official parts: {folds} folds drawn with the seed {seed}, each the test once; a tenth "
        "of the others is held out for validation"
    )
    return found


def _find(folder: Path, name: str) -> Path:
    for known in (name, f"{name}.gz"):
        if (folder / known).is_file():
            return folder / known
    raise FileNotFoundError(f"{folder}: there is no {name}, nor {name}.gz")
