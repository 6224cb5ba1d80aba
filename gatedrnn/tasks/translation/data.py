"""Pairs of sentences as tokens, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from gatedrnn.data.report import Report
from gatedrnn.tasks.translation.corpora import Pairs
from gatedrnn.tokens import EOS, IGNORE, Tokens
from gatedrnn.training.batching import Batch, pad


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
    return pad([torch.tensor(source) for source in sources], EOS)


def collate(units: Sequence[Mapping[str, Any]]) -> Batch:
    """Collates units of a :class:`TranslationDataset`.

    ``source`` and ``lengths`` are those of :func:`collate_sources`, ``targets`` (batch, time) the
    tokens of each translation with ``<eos>``, then ``IGNORE``, and ``rows`` (batch,) the source of
    each.

    Example
    -------
    >>> batch = collate([{"id": "1", "source": [4, 5, 0], "target": [7]},
    ...                  {"id": "2", "source": [6, 0], "target": [8, 9]}])
    >>> batch.source.tolist(), batch.targets.tolist()
    ([[4, 5, 0], [6, 0, 0]], [[7, 0, -100], [8, 9, 0]])
    """
    source, lengths = collate_sources([unit["source"] for unit in units])
    return Batch(
        [unit["id"] for unit in units],
        source=source,
        lengths=lengths,
        rows=torch.arange(len(units)),
        targets=pad([torch.tensor([*unit["target"], EOS]) for unit in units], IGNORE)[0],
    )


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
