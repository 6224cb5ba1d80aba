"""Preparation of captioning corpora: every item is checked; what can be used becomes manifests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
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
    MediaError,
    check,
    read_manifest,
    with_features,
    write_manifest,
)
from gatedrnn.tasks.captioning.corpora.karpathy import read_karpathy
from gatedrnn.tasks.captioning.corpora.nlvr import read_nlvr

#: Layout -> its reader: ``reader(where, report=report, **options)`` returns unchecked items.
LAYOUTS: dict[str, Callable[..., list[CaptionItem]]] = {
    "karpathy": read_karpathy,
    "clotho": read_clotho,
    "audiocaps": read_audiocaps,
    "flickr8k": read_flickr8k,
    "nlvr": read_nlvr,
    "manifest": read_manifest,
}


class PreparedCaptions(Prepared):
    """A prepared corpus of captions, whose files are manifests (JSON lines)."""

    def items(self, split: str) -> list[CaptionItem]:
        """Reads the items of a split."""
        return read_manifest(self.files[split], Report(split))


def read_items(layout: str, where: str | Path, report: Report, **options: Any) -> list[CaptionItem]:
    """The items of a corpus as it lists them, unchecked; options are those of its reader."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    return LAYOUTS[layout](where, report=report, **options)


def check_items(
    items: Iterable[CaptionItem], report: Report, decode: bool = True
) -> list[CaptionItem]:
    """Keeps the usable items, and of each the usable captions, with single spaces."""
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

    Nothing is written again while options, texts and files are unchanged.

    Arguments
    ---------
    layout : str
        A key of ``LAYOUTS``.
    where : str or Path
        Folder of the corpus, Karpathy's file, or a manifest.
    out : str or Path
        Folder for the results.
    splits : iterable of str
        Splits that must not be empty.
    decode : bool
        Decode every file; False to check only that it exists.
    features : str or Path or None
        Precomputed features in place of images or recordings: see
        :func:`~gatedrnn.tasks.captioning.corpora.items.with_features`.
    **options : Any
        Options of the layout's reader, such as ``images``.

    Raises
    ------
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
    >>> prepared = prepare_captions("manifest", folder / "mine.csv", folder / "out", ["train"])
    >>> [item.id for item in prepared.items("train")], list(prepared.findings()["issues"])
    (['a.png'], ['image-missing'])
    """
    out = Path(out)
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
    present = [split for split in SPLITS if any(item.split == split for item in listed)]

    def make(report: Report) -> dict[str, list[CaptionItem]]:
        kept = check_items(listed, report, decode)
        items = {split: [item for item in kept if item.split == split] for split in present}
        for split in splits:
            if not items.get(split):
                number = sum(item.split == split for item in listed)
                raise ValueError(
                    f"{layout}: no item of {split} can be used ({number} are listed); "
                    f"{out / REPORT} names each issue"
                )
        return items

    prepared = prepare(
        layout,
        out,
        settings,
        {item.file for item in listed},
        make,
        splits=present,
        report=report,
        write=write_manifest,
        suffix=".jsonl",
        describe=statistics_of,
    )
    return PreparedCaptions(prepared.files, prepared.report, prepared.reused)


def statistics_of(items: Sequence[CaptionItem]) -> dict[str, float | int]:
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
