"""Corpora of parallel text by the names of their layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.tasks.translation.corpora.files import multi30k, parallel_files
from gatedrnn.tasks.translation.corpora.pairs import ParallelCorpus, described
from gatedrnn.tasks.translation.corpora.tatoeba import tatoeba

#: Layout -> its reader.
LAYOUTS: dict[str, Callable[..., ParallelCorpus]] = {
    "files": parallel_files,
    "multi30k": multi30k,
    "tatoeba": tatoeba,
}


def read_parallel(
    layout: str, folder: str | Path, report: Report, **options: Any
) -> ParallelCorpus:
    """Reads a corpus.

    Arguments
    ---------
    layout : str
        A key of ``LAYOUTS``.
    folder : str or Path
        Where it lies.
    report : Report
        Takes the faults, and the numbers of pairs, words and characters.
    **options : Any
        Of the layout's reader: ``source`` and ``target``, the languages, and others.

    Returns
    -------
    ParallelCorpus

    Raises
    ------
    FileNotFoundError
        If a file is not there.
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
    return described(read(Path(folder), report, **options), report)
