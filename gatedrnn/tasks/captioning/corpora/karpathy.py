"""Karpathy's splits of COCO, Flickr8k and Flickr30k: ``dataset_coco.json`` and its like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_utf8
from gatedrnn.tasks.captioning.corpora.items import SPLIT_NAMES, CaptionItem

#: The part of COCO's validation images that is neither for validation nor for test.
REST = "restval"


def read_karpathy(
    file: str | Path, report: Report, images: str | Path, restval: str = "train"
) -> list[CaptionItem]:
    """Reads ``dataset_{coco,flickr8k,flickr30k}.json``.

    ``images`` is the folder of the images; COCO's ``train2014`` and ``val2014`` may be in it. The
    30,504 ``restval`` images of COCO belong to ``"train"``, as usual, or are left out (``"skip"``).
    Ids are ``cocoid`` where there is one, as in COCO's annotations, else the file's name.
    References are the ``raw`` sentences.
    """
    if restval not in ("train", "skip"):
        raise ValueError(f"restval must be train or skip, not {restval!r}")
    file, images = Path(file), Path(images)
    try:
        entries = json.loads(read_utf8(file))["images"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: is none of Karpathy's files, a JSON object with 'images' ({error})"
        ) from error
    if not images.is_dir():
        raise FileNotFoundError(f"{images}: no such folder; it must hold the images")
    items = []
    for number, entry in enumerate(entries):
        place = f"{file}, images[{number}]"
        if not isinstance(entry, dict) or not entry.get("filename"):
            report.add("column-missing", place, "no filename")
            continue
        split = str(entry.get("split") or "")
        if split == REST:
            if restval == "skip":
                report.statistics["restval_skipped"] = (
                    report.statistics.get("restval_skipped", 0) + 1
                )
                continue
            split = restval
        if split not in SPLIT_NAMES:
            kind = "split-unknown" if split else "split-missing"
            report.add(kind, place, repr(split))
            continue
        name = str(entry.get("cocoid") or entry["filename"])
        path = str(_path(images, entry).absolute())
        sentences = entry.get("sentences") or []
        captions = tuple(_caption(sentence) for sentence in sentences)
        items.append(CaptionItem(name, SPLIT_NAMES[split], path, "image", captions))
    return items


def _path(images: Path, entry: Mapping[str, Any]) -> Path:
    """Path of the image: with its ``filepath``, or all in one folder."""
    deep = images / str(entry.get("filepath") or "") / str(entry["filename"])
    flat = images / str(entry["filename"])
    return flat if flat.is_file() and not deep.is_file() else deep


def _caption(sentence: Any) -> str:
    """A sentence as it was written; files without it have its words."""
    if not isinstance(sentence, dict):
        return ""
    raw = sentence.get("raw")
    return raw if isinstance(raw, str) else " ".join(map(str, sentence.get("tokens") or ()))
