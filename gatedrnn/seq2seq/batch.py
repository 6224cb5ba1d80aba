"""Batches of sources and their target sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gatedrnn.tokens import EOS, IGNORE
from gatedrnn.training.batching import Batch, pad


def collate(items: Sequence[Mapping[str, Any]]) -> Batch:
    """Collates sources, each with one target sequence or several.

    Items have ``id``, ``number`` (index in the dataset), ``source`` (a tensor) and ``targets`` (a
    list of token lists, without ``<eos>``). The batch has ``id``, ``numbers``, ``source`` and
    ``lengths`` (see :func:`collate_sources`), ``targets`` with ``<eos>``, then -100, (targets,
    time), and ``rows``, the index of each target's item in the batch, (targets,).

    Example
    -------
    >>> batch = collate([
    ...     {"id": "a", "number": 0, "source": torch.tensor([4, 5, 0]), "targets": [[5], [6, 7]]},
    ...     {"id": "b", "number": 1, "source": torch.tensor([6, 0]), "targets": [[8]]}])
    >>> batch.source.tolist(), batch.rows.tolist(), batch.targets.tolist()
    ([[4, 5, 0], [6, 0, 0]], [0, 0, 1], [[5, 0, -100], [6, 7, 0], [8, 0, -100]])
    """
    source, lengths = collate_sources([item["source"] for item in items])
    targets = [torch.tensor([*target, EOS]) for item in items for target in item["targets"]]
    return Batch(
        [item["id"] for item in items],
        numbers=[item["number"] for item in items],
        source=source,
        lengths=lengths,
        targets=pad(targets, IGNORE)[0],
        rows=torch.tensor([i for i, item in enumerate(items) for _ in item["targets"]]),
    )


def collate_sources(sources: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Collates sources: images (uint8) are stacked, all else is padded with zeros (``<eos>``).

    Returns: (batch, ...), and relative lengths (batch,), ``None`` of images.

    Raises
    ------
    ValueError
        If features are of several widths.
    """
    if sources[0].dtype == torch.uint8:
        return torch.stack(list(sources)), None
    if len({source.shape[1:] for source in sources}) > 1:
        widths = sorted({source.shape[1] for source in sources})
        raise ValueError(f"features are of several widths: {', '.join(map(str, widths))}")
    return pad(sources)
