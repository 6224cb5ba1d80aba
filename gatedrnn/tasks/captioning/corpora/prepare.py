"""Corpora of captions to manifests: every item is checked, and each issue reported once."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gatedrnn.data.preparation import REPORT, Prepared, prepare
from gatedrnn.data.report import Report
from gatedrnn.tasks.captioning.corpora.audiocaps import read_audiocaps
from gatedrnn.tasks.captioning.corpora.clotho import read_clotho
from gatedrnn.tasks.captioning.corpora.flickr8k import read_flickr8k
from gatedrnn.tasks.captioning.corpora.items import (
    SPLITS,
    CaptionItem,
    read_manifest,
    write_manifest,
)
from gatedrnn.tasks.captioning.corpora.karpathy import read_karpathy
from gatedrnn.tasks.captioning.corpora.media import MediaError, check, with_features
from gatedrnn.tasks.captioning.corpora.nlvr import read_nlvr

logger = logging.getLogger(__name__)

#: Layout -> its reader: ``reader(where, ..., report=report)``.
LAYOUTS: dict[str, Callable[..., list[CaptionItem]]] = {
    "karpathy": read_karpathy,
    "clotho": read_clotho,
    "audiocaps": read_audiocaps,
    "flickr8k": read_flickr8k,
    "nlvr": read_nlvr,
    "manifest": read_manifest,
}


class PreparedCaptions(Prepared):
    """A prepared corpus of captions: split -> JSON lines, and a report."""

    def items(self, split: str) -> list[CaptionItem]:
        """Reads the items of a split."""
        return read_manifest(self.files[split], Report(split))


def read_items(layout: str, where: str | Path, report: Report, **options: Any) -> list[CaptionItem]:
    """Reads a corpus as it lists itself, unchecked.

    Arguments
    ---------
    layout : str
        A key of ``LAYOUTS``.
    where : str or Path
        Its folder, Karpathy's file, or a manifest.
    report : Report
        Told about what is skipped.
    **options : Any
        Of the layout's reader.

    Returns
    -------
    list of CaptionItem

    Raises
    ------
    FileNotFoundError
        If something is not there.
    ValueError
        If there is no such layout, or something is not what it should be.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    return LAYOUTS[layout](where, report=report, **options)


def check_items(
    items: Iterable[CaptionItem], report: Report, decode: bool = True
) -> list[CaptionItem]:
    """Keeps the items that can be used, and of each the captions that can.

    Arguments
    ---------
    items : iterable of CaptionItem
        As a corpus lists them.
    report : Report
        Told about the others.
    decode : bool
        See :func:`gatedrnn.tasks.captioning.corpora.media.check`.

    Returns
    -------
    list of CaptionItem
        White space in their captions is one space each.

    Example
    -------
    >>> report = Report("mine")
    >>> check_items([CaptionItem("1", "train", "/none.png", "image", ("a dog",))], report)
    []
    >>> report.items("image-missing")
    {'1': '/none.png: no such file'}
    """
    listed, seen, kept = list(items), set(), []
    for item in tqdm(listed, desc=f"{report.corpus} files", unit="item", disable=None):
        if item.id in seen:
            report.add("id-repeated", item.id, f"again with {item.path}")
            continue
        seen.add(item.id)
        captions = [" ".join(caption.split()) for caption in item.references]
        good = tuple(caption for caption in captions if re.search(r"\w", caption))
        if len(good) < len(captions):
            report.add("caption-empty", item.id, f"{len(captions) - len(good)} of {len(captions)}")
        if not good:
            report.add("references-missing", item.id, f"of {item.path}")
            continue
        try:
            check(item, decode)
        except MediaError as error:
            report.add(error.kind, item.id, error.detail)
            continue
        kept.append(replace(item, references=good))
    return kept


def prepare_captions(
    layout: str,
    where: str | Path,
    out: str | Path,
    splits: Iterable[str] = ("train", "dev"),
    decode: bool = True,
    features: str | Path | None = None,
    **options: Any,
) -> PreparedCaptions:
    """Writes ``train.jsonl``, ``dev.jsonl``, if there is one ``test.jsonl``, and ``report.json``.

    Done once: nothing is written again while options, texts and files are the same.

    Arguments
    ---------
    layout : str
        A key of ``LAYOUTS``.
    where : str or Path
        The corpus's folder, Karpathy's file, or a manifest.
    out : str or Path
        Folder for the results.
    splits : iterable of str
        Those that must not be empty.
    decode : bool
        Decode every file; False to look only whether it is there.
    features : str or Path or None
        Features in place of images or recordings: see
        :func:`~gatedrnn.tasks.captioning.corpora.media.with_features`.
    **options : Any
        Of the layout's reader, such as ``images``.

    Returns
    -------
    PreparedCaptions

    Raises
    ------
    FileNotFoundError
        If something is not there.
    ValueError
        If a split has no item left; the report says why.

    Example
    -------
    >>> import numpy as np
    >>> from gatedrnn.simulation.scenes import write_image
    >>> folder = getfixture("tmp_path")
    >>> write_image(folder / "a.png", np.zeros((4, 4, 3), dtype=np.uint8))
    >>> _ = (folder / "mine.csv").write_text(
    ...     "image,caption,split\\na.png,a dog,train\\nb.png,a cat,train\\n")
    >>> found = prepare_captions("manifest", folder / "mine.csv", folder / "out", ["train"])
    >>> [item.id for item in found.items("train")], list(found.findings()["issues"])
    (['a.png'], ['image-missing'])
    """
    report = Report(layout)
    listed = read_items(layout, where, report, **options)
    if features is not None:
        listed = with_features(listed, features)
    texts = json.dumps([asdict(item) for item in listed], sort_keys=True)
    settings = {
        "captions": hashlib.sha256(texts.encode()).hexdigest(),
        "decode": decode,
        "options": {name: str(value) for name, value in options.items()},
        "issues": report.as_dict()["issues"],
    }

    def make(report: Report) -> dict[str, list[CaptionItem]]:
        kept = check_items(listed, report, decode)
        sets = {split: [item for item in kept if item.split == split] for split in SPLITS}
        for split in splits:
            if not sets[split]:
                number = sum(item.split == split for item in listed)
                raise ValueError(
                    f"{layout}: no item of {split} can be used ({number} are listed); "
                    f"{Path(out) / REPORT} names each issue"
                )
        return sets

    prepared = prepare(
        layout,
        out,
        settings,
        {item.file for item in listed},
        make,
        splits=[split for split in SPLITS if any(item.split == split for item in listed)],
        report=report,
        write=write_manifest,
        suffix=".jsonl",
        describe=statistics_of,
    )
    return PreparedCaptions(prepared.files, prepared.report, prepared.reused)


def statistics_of(items: Iterable[CaptionItem]) -> dict[str, float | int]:
    """Numbers of items, captions and words of a split."""
    numbers = [len(item.references) for item in items]
    words = sum(len(caption.split()) for item in items for caption in item.references)
    return {
        "items": len(numbers),
        "captions": sum(numbers),
        "fewest_captions": min(numbers, default=0),
        "most_captions": max(numbers, default=0),
        "words_per_caption": round(words / max(1, sum(numbers)), 2),
    }
