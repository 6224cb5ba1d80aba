"""Synthetic items with captions: a generator of groups of things, which subclasses render.

An item has one group of equal things, or two of different kinds. Combinations of their attributes
that come in the test set never come in training (nor in dev), though each single value does: a
captioner must name what the item contains and cannot recall it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from gatedrnn.data.files import fingerprint, is_current, write_atomically, write_stamp

SPLITS = ("train", "dev", "test")
#: Captions of an item.
REFERENCES = 5
MANIFEST = "captions.jsonl"
CONTENTS = "contents.jsonl"
STAMP = ".prepared.json"
_NUMBERS = {1: "one", 2: "two", 3: "three"}

#: A value of each attribute.
Combination = tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Equal things. A subclass has three fields: ``count`` (1 to 3), an adjective and a noun."""

    #: Field -> its values.
    ATTRIBUTES: ClassVar[Mapping[str, Sequence[str]]]
    #: Value of the noun -> words for it, each in singular and plural.
    NOUNS: ClassVar[Mapping[str, Sequence[tuple[str, str]]]]

    count: int

    @property
    def verb(self) -> str:
        """``is`` or ``are``."""
        return "is" if self.count == 1 else "are"

    def combination(self, names: Sequence[str]) -> Combination:
        """The values of some attributes."""
        return tuple(str(getattr(self, name)) for name in names)

    def phrases(self) -> list[str]:
        """All phrases that name the group: ``a red box``, ``one red square``, ..."""
        count, adjective, kind = astuple(self)
        nouns = self.NOUNS[kind]
        if count == 1:
            articles = ("a", "one")
            return [f"{article} {adjective} {n}" for article in articles for n, _ in nouns]
        return [f"{_NUMBERS[count]} {adjective} {plural}" for _, plural in nouns]


class CaptionedItem(NamedTuple):
    """A synthetic item: its contents (with ``captions()``, all true captions), five of these
    captions, and pixels (height, width, 3) uint8 or samples (time,) float32."""

    contents: Any
    references: tuple[str, ...]
    signal: np.ndarray


