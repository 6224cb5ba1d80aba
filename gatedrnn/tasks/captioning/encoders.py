"""Encoders: what makes a memory of images, features and recordings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from gatedrnn.modules.subsampling import valid_frames
from gatedrnn.nnet import frame_counts
from gatedrnn.seq2seq.encoder_output import Memory


class Regions(nn.Module):
    """The last layer of an encoder: regions of one width and scale.

    Without the normalisation of each region, a small convolutional network sees nothing at first:
    what is the same in all images outweighs what differs, and the captions' grammar is learned
    without looking.

    Arguments
    ---------
    input_size : int
        Width of what there is of a region.
    width : int
        Width of the memory.
    dropout : float
        Part of the memory's units that is dropped in training.

    Example
    -------
    >>> Regions(8, 4)(torch.rand(2, 6, 8)).shape
    torch.Size([2, 6, 4])
    """

    def __init__(self, input_size: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(input_size, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Makes regions.

        Arguments
        ---------
        x : torch.Tensor
            (..., input_size).

        Returns
        -------
        torch.Tensor
            (..., width), at least 0.
        """
        return self.dropout(torch.relu(self.norm(self.project(x))))


class MemoryEncoder(nn.Module):
    """Makes a memory.

    Arguments
    ---------
    width : int
        Width of the memory.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        #: Width of the memory.
        self.output_size = width

    @abstractmethod
    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes a batch.

        Arguments
        ---------
        media : torch.Tensor
            The batch, padded.
        lengths : torch.Tensor or None
            Relative lengths, (batch,); ``None``: there is no padding.

        Returns
        -------
        Memory
            Zero where an item has ended.
        """

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The loss term of an encoder's own recurrence, of the last forward in training."""
        return None


class FeatureEncoder(MemoryEncoder):
    """Features that were computed elsewhere, brought to the width of the memory.

    Arguments
    ---------
    input_size : int
        Width of the features.
    width : int
        Width of the memory.
    dropout : float
        Dropout on the memory.

    Example
    -------
    >>> memory = FeatureEncoder(8, 4)(torch.rand(2, 6, 8), torch.tensor([1.0, 0.5]))
    >>> memory.features.shape, int(memory.features[1, 3:].count_nonzero())
    (torch.Size([2, 6, 4]), 0)
    """

    def __init__(self, input_size: int, width: int = 512, dropout: float = 0.0) -> None:
        super().__init__(width)
        self.regions = Regions(input_size, width, dropout)

    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes features.

        Arguments
        ---------
        media : torch.Tensor
            (batch, regions, input_size), or (batch, rows, columns, input_size) of grids.
        lengths : torch.Tensor or None
            Relative numbers of regions.

        Returns
        -------
        Memory
        """
        shape = tuple(media.shape[1:3]) if media.dim() == 4 else None
        media = media.flatten(1, -2)
        valid = None
        if lengths is not None:
            batch, regions = media.shape[:2]
            counts = frame_counts(lengths, regions, batch).to(media.device)
            valid = valid_frames(counts, regions).unsqueeze(2)
            # What stands in the padding may be anything, also infinite.
            media = media.masked_fill(~valid, 0.0)
        features = self.regions(media)
        if valid is not None:
            features = features.masked_fill(~valid, 0.0)
        return Memory(features, lengths, shape)


class ImageEncoder(MemoryEncoder):
    """A small convolutional network that is trained from scratch and keeps the grid.

    Each stage halves rows and columns. Normalisation is by the batch in training, and after it by
    the averages that were kept: an image's own averages would tell every region what is in the
    others, so that attention need not look where a thing is, and it learns several times slower.
    Two more channels say where a region is.

    Arguments
    ---------
    channels : sequence of int
        Channels of each stage.
    width : int
        Width of the memory.
    dropout : float
        Dropout on the memory.

    Raises
    ------
    ValueError
        If there is no stage.

    Example
    -------
    >>> memory = ImageEncoder([8, 16, 16], width=32)(torch.rand(2, 3, 64, 48))
    >>> memory.features.shape, memory.shape
    (torch.Size([2, 48, 32]), (8, 6))
    """

    def __init__(
        self, channels: Sequence[int] = (32, 64, 128), width: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__(width)
        if not channels:
            raise ValueError("channels: there must be one number at least")
        stages, inside = [], 3
        for outside in channels:
            stages += _convolution(inside, outside, stride=2)
            stages += _convolution(outside, outside, stride=1)
            inside = outside
        self.stages = nn.Sequential(*stages)
        self.regions = Regions(inside + 2, width, dropout)

    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes images.

        Arguments
        ---------
        media : torch.Tensor
            (batch, 3, height, width) of one size, floats from 0 to 1, or bytes.
        lengths : torch.Tensor or None
            Must be ``None``.

        Returns
        -------
        Memory
        """
        return self._as_memory(self.stages(2.0 * pixels(media, lengths) - 1.0))

    def _as_memory(self, grid: torch.Tensor) -> Memory:
        rows, columns = grid.shape[2:]
        places = [
            torch.linspace(-1.0, 1.0, n, dtype=grid.dtype, device=grid.device)
            for n in (rows, columns)
        ]
        where = torch.stack(torch.meshgrid(*places, indexing="ij")).expand(len(grid), -1, -1, -1)
        regions = torch.cat([grid, where], 1).flatten(2).transpose(1, 2)
        return Memory(self.regions(regions), None, (rows, columns))


def pixels(media: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Images as floats from 0 to 1.

    Arguments
    ---------
    media : torch.Tensor
        (batch, 3, height, width), such floats, or bytes.
    lengths : torch.Tensor or None
        Must be ``None``.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    ValueError
        If there are lengths, or the shape is another one.
    """
    if lengths is not None:
        raise ValueError("images have no lengths: bring those of a batch to one size")
    if media.dim() != 4 or media.shape[1] != 3:
        raise ValueError(f"images must be (batch, 3, height, width), not {tuple(media.shape)}")
    return media if media.is_floating_point() else media.to(torch.get_default_dtype()) / 255


def _convolution(inside: int, outside: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]
