"""Log-mel features, and subsampling of their frames."""

from __future__ import annotations

import math
from typing import Any

import torch
from speechbrain.processing.features import STFT, Filterbank, spectral_magnitude
from torch import nn


class LogMel(nn.Module):
    """Log-mel energies, number for number those of SpeechBrain's ``Fbank``.

    Frame t is centred at sample t * hop; before the signal and after it are zeros.

    Arguments
    ---------
    sample_rate : int
        Samples per second.
    n_mels : int
        Number of mel bands.
    hop_seconds : float
        Seconds between frames.
    window_seconds : float
        Seconds of a frame.
    dynamic_range : float
        Floor of the energies, in dB below the maximum of the utterance (80 in SpeechBrain); 0 for
        no floor, which streaming needs, as the maximum is not known before the end.

    Example
    -------
    >>> from speechbrain.lobes.features import Fbank
    >>> signal = torch.rand(2, 1234)
    >>> torch.equal(LogMel(16000, 80)(signal), Fbank(n_mels=80)(signal))
    True
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 80,
        hop_seconds: float = 0.01,
        window_seconds: float = 0.025,
        dynamic_range: float = 80.0,
    ) -> None:
        super().__init__()
        self.options = {
            "sample_rate": sample_rate,
            "n_mels": n_mels,
            "hop_seconds": hop_seconds,
            "window_seconds": window_seconds,
            "dynamic_range": dynamic_range,
        }
        for name, value in self.options.items():
            if not (value > 0 or (name == "dynamic_range" and value == 0)):
                raise ValueError(f"{name} of the features must be above 0, not {value}")
        window = round(sample_rate * window_seconds)
        #: Samples between frames.
        self.hop = round(sample_rate * hop_seconds)
        #: Samples on either side of a frame's centre.
        self.half = window // 2
        if self.hop < 1 or window < 2:
            raise ValueError(
                f"hop_seconds {hop_seconds} and window_seconds {window_seconds} are too short for "
                f"{sample_rate} samples a second"
            )
        self.compute_STFT = STFT(
            sample_rate=sample_rate,
            n_fft=window,
            win_length=1000 * window_seconds,
            hop_length=1000 * hop_seconds,
        )
        self.compute_fbanks = Filterbank(
            n_mels=n_mels,
            f_max=sample_rate // 2,
            n_fft=window,
            sample_rate=sample_rate,
            top_db=dynamic_range or math.inf,
        )

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Features in dB, float32: (batch, samples) -> (batch, samples // hop + 1, n_mels)."""
        with torch.autocast(signal.device.type, enabled=False):
            return self.energies(self.compute_STFT(signal.float()))

    def energies(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Log-mel energies of a spectrum.

        spectrum: real and imaginary parts, (batch, frames, frequencies, 2)
        Returns: dB, (batch, frames, n_mels)
        """
        return self.compute_fbanks(spectral_magnitude(spectrum))

    def describe(self) -> dict[str, Any]:
        """The arguments that make the same features again."""
        return dict(self.options)


def feature_lengths(lengths: torch.Tensor, samples: int, frames: int, hop: int) -> torch.Tensor:
    """Relative lengths in frames, (batch,), from those in samples.

    There is one frame more than hops between frames: relative lengths in samples, used for frames,
    would be off by a frame depending on the batch.

    lengths: relative lengths in samples, (batch,)
    samples, frames: number of the longest utterance
    hop: samples between frames

    Example
    -------
    >>> feature_lengths(torch.tensor([1.0, 0.5]), 1600, 11, 160) * 11
    tensor([11.,  6.])
    """
    counts = torch.div(torch.round(lengths * samples), hop, rounding_mode="floor") + 1
    return counts.clamp(max=frames) / frames


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

        features: (batch, time, features), zero past an utterance's end
        counts: frames of each utterance, (batch,)
        Returns: (batch, ceil(time / factor), features * factor), and the new counts, (batch,)
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
        """Subsamples features.

        features: (batch, time, features), zero past an utterance's end
        counts: frames of each utterance, (batch,)
        Returns: (batch, ceil(time / 4), output_size), and the new counts, (batch,)
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
