"""Items and captions of a training: its sets, and their dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from gatedrnn.data import audio
from gatedrnn.data.report import Report
from gatedrnn.simulation.captioned import CaptionedItems
from gatedrnn.simulation.scenes import Scenes, Sounds
from gatedrnn.tasks.captioning.corpora.items import (
    CaptionItem,
    MediaError,
    MediaOptions,
    load_media,
    read_manifest,
)
from gatedrnn.tokens import Vocabulary

#: Name of a simulated corpus -> its generator.
SIMULATED: dict[str, type[CaptionedItems]] = {"scenes": Scenes, "sounds": Sounds}


@dataclass(frozen=True)
class CaptionSets:
    """The items of a training.

    Arguments
    ---------
    train, dev : sequence of CaptionItem
        Training and validation items.
    tests : Mapping
        Name -> items of each test set; those of ``dev`` are tested, too.
    true : Mapping or None
        Item -> all captions that are true of it, where a grammar knows them.

    Raises
    ------
    ValueError
        If a set is empty, or has items of several kinds.
    """

    train: Sequence[CaptionItem]
    dev: Sequence[CaptionItem]
    tests: Mapping[str, Sequence[CaptionItem]] = field(default_factory=dict)
    true: Mapping[str, frozenset[str]] | None = None

    def __post_init__(self) -> None:
        named = {"train": self.train, "dev": self.dev, **self.tests}
        for name, items in named.items():
            if not items:
                raise ValueError(f"there is no item in {name}")
        kinds = sorted({item.kind for items in named.values() for item in items})
        if len(kinds) > 1:
            raise ValueError(
                f"the items are of several kinds ({', '.join(kinds)}): a captioner takes one"
            )

    @property
    def kind(self) -> str:
        """Kind of the items: ``"image"``, ``"audio"`` or ``"features"``."""
        return self.train[0].kind


def simulate(
    name: str,
    folder: str | Path,
    train: int = 2000,
    dev: int = 200,
    test: int = 500,
    seen: int = 0,
    **options: Any,
) -> CaptionSets:
    """Simulates items with captions, unless the folder has them already.

    Many of the combinations in ``dev`` and ``test`` do not occur in ``train``.

    Arguments
    ---------
    name : str
        A key of ``SIMULATED``.
    folder : str or Path
        Where the items are written.
    train : int
        Number of training items.
    dev : int
        Number of validation items.
    test : int
        Number of test items.
    seen : int
        Number of items of another test set, with combinations that occur in ``train``.
    **options : Any
        Of :class:`~gatedrnn.simulation.scenes.Scenes` or
        :class:`~gatedrnn.simulation.scenes.Sounds`.

    Returns
    -------
    CaptionSets
        With all captions that are true of each item.

    Example
    -------
    >>> sets = simulate("scenes", getfixture("tmp_path"), train=3, dev=1, test=1, seen=2)
    >>> len(sets.train), {name: len(items) for name, items in sets.tests.items()}
    (3, {'test': 1, 'seen': 2})
    """
    if name not in SIMULATED:
        raise ValueError(f"there is no simulated {name!r}; there are: {', '.join(SIMULATED)}")
    generator = SIMULATED[name]
    known = [field.name for field in fields(generator)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"simulated {name} have no option {unknown[0]!r}; there are: train, dev, test, seen, "
            f"{', '.join(known)}"
        )
    if "held_out" in options:
        options["held_out"] = tuple(options["held_out"])
    counts = {"train": train + seen, "dev": dev, "test": test}
    path = generator(**options).write(folder, counts)
    contents = generator.read_contents(folder)
    items = read_manifest(path, Report(name))
    splits = {split: [item for item in items if item.split == split] for split in counts}
    tests = {"test": splits["test"], "seen": splits["train"][train:]}
    return CaptionSets(
        splits["train"][:train],
        splits["dev"],
        {split: members for split, members in tests.items() if members},
        {item.id: frozenset(contents[item.id].captions()) for item in items},
    )


class MediaCache:
    """Keeps decoded media up to a total size in megabytes; 0 keeps nothing."""

    def __init__(self, megabytes: float) -> None:
        self.room = int(megabytes * 1e6)
        self.kept: dict[str, torch.Tensor] = {}

    def keep(self, path: str, media: torch.Tensor) -> bool:
        """Keeps a tensor if it fits; returns whether it does."""
        size = media.numel() * media.element_size()
        if size > self.room:
            return False
        self.room -= size
        self.kept[path] = media
        return True


class CaptionDataset(Dataset):
    """Media with their references as tokens; all references once in an epoch.

    Arguments
    ---------
    items : sequence of CaptionItem
        Images, recordings or features with captions.
    vocabulary : Vocabulary
        Encodes the captions.
    media : MediaOptions
        Input of the captioner.
    captions : int or None
        References per dataset item: an item occurs as often as it takes for all of its references
        to occur once, in an order that differs from epoch to epoch. None for all of them, in their
        order.
    cache : MediaCache or None
        Keeps decoded media; datasets may share one.
    seed : int
        Seed of the order of references.
    """

    def __init__(
        self,
        items: Sequence[CaptionItem],
        vocabulary: Vocabulary,
        media: MediaOptions,
        captions: int | None = None,
        cache: MediaCache | None = None,
        seed: int = 0,
    ) -> None:
        if captions is not None and captions < 1:
            raise ValueError(f"captions_per_item must be at least 1, not {captions}")
        self.items, self.media, self.seed = list(items), media, seed
        self.shuffled = captions is not None
        self.cache = cache or MediaCache(0)
        self.encoded = [[vocabulary.encode(text) for text in i.references] for i in self.items]
        #: Item, first of its references, and the one after the last.
        self.units = [
            (number, first, first + (captions or len(references)))
            for number, references in enumerate(self.encoded)
            for first in range(0, len(references), captions or len(references))
        ]
        sizes = [_size(item, media) for item in self.items]
        #: Seconds of each unit's recording; 1 of other media.
        self.sizes = [sizes[number] for number, _, _ in self.units]
        # Shared with the workers of a loader, also with those that outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, first, stop = self.units[index]
        item, captions = self.items[number], self.encoded[number]
        if self.shuffled and len(captions) > 1:
            generator = torch.Generator()
            generator.manual_seed((self.seed * 1_000_003 + int(self._epoch)) * 1_000_003 + number)
            order = torch.randperm(len(captions), generator=generator).tolist()
            captions = [captions[i] for i in order]
        return {
            "id": item.id,
            "number": number,
            "source": self._load(item),
            "targets": captions[first:stop],
        }

    def set_epoch(self, epoch: int) -> None:
        """Sets the number of the epoch, for the order of references."""
        self._epoch.fill_(epoch)

    def _load(self, item: CaptionItem) -> torch.Tensor:
        kept = self.cache.kept.get(item.path)
        if kept is not None:
            return kept
        try:
            media = load_media(item.path, self.media)
        except MediaError as error:
            # One argument, so that the error can be pickled by the worker of a loader.
            raise ValueError(
                f"item {item.id} cannot be read any more: {error.detail}; it could when it was "
                "prepared: repair the file, or prepare again to leave it out"
            ) from error
        self.cache.keep(item.path, media)
        return media


def _size(item: CaptionItem, media: MediaOptions) -> float:
    """Seconds of a recording that are read, 1 of other media: what bounds a batch."""
    if item.kind != "audio":
        return 1.0
    try:
        seconds = audio.inspect(item.path).seconds
    except audio.AudioError as error:
        raise ValueError(f"item {item.id}: {error.detail}; prepare again") from error
    return min(seconds, media.max_seconds or seconds)
