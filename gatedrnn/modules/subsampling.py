"""Subsampling of feature frames before a recurrent stack."""

from __future__ import annotations

import torch
from torch import nn


class FrameStacking(nn.Module):
    """Concatenates consecutive frames.

    Arguments
    ---------
    input_size : int
        Number of features.
    factor : int
        Number of frames that are concatenated to one.

    Example
    -------
    >>> features, counts = FrameStacking(80, 3)(torch.rand(2, 10, 80), torch.tensor([10, 4]))
    >>> features.shape, counts
    (torch.Size([2, 4, 240]), tensor([4, 2]))
    """

    def __init__(self, input_size: int, factor: int = 3) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"factor must be at least 1, not {factor}")
        self.factor = factor
        self.output_size = input_size * factor

    def forward(
        self, features: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stacks frames, padding the last ones with zeros.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, features), zero past an utterance's end.
        counts : torch.Tensor
            Frames of each utterance, (batch,).

        Returns
        -------
        features : torch.Tensor
            (batch, ceil(time / factor), features * factor).
        counts : torch.Tensor
            (batch,).
        """
        short = -features.shape[1] % self.factor
        features = nn.functional.pad(features, (0, 0, 0, short))
        return features.unflatten(1, (-1, self.factor)).flatten(2), _part(counts, self.factor)


class ConvSubsampling(nn.Module):
    """Two convolutions of stride 2 over time and frequency: subsampling by 4.

    Arguments
    ---------
    input_size : int
        Number of features.
    channels : int
        Channels of the convolutions.
    output_size : int
        Width of the output.

    Example
    -------
    >>> module = ConvSubsampling(80, channels=8, output_size=64)
    >>> features, counts = module(torch.rand(2, 10, 80), torch.tensor([10, 4]))
    >>> features.shape, counts
    (torch.Size([2, 3, 64]), tensor([3, 1]))
    """

    factor = 4

    def __init__(self, input_size: int, channels: int = 32, output_size: int = 256) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.projection = nn.Linear(channels * -(-input_size // 4), output_size)
        self.output_size = output_size

    def forward(
        self, features: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Takes (batch, time, features) and counts to (batch, time / 4, output_size) and counts.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, features), zero past an utterance's end.
        counts : torch.Tensor
            Frames of each utterance, (batch,).

        Returns
        -------
        features : torch.Tensor
            (batch, ceil(time / 4), output_size).
        counts : torch.Tensor
            (batch,).
        """
        hidden = features.unsqueeze(1)
        for convolution in (self.first, self.second):
            hidden = torch.relu(convolution(hidden))
            counts = _part(counts, 2)
            # The bias would make padding visible to the next layer.
            hidden = hidden * valid_frames(counts, hidden.shape[2])[:, None, :, None]
        return self.projection(hidden.transpose(1, 2).flatten(2)), counts


def valid_frames(counts: torch.Tensor, frames: int) -> torch.Tensor:
    """Mask (batch, frames) of the frames that are before the counts (batch,).

    Example
    -------
    >>> valid_frames(torch.tensor([3, 1]), 3).int()
    tensor([[1, 1, 1],
            [1, 0, 0]], dtype=torch.int32)
    """
    return torch.arange(frames, device=counts.device).unsqueeze(0) < counts.unsqueeze(1)


def _part(counts: torch.Tensor, factor: int) -> torch.Tensor:
    return torch.div(counts + factor - 1, factor, rounding_mode="floor")
