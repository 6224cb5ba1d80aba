"""Encoders, and their output that a decoder attends to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.modules.features import valid_frames
from gatedrnn.nnet import frame_counts
from gatedrnn.training.batching import pad


class EncoderOutput(NamedTuple):
    """Encoded vectors of a batch: of tokens, image regions or pooled audio frames.

    Arguments
    ---------
    features : torch.Tensor
        (batch, regions, width).
    lengths : torch.Tensor or None
        Relative numbers of valid regions, (batch,); ``None``: all regions are valid.
    shape : tuple of int or None
        (rows, columns) of an image's grid in row-major order, (frames,) of a sequence, ``None`` for
        regions in no order.

    Example
    -------
    >>> encoded = EncoderOutput(torch.rand(2, 6, 4), torch.tensor([1.0, 0.5]), (6,))
    >>> encoded.repeat(3).features.shape, encoded.valid().sum(1)
    (torch.Size([6, 6, 4]), tensor([6, 3]))
    """

    features: torch.Tensor
    lengths: torch.Tensor | None = None
    shape: tuple[int, ...] | None = None

    def select(self, rows: torch.Tensor) -> EncoderOutput:
        """Takes items of the batch by their indices, int64 (new batch,), which may be repeated."""
        lengths = None if self.lengths is None else self.lengths[rows]
        return EncoderOutput(self.features[rows], lengths, self.shape)

    def repeat(self, count: int) -> EncoderOutput:
        """Repeats each item ``count`` times in a row, for beams or several targets of an item."""
        if count == 1:
            return self
        rows = torch.arange(len(self.features), device=self.features.device)
        return self.select(rows.repeat_interleave(count))

    def valid(self) -> torch.Tensor | None:
        """Mask of the valid regions, bool (batch, regions); ``None`` if all are valid."""
        if self.lengths is None:
            return None
        batch, regions = self.features.shape[:2]
        counts = frame_counts(self.lengths, regions, batch).to(self.features.device)
        return valid_frames(counts, regions)

    def mean(self) -> torch.Tensor:
        """Mean of the valid regions, (batch, width)."""
        valid = self.valid()
        if valid is None:
            return self.features.mean(1)
        kept = self.features.masked_fill(~valid.unsqueeze(2), 0.0)
        return kept.sum(1) / valid.sum(1, keepdim=True)


class Encoder(nn.Module):
    """Base class of encoders; subclasses define :meth:`forward`.

    Arguments
    ---------
    width : int
        Width of the encoder output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        #: Width of the encoder output.
        self.output_size = width

    @abstractmethod
    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes a batch; the output is zero in the padding.

        Arguments
        ---------
        source : torch.Tensor
            The padded batch, (batch, ...).
        lengths : torch.Tensor or None
            Relative lengths, (batch,); ``None``: no padding.
        """

    def auxiliary_loss(self) -> torch.Tensor | None:
        """Loss term of the encoder's own recurrence in the last forward pass of training."""
        return None


def collate_sources(sources: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Collates sources: images (uint8) are stacked, all else is padded with zeros (``<eos>``).

    Returns: (batch, ...), and relative lengths (batch,), ``None`` of images.
    """
    if sources[0].dtype == torch.uint8:
        return torch.stack(list(sources)), None
    if len({source.shape[1:] for source in sources}) > 1:
        widths = sorted({source.shape[1] for source in sources})
        raise ValueError(f"features are of several widths: {', '.join(map(str, widths))}")
    return pad(sources)