@dataclass(frozen=True, kw_only=True)
class CaptionedItems(ABC):
    """Generator of items with captions: the options that decide them. Subclasses render.

    seed: The same seed gives the same bytes.
    two: Fraction of items with two groups, 0 to 1.
    held_out: At least two attributes whose combinations are divided between the splits.
    share: Fraction of the combinations that goes to dev, and again to test.
    """

    #: Column of the manifest, folder and suffix of the files.
    KIND: ClassVar[str]
    FOLDER: ClassVar[str]
    SUFFIX: ClassVar[str]
    #: The class of the groups.
    GROUP: ClassVar[type[Group]]

    seed: int = 0
    two: float = 0.6
    held_out: tuple[str, ...]
    share: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.two <= 1:
            raise ValueError(f"two must lie between 0 and 1, not {self.two}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        self.combinations()

    @abstractmethod
    def _differ(self, first: Group, second: Group) -> bool:
        """Whether both groups may come in one item."""

    @abstractmethod
    def _render(self, groups: tuple[Group, ...], rng: np.random.Generator) -> CaptionedItem:
        """Renders groups and chooses their captions."""

    @staticmethod
    @abstractmethod
    def _write_signal(path: Path, signal: np.ndarray) -> None:
        """Writes pixels or samples."""

    @classmethod
    @abstractmethod
    def _contents(cls, row: Mapping[str, Any]) -> Any:
        """Contents of a line of ``contents.jsonl``."""

    @cache  # noqa: B019 - the options are few and hashable
    def combinations(self) -> dict[str, set[Combination]]:
        """Split -> combinations of the values of ``held_out``."""
        return divide(self.GROUP.ATTRIBUTES, self.held_out, self.share, self.seed)

    @cache  # noqa: B019
    def groups(self, split: str) -> tuple[Group, ...]:
        """All groups that come in a split."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
        allowed = self.combinations()[split]
        all_groups = (
            self.GROUP(int(count), *values)
            for count, *values in product(*self.GROUP.ATTRIBUTES.values())
        )
        return tuple(g for g in all_groups if g.combination(self.held_out) in allowed)

    def sample(self, split: str, number: int) -> CaptionedItem:
        """Samples an item, which depends only on the options, its split and its number.

        number: At least 0; the same number gives the same item.
        """
        known = self.groups(split)
        rng = np.random.default_rng([self.seed, SPLITS.index(split), number])
        first = known[rng.integers(len(known))]
        others = [group for group in known if self._differ(first, group)]
        groups = (first,)
        if rng.random() < self.two and others:
            groups = (first, others[rng.integers(len(others))])
        return self._render(groups, rng)

    def write(self, out: str | Path, counts: Mapping[str, int]) -> Path:
        """Writes items unless the folder holds them already.

        Beside the manifest lie ``contents.jsonl``, the contents of each item, and ``images`` or
        ``audio`` with a folder for each split.

        counts: Split -> number of items.
        Returns: The manifest, ``captions.jsonl``.
        """
        out = Path(out)
        if any(count < 0 for count in counts.values()) or not set(counts) <= set(SPLITS):
            raise ValueError(f"counts must be of {', '.join(SPLITS)} and at least 0, not {counts}")
        key = fingerprint({"kind": self.KIND, "counts": dict(counts), **asdict(self)}, [])
        paths = {
            (split, number): Path(self.FOLDER, split, f"{number:06d}{self.SUFFIX}")
            for split, count in counts.items()
            for number in range(count)
        }
        manifest = out / MANIFEST
        if is_current(out / STAMP, key) and all((out / p).is_file() for p in paths.values()):
            return manifest
        (out / STAMP).unlink(missing_ok=True)
        rows, contents = [], []
        for (split, number), path in tqdm(paths.items(), desc=self.FOLDER, disable=None):
            item = self.sample(split, number)
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            self._write_signal(out / path, item.signal)
            names = {"id": f"{split}-{number:06d}", "split": split, self.KIND: path.as_posix()}
            rows.append({**names, "references": list(item.references)})
            contents.append({"id": names["id"], **asdict(item.contents)})
        for path, lines in ((manifest, rows), (out / CONTENTS, contents)):
            write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines))
        write_stamp(out / STAMP, key, [manifest, out / CONTENTS])
        return manifest

    @classmethod
    def read_contents(cls, out: str | Path) -> dict[str, Any]:
        """Reads the contents of each item: a caption is true if it is one of their ``captions()``.

        Returns: Item -> contents.
        """
        path = Path(out) / CONTENTS
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; simulate the set first")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["id"]: cls._contents(row) for row in rows}


def choose(captions: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Five different captions of all that are true of an item."""
    return tuple(captions[i] for i in rng.choice(len(captions), REFERENCES, replace=False))


def divide(
    values: Mapping[str, Sequence[str]],
    names: Sequence[str],
    share: float = 0.125,
    seed: int = 0,
) -> dict[str, set[Combination]]:
    """Divides all combinations of some attributes between train, dev and test.

    Every single value stays in at least half of its combinations in train: new in test is the
    combination, never a value.
    """
    unknown = [name for name in names if name not in values]
    if unknown or len(set(names)) < 2:
        raise ValueError(
            f"combinations must be of at least two of {', '.join(values)}, not {list(names)}"
        )
    every = list(product(*(values[name] for name in names)))
    size = round(share * len(every))
    # Of each value: in how many combinations it may be missing from train.
    spare = {(n, v): len(every) // len(values[n]) // 2 for n in names for v in values[n]}
    splits: dict[str, set[Combination]] = {"train": set(every), "dev": set(), "test": set()}
    for index in np.random.default_rng(seed).permutation(len(every)):
        split = "test" if len(splits["test"]) <= len(splits["dev"]) else "dev"
        keys = list(zip(names, every[index], strict=True))
        if len(splits[split]) < size and all(spare[key] for key in keys):
            splits["train"].remove(every[index])
            splits[split].add(every[index])
            for key in keys:
                spare[key] -= 1
    if not 0 < share < 0.5 or not splits["dev"]:
        raise ValueError(
            f"share {share} of {len(every)} combinations: must leave at least one each for dev and "
            "test, and most for train"
        )
    return splits
