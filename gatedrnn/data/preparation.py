"""The frame of every preparation: done once, whole or not at all, with a report."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp
from gatedrnn.data.report import Report
from gatedrnn.data.utterance import Utterance, write_csv

logger = logging.getLogger(__name__)

#: In the output folder: what the files in it were made from.
STAMP = ".prepared.json"
REPORT = "report.json"


@dataclass(frozen=True)
class Prepared:
    """A prepared corpus.

    Arguments
    ---------
    csv : Mapping
        Split -> CSV file.
    report : Path
        The report, JSON.
    reused : bool
        Whether it lay there already.

    Example
    -------
    >>> Prepared({"train": Path("train.csv")}, Path("report.json"), reused=True).csv["train"].name
    'train.csv'
    """

    csv: Mapping[str, Path]
    report: Path
    reused: bool

    def findings(self) -> dict[str, Any]:
        """Reads the report.

        Returns
        -------
        dict
        """
        return json.loads(self.report.read_text(encoding="utf-8"))


def prepare(
    corpus: str,
    out: str | Path,
    options: Mapping[str, Any],
    inputs: Iterable[str | Path],
    make: Callable[[Report], Mapping[str, Sequence[Utterance]]],
    *,
    splits: Sequence[str],
    texts: bool = False,
) -> Prepared:
    """Makes CSV files and a report, unless they were made from the same options and files before.

    Arguments
    ---------
    corpus : str
        Its name.
    out : str or Path
        Folder for the results.
    options : Mapping
        All options that decide the result, plain data.
    inputs : iterable of str or Path
        All files that decide the result.
    make : Callable
        Given a report to fill, makes split -> utterances.
    splits : sequence of str
        The splits that ``make`` makes.
    texts : bool
        Also write ``<split>.txt``, a transcript per line, for language models.

    Returns
    -------
    Prepared

    Example
    -------
    >>> def make(report):
    ...     return {"train": [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")]}
    >>> out = getfixture("tmp_path")
    >>> prepare("mine", out, {}, [], make, splits=["train"]).reused
    False
    >>> prepare("mine", out, {}, [], make, splits=["train"]).reused
    True
    """
    out = Path(out)
    csv = {split: out / f"{split}.csv" for split in splits}
    text = {split: out / f"{split}.txt" for split in splits} if texts else {}
    report_path = out / REPORT
    key = fingerprint({"corpus": corpus, "splits": list(splits), **options}, inputs)
    if is_current(out / STAMP, key):
        logger.info("%s: %s is up to date", corpus, out)
        return Prepared(csv, report_path, reused=True)
    # A run that is killed half-way must not look like the one before it.
    (out / STAMP).unlink(missing_ok=True)
    report = Report(corpus)
    try:
        made = make(report)
    except ValueError:
        # What led to the error is in the report: it is of use even then.
        report.write(report_path)
        report.log()
        raise
    report.figures["splits"] = {split: figures_of(made[split]) for split in splits}
    for split in splits:
        write_csv(csv[split], made[split])
        if texts:
            lines = [utterance.words for utterance in made[split]]
            write_atomically(text[split], "".join(f"{line}\n" for line in lines))
    report.write(report_path)
    write_stamp(out / STAMP, key, [*csv.values(), *text.values(), report_path])
    report.log()
    for split, figures in report.figures["splits"].items():
        logger.info("%s: %s: %s", corpus, split, figures)
    return Prepared(csv, report_path, reused=False)


def figures_of(utterances: Sequence[Utterance]) -> dict[str, float | int]:
    """The usual figures of a split."""
    return {
        "utterances": len(utterances),
        "words": sum(len(utterance.words.split()) for utterance in utterances),
        "hours": round(sum(utterance.duration for utterance in utterances) / 3600, 3),
        "speakers": len({utterance.speaker for utterance in utterances}),
        "recordings": len({utterance.wav for utterance in utterances} - {""}),
    }
