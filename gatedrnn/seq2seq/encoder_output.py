"""What a caption's decoder looks at: regions of a picture, or stretches of a recording."""

from __future__ import annotations

from typing import NamedTuple

import torch

from gatedrnn.modules.subsampling import valid_frames
from gatedrnn.nnet import frame_counts


class Memory(NamedTuple):
    """Regions of a batch of pictures, or pooled frames of recordings.

    Arguments
    ---------
    features : torch.Tensor
        (batch, regions, width).
    lengths : torch.Tensor or None
        Relative numbers of regions, (batch,); ``None``: all are valid.
    shape : tuple of int or None
        (rows, columns) of a grid whose rows stand one after another, (frames,) of recordings,
        ``None`` for regions in no order.

    Example
    -------
    >>> memory = Memory(torch.rand(2, 6, 4), torch.tensor([1.0, 0.5]), (6,))
    >>> memory.repeat(3).features.shape, memory.valid().sum(1)
    (torch.Size([6, 6, 4]), tensor([6, 3]))
    """

    features: torch.Tensor
    lengths: torch.Tensor | None = None
    shape: tuple[int, ...] | None = None

    def select(self, rows: torch.Tensor) -> Memory:
        """Some items, in a given order.

        Arguments
        ---------
        rows : torch.Tensor
            Their numbers in the batch, int64; one may come several times.

        Returns
        -------
        Memory
        """
        lengths = None if self.lengths is None else self.lengths[rows]
        return Memory(self.features[rows], lengths, self.shape)

    def repeat(self, count: int) -> Memory:
        """Each item several times, one after another: for beams, and for several captions.

        Arguments
        ---------
        count : int
            How many times.

        Returns
        -------
        Memory
        """
        if count == 1:
            return self
        rows = torch.arange(len(self.features), device=self.features.device)
        return self.select(rows.repeat_interleave(count))

    def valid(self) -> torch.Tensor | None:
        """Which regions belong to an item.

        Returns
        -------
        torch.Tensor or None
            Bool, (batch, regions); ``None`` if all do.
        """
        if self.lengths is None:
            return None
        batch, regions = self.features.shape[:2]
        counts = frame_counts(self.lengths, regions, batch).to(self.features.device)
        return valid_frames(counts, regions)

    def mean(self) -> torch.Tensor:
        """Mean of an item's regions.

        Returns
        -------
        torch.Tensor
            (batch, width).
        """
        valid = self.valid()
        if valid is None:
            return self.features.mean(1)
        kept = self.features.masked_fill(~valid.unsqueeze(2), 0.0)
        return kept.sum(1) / valid.sum(1, keepdim=True)
