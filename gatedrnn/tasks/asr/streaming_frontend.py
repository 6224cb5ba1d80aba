"""What stands before the stack, fed piece by piece: features, and fewer frames."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from gatedrnn.modules.subsampling import ConvSubsampling, FrameStacking
from gatedrnn.tasks.asr.frontend import Frontend


class Part(Protocol):
    """Takes pieces of a stream, and gives what they make complete."""

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """Takes a piece.

        Arguments
        ---------
        piece : torch.Tensor
            The next (samples,) or (frames, width).

        Returns
        -------
        torch.Tensor
            (frames, width); maybe none.
        """

    def finish(self) -> torch.Tensor:
        """Gives what is left at the end of the stream.

        Returns
        -------
        torch.Tensor
            (frames, width); maybe none.
        """


class StreamingFeatures:
    """Features of a stream of samples: those of the whole signal.

    Arguments
    ---------
    frontend : Frontend
        What computes and normalises them; by the statistics of the training data, and without a
        floor that depends on the loudest frame.

    Raises
    ------
    ValueError
        If its features need the whole signal.

    Example
    -------
    >>> from gatedrnn.modules.features import LogMel
    >>> frontend = Frontend(LogMel(dynamic_range=0), (torch.zeros(80), torch.ones(80)))
    >>> signal, stream = torch.rand(1000), StreamingFeatures(frontend)
    >>> pieces = [stream.accept(piece) for piece in signal.split(33)] + [stream.finish()]
    >>> torch.allclose(torch.cat(pieces), frontend([signal])[0][0], atol=1e-5)
    True
    """

    def __init__(self, frontend: Frontend) -> None:
        if frontend.statistics is None:
            raise ValueError(
                "each utterance is normalised by its own mean and variance, which are known at its "
                "end: it cannot stream; train with norm_type: global"
            )
        if frontend.features.options["dynamic_range"]:
            raise ValueError(
                "the features have a floor below the utterance's loudest frame, which is known at "
                "its end: it cannot stream; train with dynamic_range: 0"
            )
        self.frontend = frontend
        self._stft = frontend.features.compute_STFT
        self._hop, self._window = self._stft.hop_length, self._stft.n_fft
        before = self._window // 2
        # As the whole signal is padded.
        self._rest = torch.zeros(before)
        self._after = before
        self._any = False

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`Part`."""
        self._any = self._any or len(piece) > 0
        samples = torch.cat([self._rest, piece])
        frames = max(0, (len(samples) - self._window) // self._hop + 1)
        self._rest = samples[frames * self._hop :]
        if not frames:
            return samples.new_zeros(0, self.frontend.features.options["n_mels"])
        return self._compute(samples[: (frames - 1) * self._hop + self._window])

    def finish(self) -> torch.Tensor:
        """See :class:`Part`."""
        if not self._any:
            return torch.zeros(0, self.frontend.features.options["n_mels"])
        return self.accept(torch.zeros(self._after))

    def _compute(self, samples: torch.Tensor) -> torch.Tensor:
        stft = self._stft
        spectrum = torch.stft(
            samples.unsqueeze(0),
            stft.n_fft,
            stft.hop_length,
            stft.win_length,
            stft.window,
            center=False,
            normalized=stft.normalized_stft,
            onesided=stft.onesided,
            return_complex=True,
        )
        energies = self.frontend.features.energies(torch.view_as_real(spectrum).transpose(1, 2))
        return self.frontend.normalize(energies, torch.ones(1))[0]


class StreamingStacking:
    """Neighbouring frames side by side, as ``FrameStacking`` puts them.

    Arguments
    ---------
    module : FrameStacking
        The module.
    """

    def __init__(self, module: FrameStacking) -> None:
        self.factor, self.width = module.factor, module.output_size // module.factor
        self._rest = torch.zeros(0, self.width)

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`Part`."""
        frames = torch.cat([self._rest, piece])
        whole = len(frames) // self.factor * self.factor
        self._rest = frames[whole:]
        return frames[:whole].reshape(-1, self.factor * self.width)

    def finish(self) -> torch.Tensor:
        """See :class:`Part`."""
        return self.accept(torch.zeros(-len(self._rest) % self.factor, self.width))


class StreamingConvolution:
    """One of the convolutions of :class:`~gatedrnn.modules.subsampling.ConvSubsampling`.

    Arguments
    ---------
    convolution : nn.Conv2d
        Of kernel 3, stride 2 and padding 1, over time and frequency.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        self.convolution = convolution
        self._rest: torch.Tensor | None = None
        self._taken = 0

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """Takes (channels, frames, frequencies) to fewer frames and frequencies."""
        self._taken += piece.shape[1]
        if self._rest is None:
            # The padding before the first frame.
            self._rest = piece.new_zeros(piece.shape[0], 1, piece.shape[2])
        frames = torch.cat([self._rest, piece], dim=1)
        count = max(0, (frames.shape[1] - 1) // 2)
        self._rest = frames[:, 2 * count :]
        if not count:
            bands = (piece.shape[2] + 1) // 2
            return piece.new_zeros(self.convolution.out_channels, 0, bands)
        c = self.convolution
        used = frames[:, : 2 * count + 1].unsqueeze(0)
        return torch.relu(nn.functional.conv2d(used, c.weight, c.bias, c.stride, (0, 1)))[0]

    def finish(self, bands: int) -> torch.Tensor:
        """Gives the last frame, if it lacked a neighbour; ``bands`` are those of the input."""
        odd = self._taken % 2
        return self.accept(torch.zeros(self.convolution.in_channels, odd, bands))


class StreamingConvolutions:
    """Both convolutions and the projection of ``ConvSubsampling``.

    Arguments
    ---------
    module : ConvSubsampling
        The module.
    """

    def __init__(self, module: ConvSubsampling) -> None:
        self.module = module
        self._first = StreamingConvolution(module.first)
        self._second = StreamingConvolution(module.second)
        self._bands = 0

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`Part`."""
        self._bands = piece.shape[1]
        return self._project(self._second.accept(self._first.accept(piece.unsqueeze(0))))

    def finish(self) -> torch.Tensor:
        """See :class:`Part`."""
        first = self._first.finish(self._bands)
        hidden = [self._second.accept(first), self._second.finish(first.shape[2])]
        return self._project(torch.cat(hidden, dim=1))

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.module.projection(hidden.transpose(0, 1).flatten(1))


def streaming_subsampling(module: nn.Module) -> Part:
    """The streaming form of a subsampling.

    Arguments
    ---------
    module : FrameStacking or ConvSubsampling
        The module.

    Returns
    -------
    Part

    Example
    -------
    >>> module = ConvSubsampling(8, channels=2, output_size=5)
    >>> frames, stream = torch.rand(11, 8), streaming_subsampling(module)
    >>> with torch.no_grad():
    ...     pieces = [stream.accept(f) for f in frames.split(2)] + [stream.finish()]
    ...     whole, _ = module(frames.unsqueeze(0), torch.tensor([11]))
    >>> torch.allclose(torch.cat(pieces), whole[0], atol=1e-6)
    True
    """
    if isinstance(module, FrameStacking):
        return StreamingStacking(module)
    return StreamingConvolutions(module)
