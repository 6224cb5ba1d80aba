"""Encoders of recordings: log-mel features, then convolutions or a recurrent stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.features import LogMel, feature_lengths
from gatedrnn.modules.initialisation import start_from
from gatedrnn.modules.subsampling import FrameStacking, valid_frames
from gatedrnn.nnet import frame_counts
from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.tasks.captioning.encoders import MemoryEncoder, Regions


class SoundMemoryEncoder(MemoryEncoder):
    """What encoders of recordings have in common: features, normalised within each recording.

    Arguments
    ---------
    features : Mapping or None
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.
    factor : int
        Frames that become one region.
    width : int
        Width of the memory.
    """

    #: The last layer; subclasses make it.
    regions: Regions

    def __init__(self, features: Mapping[str, Any] | None, factor: int, width: int) -> None:
        super().__init__(width)
        self.features = LogMel(**(features or {}))
        #: Frames that become one region.
        self.factor = factor

    @property
    def region_seconds(self) -> float:
        """Time that a region covers."""
        return self.factor * self.features.hop / self.features.options["sample_rate"]

    def _read(
        self, media: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of mean 0 and variance 1, zero past the end, and the numbers of frames."""
        if media.dim() != 2:
            raise ValueError(f"recordings must be (batch, samples), not {tuple(media.shape)}")
        batch, samples = media.shape
        if lengths is None:
            lengths = torch.ones(batch, device=media.device)
        counts = frame_counts(lengths, samples, batch).to(media.device)
        media = media.masked_fill(~valid_frames(counts, samples), 0.0)
        mels = self.features(media)
        frames = mels.shape[1]
        relative = feature_lengths(counts / samples, samples, frames, self.features.hop)
        counts = torch.round(relative * frames).long()
        valid = valid_frames(counts, frames).unsqueeze(2)
        inside = counts.view(-1, 1, 1) * mels.shape[2]
        mean = (mels * valid).sum((1, 2), keepdim=True) / inside
        mels = (mels - mean) * valid
        # Silence has no variance.
        scale = (mels.square().sum((1, 2), keepdim=True) / inside).sqrt().clamp(min=1.0)
        return mels / scale, counts

    def _as_memory(self, features: torch.Tensor, counts: torch.Tensor) -> Memory:
        frames = features.shape[1]
        valid = valid_frames(counts, frames).unsqueeze(2)
        regions = self.regions(features).masked_fill(~valid, 0.0)
        return Memory(regions, counts / frames, (frames,))


class SoundEncoder(SoundMemoryEncoder):
    """Convolutions over time and frequency, each followed by pooling that halves both.

    What is normalised is normalised within a frame, so that a recording's memory depends neither
    on its batch nor on its padding.

    Arguments
    ---------
    channels : sequence of int
        Channels of each stage.
    width : int
        Width of the memory.
    dropout : float
        Dropout on the memory.
    features : Mapping or None
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.

    Raises
    ------
    ValueError
        If there is no stage.

    Example
    -------
    >>> encoder = SoundEncoder([4, 8], width=16, features={"n_mels": 40})
    >>> memory = encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> memory.features.shape, memory.valid().sum(1), encoder.region_seconds
    (torch.Size([2, 26, 16]), tensor([26, 13]), 0.04)
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        width: int = 256,
        dropout: float = 0.0,
        features: Mapping[str, Any] | None = None,
    ) -> None:
        if not channels:
            raise ValueError("channels: there must be one number at least")
        super().__init__(features, 2 ** len(channels), width)
        inputs = [1, *channels[:-1]]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in zip(inputs, channels, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in channels)
        bands = -(-self.features.options["n_mels"] // self.factor)
        self.regions = Regions(channels[-1] * bands, width, dropout)

    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes recordings.

        Arguments
        ---------
        media : torch.Tensor
            (batch, samples).
        lengths : torch.Tensor or None
            Relative lengths.

        Returns
        -------
        Memory
        """
        mels, counts = self._read(media, lengths)
        hidden = mels.to(self.regions.project.weight.dtype).unsqueeze(1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = norm(convolution(hidden).movedim(1, 3)).movedim(3, 1)
            valid = valid_frames(counts, hidden.shape[2])[:, None, :, None]
            # Above zero, so that a zero in the padding never is the greatest.
            hidden = torch.relu(hidden) * valid
            hidden = nn.functional.max_pool2d(hidden, 2, ceil_mode=True)
            counts = torch.div(counts + 1, 2, rounding_mode="floor")
        return self._as_memory(hidden.transpose(1, 2).flatten(2), counts)


class RecurrentSoundEncoder(SoundMemoryEncoder):
    """A recurrent stack of ours over stacked frames; of its outputs, neighbours become one region.

    Arguments
    ---------
    network : str
        A key that ``gatedrnn list`` prints.
    num_layers : int
        Depth of the stack.
    hidden_size : int
        K, memory cells of a layer.
    proj_size : int or None
        N, width of a layer's output; left out by recurrences without projection.
    network_options : Mapping or None
        Further options of the recurrence.
    bidirectional : bool
        Whether a second stack reads from the end.
    stacked : int
        Frames that become one before the stack.
    pooled : int
        Outputs of the stack that become one region.
    width : int
        Width of the memory.
    dropout : float
        Between layers, and on the memory.
    features : Mapping or None
        Arguments of :class:`~gatedrnn.modules.features.LogMel`.
    start : Mapping or None
        Starting values of weights of the stack: see ``start_from``.

    Raises
    ------
    ValueError
        If there is no such recurrence, or a value is impossible.

    Example
    -------
    >>> encoder = RecurrentSoundEncoder("ran", 2, hidden_size=8, width=16)
    >>> memory = encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> memory.features.shape, memory.valid().sum(1)
    (torch.Size([2, 13, 16]), tensor([13,  7]))
    """

    def __init__(
        self,
        network: str = "residual",
        num_layers: int = 2,
        hidden_size: int = 256,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        bidirectional: bool = True,
        stacked: int = 4,
        pooled: int = 2,
        width: int = 256,
        dropout: float = 0.0,
        features: Mapping[str, Any] | None = None,
        start: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(features, stacked * pooled, width)
        self.stacking = FrameStacking(self.features.options["n_mels"], stacked)
        self.stack = nnet.build(
            network,
            proj_size=proj_size,
            input_size=self.stacking.output_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            **(network_options or {}),
        )
        if start:
            start_from(self.stack, start)
        self.pooling = FrameStacking(self.stack.output_size, pooled)
        self.regions = Regions(self.pooling.output_size, width, dropout)

    def forward(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Encodes recordings.

        Arguments
        ---------
        media : torch.Tensor
            (batch, samples).
        lengths : torch.Tensor or None
            Relative lengths.

        Returns
        -------
        Memory
        """
        mels, counts = self._read(media, lengths)
        stacked, counts = self.stacking(mels.to(self.regions.project.weight.dtype), counts)
        output, _ = self.stack(stacked, lengths=counts / stacked.shape[1])
        pooled, counts = self.pooling(output, counts)
        return self._as_memory(pooled, counts)

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The stack's own loss term, of the last forward in training."""
        return self.stack.auxiliary_loss() if self.training else None
