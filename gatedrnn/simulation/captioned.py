"""What simulated pictures and sounds with captions have in common: splits, captions, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp
from gatedrnn.data.preparation import STAMP
from gatedrnn.tasks.captioning.corpora.item import SPLITS, CaptionItem
from gatedrnn.tasks.captioning.corpora.manifest import write_manifest

#: Captions of an item.
REFERENCES = 5
MANIFEST = "captions.jsonl"
CONTENTS = "contents.jsonl"
_NUMBERS = {1: "one", 2: "two", 3: "three"}


@dataclass(frozen=True)
class Made:
    """A simulated item.

    Arguments
    ---------
    contents : Any
        What is in it: a frozen dataclass with ``captions()``, all that is true of it.
    references : tuple of str
        Five of these.
    signal : np.ndarray
        Pixels or samples.
    """

    contents: Any
    references: tuple[str, ...]
    signal: np.ndarray


def generator(seed: int, split: str, number: int) -> np.random.Generator:
    """Random numbers of an item: they depend on nothing but its seed, split and number.

    Arguments
    ---------
    seed : int
        Of the set.
    split : str
        "train", "dev" or "test".
    number : int
        Of the item.

    Returns
    -------
    np.random.Generator

    Raises
    ------
    ValueError
        If there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    return np.random.default_rng([seed, SPLITS.index(split), number])


def choose(captions: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Five different ones of all captions that are true of an item.

    Arguments
    ---------
    captions : sequence of str
        All of them, at least five.
    rng : np.random.Generator
        Decides which.

    Returns
    -------
    tuple of str
    """
    return tuple(captions[i] for i in rng.choice(len(captions), REFERENCES, replace=False))


def counted(count: int, adjectives: str, nouns: Sequence[tuple[str, str]]) -> list[str]:
    """Ways to say how many of what there are.

    Arguments
    ---------
    count : int
        From 1 to 3.
    adjectives : str
        Before the noun.
    nouns : sequence of (str, str)
        Singular and plural of each word for it.

    Returns
    -------
    list of str

    Example
    -------
    >>> counted(1, "red", [("box", "boxes")]), counted(2, "red", [("box", "boxes")])
    (['a red box', 'one red box'], ['two red boxes'])
    """
    if count == 1:
        return [f"{one} {adjectives} {noun}" for one in ("a", "one") for noun, _ in nouns]
    return [f"{_NUMBERS[count]} {adjectives} {nouns}" for _, nouns in nouns]


def write_set(
    out: str | Path,
    counts: Mapping[str, int],
    options: Any,
    make: Callable[[str, int], Made],
    write: Callable[[Path, np.ndarray], None],
    kind: tuple[str, str],
) -> Path:
    """Writes a simulated set in the layout of a manifest, unless it lies there already.

    Beside ``captions.jsonl`` stands ``contents.jsonl``, what is in each item, and ``images`` or
    ``audio`` with a folder for each split.

    Arguments
    ---------
    out : str or Path
        The folder.
    counts : Mapping
        Split -> number of items.
    options : Any
        A frozen dataclass that decides the items.
    make : Callable
        Of split and number, makes an item.
    write : Callable
        Writes pixels or samples.
    kind : (str, str)
        A kind of item, and the ending of its files.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    ValueError
        If a number is negative, or a split unknown.
    """
    out = Path(out)
    if any(count < 0 for count in counts.values()) or not set(counts) <= set(SPLITS):
        raise ValueError(f"counts must be of {', '.join(SPLITS)} and at least 0, not {counts}")
    if not is_dataclass(options):
        raise TypeError(f"options must be a dataclass, not {options!r}")
    folder = {"image": "images", "audio": "audio"}[kind[0]]
    key = fingerprint({"kind": kind[0], "counts": dict(counts), **asdict(options)}, [])
    paths = {
        (split, number): out / folder / split / f"{number:06d}{kind[1]}"
        for split, count in counts.items()
        for number in range(count)
    }
    if is_current(out / STAMP, key) and all(path.is_file() for path in paths.values()):
        return out / MANIFEST
    (out / STAMP).unlink(missing_ok=True)
    items, contents = [], []
    for (split, number), path in tqdm(paths.items(), desc=folder, disable=None):
        made = make(split, number)
        name = f"{split}-{number:06d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, made.signal)
        items.append(CaptionItem(name, split, str(path.absolute()), kind[0], made.references))
        contents.append({"id": name, **asdict(made.contents)})
    write_manifest(out / MANIFEST, items)
    write_atomically(out / CONTENTS, "".join(json.dumps(line) + "\n" for line in contents))
    write_stamp(out / STAMP, key, [out / MANIFEST, out / CONTENTS])
    return out / MANIFEST


def read_contents(out: str | Path, build: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """Reads what is in each item of a set.

    Arguments
    ---------
    out : str or Path
        The set's folder.
    build : Callable
        Makes the contents of plain data.

    Returns
    -------
    dict
        Item -> contents.

    Raises
    ------
    FileNotFoundError
        If there is no set.
    """
    path = Path(out) / CONTENTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; simulate the set first")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row.pop("id"): build(row) for row in rows}
