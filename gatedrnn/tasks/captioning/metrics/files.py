"""Files of captions: JSON of COCO, and our JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What the formats are, for ``--help``.
FORMATS = {
    "coco": 'COCO: {"annotations": [{"image_id", "caption"}, ...]}, or that list by itself',
    "jsonl": 'JSON lines: {"id", "references": [...]} to compare with, {"id", "text"} to score',
}


@dataclass(frozen=True)
class Captions:
    """Captions of items, one or several each.

    Arguments
    ---------
    path : str
        The file.
    format : str
        ``"coco"`` or ``"jsonl"``.
    texts : Mapping
        Item -> its captions, in the order of the file.

    Raises
    ------
    ValueError
        If there are none.

    Example
    -------
    >>> Captions("refs.json", "coco", {"1": ("a dog", "the dog")}).texts["1"]
    ('a dog', 'the dog')
    """

    path: str
    format: str
    texts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if not self.texts:
            raise ValueError(f"{self.path}: no caption in it (read as {self.format})")


def read(path: str | Path, references: bool) -> Captions:
    """Reads captions; the format is found out.

    Arguments
    ---------
    path : str or Path
        The file.
    references : bool
        Whether they are references: then an item may have several, and of a JSON line with
        ``references`` and ``text`` the former are read.

    Returns
    -------
    Captions

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has neither format, an item has no caption, or two where one is to be scored.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hyp.json"
    >>> _ = path.write_text('[{"image_id": 7, "caption": "a dog runs"}]')
    >>> read(path, references=False).texts
    {'7': ('a dog runs',)}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; captions must be UTF-8") from error
    whole = _whole(text)
    try:
        if whole is None:
            found = Captions(str(path), "jsonl", _by_item(_lines(text, references)))
        else:
            found = Captions(str(path), "coco", _by_item(_coco(whole)))
    except (KeyError, TypeError, ValueError) as error:
        what = f"there is no {error.args[0]!r}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: {what}") from error
    several = [] if references else [name for name, t in found.texts.items() if len(t) > 1]
    if several:
        raise ValueError(
            f"{path}: {len(several)} items have several captions, such as {several[0]}; of what is "
            "scored each has one"
        )
    return found


def _whole(text: str) -> Any:
    """The file as one JSON value, None if it is JSON lines."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    # A single line is a whole file, too.
    return None if isinstance(value, dict) and "annotations" not in value else value


def _coco(value: Any) -> Iterator[tuple[str, str]]:
    entries = value["annotations"] if isinstance(value, dict) else value
    if not isinstance(entries, list):
        raise ValueError("neither a list of captions nor JSON lines; it must be one of: "
                         + "; ".join(FORMATS.values()))  # fmt: skip
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise ValueError(f"entry {number} is no JSON object")
        if "image_id" not in entry:
            raise ValueError(f"entry {number} has no 'image_id'")
        yield str(entry["image_id"]), _caption(entry.get("caption"), f"entry {number}")


def _lines(text: str, references: bool) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    # Not splitlines, which would also split at separators that may stand inside of a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{place}: {error}; there must be an object on each line") from error
        if not isinstance(record, dict) or "id" not in record:
            raise ValueError(f"{place} is no JSON object with 'id'")
        name = str(record["id"])
        if name in seen:
            raise ValueError(f"{place}: item {name} appears twice")
        seen.add(name)
        for caption in _captions(record, references, place):
            yield name, _caption(caption, place)


def _captions(record: Mapping[str, Any], references: bool, place: str) -> list[Any]:
    """The captions of a record."""
    if references and "references" in record:
        several = record["references"]
        if not isinstance(several, list) or not several:
            raise ValueError(f"{place}: 'references' must be a list of at least one caption")
        return several
    for key in ("text", "caption"):
        if key in record:
            return [record[key]]
    wanted = "'references' or 'text'" if references else "'text'"
    raise ValueError(f"{place} has no {wanted}")


def _caption(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{place}: a caption must be a string, not {value!r}")
    return value


def _by_item(found: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    texts: dict[str, list[str]] = {}
    for name, caption in found:
        texts.setdefault(name, []).append(caption)
    return {name: tuple(captions) for name, captions in texts.items()}
