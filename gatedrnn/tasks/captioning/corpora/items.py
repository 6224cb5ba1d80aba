"""Items with captions, and their manifests: users' own data, and every prepared corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_rows

#: In the order in which they are written.
SPLITS = ("train", "dev", "test")
#: Kinds of files; columns of manifests have the same names.
KINDS = ("image", "audio", "features")
#: Names of splits in corpora and manifests -> names here.
SPLIT_NAMES = {
    "train": "train", "training": "train", "development": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev",
    "test": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """An image, a recording or features, with captions.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    split : str
        One of ``SPLITS``.
    path : str
        The file; of features optionally with ``#`` and the name of an array in it.
    kind : str
        One of ``KINDS``.
    references : tuple of str
        The captions.
    """

    id: str
    split: str
    path: str
    kind: str
    references: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file, without the name of an array."""
        return Path(self.path.split("#")[0] if self.kind == "features" else self.path)


def read_manifest(path: str | Path, report: Report, split: str | None = None) -> list[CaptionItem]:
    """Reads a manifest: a row per caption, or in JSON lines one per item.

    Each row has a path (relative to the manifest) in a column ``image``, ``audio`` or ``features``,
    and ``caption``; optionally ``id`` (default: the file's name), and ``split``. Rows of one id are
    one item with several references. JSON lines may have a list ``references`` instead of
    ``caption``. Features of a file with many items are ``all.h5#name``.

    Arguments
    ---------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, perhaps with ``.gz`` after it.
    report : Report
        Collects the rows that are skipped.
    split : str or None
        Split of rows without one.

    Returns
    -------
    list of CaptionItem
        Unchecked.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a table.

    Example
    -------
    >>> path = getfixture("tmp_path") / "mine.csv"
    >>> _ = path.write_text("image,caption,split\\na.png,a dog,train\\na.png,the dog,train\\n")
    >>> [item.references for item in read_manifest(path, Report("mine"))]
    [('a dog', 'the dog')]
    """
    path = Path(path)
    items: dict[str, CaptionItem] = {}
    for place, row in read_rows(path, report, tsv_quotes=True):
        item = _item(path, place, row, report, split)
        if item is None:
            continue
        before = items.get(item.id)
        if before is None:
            items[item.id] = item
        elif (before.path, before.split) == (item.path, item.split) and "caption" in row:
            references = (*before.references, *item.references)
            items[item.id] = CaptionItem(item.id, item.split, item.path, item.kind, references)
        else:
            report.add("id-repeated", item.id, f"again in {place}")
    return list(items.values())


def _item(
    path: Path, place: str, row: Mapping[str, Any], report: Report, split: str | None
) -> CaptionItem | None:
    """The item of a row; None if it is skipped."""
    kinds = [kind for kind in KINDS if row.get(kind)]
    if len(kinds) != 1:
        what = f"{' and '.join(kinds)}: must be one of them" if kinds else f"no {', '.join(KINDS)}"
        report.add("value-unreadable" if kinds else "column-missing", place, what)
        return None
    name = str(row.get("split") or split or "")
    if name not in SPLIT_NAMES:
        kind = "split-unknown" if name else "split-missing"
        report.add(kind, place, f"{name!r} is none of {', '.join(SPLIT_NAMES)}")
        return None
    captions = row.get("references", row.get("caption"))
    captions = [captions] if isinstance(captions, str) else captions
    if captions is None:
        captions = []
    if not isinstance(captions, list) or not all(isinstance(c, str) for c in captions):
        report.add("value-unreadable", place, "captions must be strings")
        return None
    # Joining keeps a path that is absolute.
    file = str((path.parent / str(row[kinds[0]])).absolute())
    item_id = str(row.get("id") or "") or Path(file).name
    return CaptionItem(item_id, SPLIT_NAMES[name], file, kinds[0], tuple(captions))


def write_manifest(path: str | Path, items: Iterable[CaptionItem]) -> None:
    """Writes items as JSON lines, which :func:`read_manifest` reads.

    Paths within the manifest's folder are written relative to it, so that the folder can be moved.
    """
    path = Path(path)
    folder = path.parent.absolute()
    lines = []
    for item in items:
        file = Path(item.path)
        inside = file.relative_to(folder) if file.is_relative_to(folder) else file
        row = {"id": item.id, "split": item.split, item.kind: inside.as_posix()}
        row["references"] = list(item.references)
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_atomically(path, "".join(lines))
