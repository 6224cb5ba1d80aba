"""Pairs of sentences as token sequences, and which of them a training uses."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from gatedrnn.data.report import Report
from gatedrnn.tasks.translation.corpora import Pairs
from gatedrnn.tokens import EOS, Tokens


class TranslationDataset(Dataset):
    """Pairs of sentences as tokens; each source ends with ``<eos>``."""

    def __init__(self, pairs: Pairs, source: Tokens, target: Tokens) -> None:
        self.pairs = pairs
        self.source = [[*source.encode(sentence), EOS] for sentence in pairs.source]
        self.target = [target.encode(sentence) for sentence in pairs.target]
        #: Tokens of the longer side of each pair, with ``<eos>``: what bounds a batch.
        self.sizes = [
            float(max(len(a), len(b) + 1)) for a, b in zip(self.source, self.target, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # Results are sorted by id: numbers of one width are also in order as text.
        return {
            "id": f"{index + 1:08d}",
            "number": index,
            "source": torch.tensor(self.source[index]),
            "targets": [self.target[index]],
        }


def short_enough(
    pairs: Pairs,
    source: Tokens,
    target: Tokens,
    longest: int,
    ratio: float,
    report: Report,
) -> Pairs:
    """Leaves out training pairs that are too long or whose lengths differ too much.

    longest: Maximum number of tokens of a side (``max_length``).
    ratio: Maximum factor between the ratio of a pair's lengths and that of the whole corpus
        (``max_ratio``); ``inf`` for any.
    report: Takes the pairs that are left out.
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
    return _chosen(pairs, kept)


def some_of(pairs: Pairs, count: int | None) -> Pairs:
    """At most ``count`` pairs, taken evenly from all: corpora are often sorted by length.

    Example
    -------
    >>> some_of(Pairs("train", ["a", "b", "c", "d"], ["A", "B", "C", "D"]), 2).target
    ['A', 'C']
    """
    if count is not None and count < 1:
        raise ValueError(f"max_pairs must be at least 1, not {count}")
    if count is None or count >= len(pairs):
        return pairs
    return _chosen(pairs, [i * len(pairs) // count for i in range(count)])


def _chosen(pairs: Pairs, indices: list[int]) -> Pairs:
    return Pairs(pairs.name, [pairs.source[i] for i in indices], [pairs.target[i] for i in indices])
