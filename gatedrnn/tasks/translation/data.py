"""Pairs of sentences as tokens, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from gatedrnn.data.report import Report
from gatedrnn.tasks.translation.corpora import Pairs
from gatedrnn.tokens import EOS, IGNORE, Tokens


class TranslationDataset(Dataset):
    """Pairs of sentences as tokens; ``<eos>`` ends each source."""

    def __init__(self, pairs: Pairs, source: Tokens, target: Tokens) -> None:
        self.pairs = pairs
        self.source = [[*source.encode(sentence), EOS] for sentence in pairs.source]
        self.target = [target.encode(sentence) for sentence in pairs.target]
        #: Tokens of the longer side of each pair, with its end: what bounds a batch.
        self.sizes = [
            float(max(len(a), len(b) + 1)) for a, b in zip(self.source, self.target, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # Zeros in front, so that names are in the same order as numbers.
        return {
            "id": f"{index + 1:08d}",
            "source": self.source[index],
            "target": self.target[index],
        }


def collate_sources(sources: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pads tokenized sources with ``<eos>``: tokens (batch, time) and relative lengths (batch,).

    Example
    -------
    >>> collate_sources([[4, 5, 0], [6, 0]])
    (tensor([[4, 5, 0],
            [6, 0, 0]]), tensor([1.0000, 0.6667]))
    """
    rows = [torch.tensor(source) for source in sources]
    tokens = pad_sequence(rows, batch_first=True, padding_value=EOS)
    return tokens, torch.tensor([len(row) for row in rows]) / tokens.shape[1]


class TranslationBatch:
    """A batch of a :class:`TranslationDataset`.

    Example
    -------
    >>> batch = TranslationBatch([{"id": "1", "source": [4, 5, 0], "target": [7]},
    ...                           {"id": "2", "source": [6, 0], "target": [8, 9]}])
    >>> batch.source.tolist(), batch.targets.tolist()
    ([[4, 5, 0], [6, 0, 0]], [[7, 0, -100], [8, 9, 0]])
    """

    def __init__(self, units: Sequence[Mapping[str, Any]]) -> None:
        self.id = tuple(unit["id"] for unit in units)
        #: The sources, and their relative lengths.
        self.source, self.lengths = collate_sources([unit["source"] for unit in units])
        #: Tokens of each translation and its end, then ``IGNORE``.
        self.targets = pad_sequence(
            [torch.tensor([*unit["target"], EOS]) for unit in units],
            batch_first=True,
            padding_value=IGNORE,
        )
        #: Each source has one translation.
        self.rows = torch.arange(len(units))

    def __len__(self) -> int:
        return len(self.id)

    def to(self, device: torch.device | str) -> TranslationBatch:
        """Moves the tensors."""
        return self._each(lambda tensor: tensor.to(device))

    def pin_memory(self) -> TranslationBatch:
        """Pins the tensors in memory."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Any) -> TranslationBatch:
        for name in ("source", "lengths", "targets", "rows"):
            setattr(self, name, change(getattr(self, name)))
        return self


def short_enough(
    pairs: Pairs,
    source: Tokens,
    target: Tokens,
    longest: int,
    ratio: float,
    report: Report,
) -> Pairs:
    """Leaves out training pairs that are too long or too uneven.

    ``longest`` is the maximum of tokens of a side; ``ratio`` bounds, as a factor, how far the two
    sides' numbers of tokens may be from the proportion of all pairs.
    """
    if longest < 1 or not ratio > 1.0:
        raise ValueError(
            f"max_length must be at least 1 and max_ratio above 1, not {longest} and {ratio}"
        )
    counts = [
        (len(source.encode(a)), len(target.encode(b)))
        for a, b in zip(pairs.source, pairs.target, strict=True)
    ]
    usual = sum(b for _, b in counts) / max(1, sum(a for a, _ in counts))
    kept = []
    for number, (a, b) in enumerate(counts):
        place = f"{pairs.name}, pair {number + 1}"
        uneven = max((b + 1) / (a + 1) / usual, (a + 1) / (b + 1) * usual)
        if max(a, b) > longest:
            report.add("pair-long", place, f"{a} and {b} tokens")
        elif uneven > ratio:
            report.add("pair-uneven", place, f"{a} and {b} tokens")
        else:
            kept.append(number)
    if not kept:
        raise ValueError(
            f"{pairs.name}: no pair is left with max_length {longest} and max_ratio {ratio}"
        )
    return Pairs(pairs.name, [pairs.source[i] for i in kept], [pairs.target[i] for i in kept])


def some_of(pairs: Pairs, count: int | None) -> Pairs:
    """Fewer pairs, taken evenly from all: corpora are often sorted by length.

    Example
    -------
    >>> some_of(Pairs("train", ["a", "b", "c", "d"], ["A", "B", "C", "D"]), 2).target
    ['A', 'C']
    """
    if count is not None and count < 1:
        raise ValueError(f"max_pairs must be at least 1, not {count}")
    if count is None or count >= len(pairs):
        return pairs
    kept = [i * len(pairs) // count for i in range(count)]
    return Pairs(pairs.name, [pairs.source[i] for i in kept], [pairs.target[i] for i in kept])
