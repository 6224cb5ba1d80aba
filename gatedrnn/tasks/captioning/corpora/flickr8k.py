"""Flickr8k as its authors passed it on: a text file of captions, and lists of images."""

from __future__ import annotations

from pathlib import Path

from gatedrnn.data.report import Report
from gatedrnn.data.tables import find_text, read_utf8
from gatedrnn.tasks.captioning.corpora.items import CaptionItem

_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_CAPTIONS = "Flickr8k.token.txt"
#: Names of the folder of images; the first is that of the archive.
_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")


def read_flickr8k(
    folder: str | Path, report: Report, images: str | Path | None = None
) -> list[CaptionItem]:
    """Reads ``Flickr8k.token.txt`` and ``Flickr_8k.{train,dev,test}Images.txt``.

    Captions of the 93 images that are in no list are left out and reported. ``images`` is the
    folder of the images, by default ``Flicker8k_Dataset`` or the like beside the text files.
    """
    folder = Path(folder)
    paths = {name: find_text(folder, name) for name in (_CAPTIONS, *_LISTS.values())}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise FileNotFoundError(f"{folder}: there is no {', '.join(missing)} in it")
    place = Path(images) if images else next(
        (folder / name for name in _FOLDERS if (folder / name).is_dir()), folder / _FOLDERS[0]
    )  # fmt: skip
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(read_utf8(paths[_CAPTIONS]).split("\n"), start=1):
        key, tab, text = line.rstrip("\r").partition("\t")
        if tab and "#" in key:
            captions.setdefault(key.rpartition("#")[0], []).append(text)
        elif line.strip():
            report.add("value-unreadable", f"{paths[_CAPTIONS]}, line {number}", repr(line[:60]))
    items = []
    for split, listed in _LISTS.items():
        for name in read_utf8(paths[listed]).split():
            path = str((place / name).absolute())
            items.append(CaptionItem(name, split, path, "image", tuple(captions.pop(name, ()))))
    for name in captions:
        report.add("split-missing", name, "is in none of the lists")
    return items
