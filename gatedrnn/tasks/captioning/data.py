"""Captions and what they describe as datasets: all references once in an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import Dataset

from gatedrnn.data import audio
from gatedrnn.tasks.captioning.corpora.items import CaptionItem
from gatedrnn.tasks.captioning.corpora.media import (
    MediaError,
    MediaOptions,
    collate_media,
    load_media,
)
from gatedrnn.tokens import EOS, IGNORE, Vocabulary
from gatedrnn.training.batching import Batch, pad


@dataclass(frozen=True)
class CaptionSets:
    """The items of a training.

    Arguments
    ---------
    train, dev : list of CaptionItem
        To learn from, and to choose by.
    tests : Mapping
        Name -> items of each test set; those of ``dev`` are tested, too.
    true : Mapping or None
        Item -> all captions that are true of it, where a grammar knows them.

    Raises
    ------
    ValueError
        If there is nothing to learn from or to choose by, or a set has items of several kinds.
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
        """What the items are: ``"image"``, ``"audio"`` or ``"features"``."""
        return self.train[0].kind


class MediaCache:
    """Keeps what was decoded while there is room for it.

    Arguments
    ---------
    megabytes : float
        How much room there is; 0 for none.

    Example
    -------
    >>> cache = MediaCache(0.001)
    >>> cache.keep("a", torch.zeros(100)), cache.keep("b", torch.zeros(300))
    (True, False)
    """

    def __init__(self, megabytes: float) -> None:
        self.room = int(megabytes * 1e6)
        self.kept: dict[str, torch.Tensor] = {}

    def keep(self, path: str, media: torch.Tensor) -> bool:
        """Keeps a tensor if it fits; says whether it did.

        Arguments
        ---------
        path : str
            Where it came from.
        media : torch.Tensor
            The tensor.

        Returns
        -------
        bool
        """
        size = media.numel() * media.element_size()
        if size > self.room:
            return False
        self.room -= size
        self.kept[path] = media
        return True


class CaptionDataset(Dataset):
    """What there is to describe, with captions as numbers.

    Arguments
    ---------
    items : sequence of CaptionItem
        The items.
    vocabulary : Vocabulary
        Makes numbers of their references.
    media : MediaOptions
        What the captioner is given.
    captions : int or None
        References that come with an item at a time: it comes as often as it takes for all of them
        to come once, in an order that differs from epoch to epoch. None for all, in their order.
    cache : MediaCache or None
        Where decoded media are kept; datasets may share one.
    seed : int
        Decides the order of references.

    Example
    -------
    >>> from gatedrnn.simulation.scenes import write_image
    >>> import numpy as np
    >>> path = getfixture("tmp_path") / "a.png"
    >>> write_image(path, np.zeros((8, 8, 3), dtype=np.uint8))
    >>> item = CaptionItem("1", "train", str(path), "image", ("a dog", "the dog", "a"))
    >>> words = Vocabulary(("<eos>", "<unk>", "a", "dog"))
    >>> found = CaptionDataset([item], words, MediaOptions("image", 8, 8), captions=2)
    >>> len(found), sorted(c for unit in (found[0], found[1]) for c in unit["captions"])
    (2, [[1, 3], [2], [2, 3]])
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
        #: Seconds of each unit's recording; 1 of all else.
        self.sizes = [sizes[number] for number, _, _ in self.units]
        # Shared with the workers of a loader, also with those that outlive an epoch.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number, first, stop = self.units[index]
        item, captions = self.items[number], self.encoded[number]
        if self.shuffled and len(captions) > 1:
            draw = torch.Generator()
            draw.manual_seed((self.seed * 1_000_003 + int(self._epoch)) * 1_000_003 + number)
            order = torch.randperm(len(captions), generator=draw).tolist()
            captions = [captions[i] for i in order]
        return {
            "id": item.id,
            "number": number,
            "media": self._load(item),
            "captions": captions[first:stop],
        }

    def set_epoch(self, epoch: int) -> None:
        """Tells which epoch begins.

        Arguments
        ---------
        epoch : int
            Its number.
        """
        self._epoch.fill_(epoch)

    def _load(self, item: CaptionItem) -> torch.Tensor:
        kept = self.cache.kept.get(item.path)
        if kept is not None:
            return kept
        try:
            media = load_media(item.path, self.media)
        except MediaError as error:
            # One argument, so that it comes out of the worker of a loader as what it is.
            raise ValueError(
                f"item {item.id} cannot be read any more: {error.detail}; it could when it was "
                "prepared: mend the file, or prepare again to leave it out"
            ) from error
        self.cache.keep(item.path, media)
        return media


def _size(item: CaptionItem, media: MediaOptions) -> float:
    """What bounds a batch."""
    if item.kind != "audio":
        return 1.0
    try:
        seconds = audio.inspect(item.path).seconds
    except audio.AudioError as error:
        raise ValueError(f"item {item.id}: {error.detail}; prepare again") from error
    return min(seconds, media.max_seconds or seconds)


def collate(units: Sequence[Mapping[str, Any]]) -> Batch:
    """Collates units of a :class:`CaptionDataset`.

    ``media`` and ``lengths`` are what the encoder reads, ``numbers`` the places of the items in
    the dataset, ``targets`` (captions, time) the words of each caption with ``<eos>``, then
    ``IGNORE``, and ``rows`` (captions,) the item in the batch that each caption belongs to.

    Example
    -------
    >>> image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    >>> batch = collate([{"id": "a", "number": 0, "media": image, "captions": [[5], [6, 7]]},
    ...                  {"id": "b", "number": 1, "media": image, "captions": [[8]]}])
    >>> batch.rows.tolist(), batch.targets.tolist()
    ([0, 0, 1], [[5, 0, -100], [6, 7, 0], [8, 0, -100]])
    """
    media, lengths = collate_media([unit["media"] for unit in units])
    captions = [torch.tensor([*caption, EOS]) for u in units for caption in u["captions"]]
    return Batch(
        [unit["id"] for unit in units],
        numbers=[unit["number"] for unit in units],
        media=media,
        lengths=lengths,
        rows=torch.tensor([i for i, u in enumerate(units) for _ in u["captions"]]),
        targets=pad(captions, IGNORE)[0],
    )
