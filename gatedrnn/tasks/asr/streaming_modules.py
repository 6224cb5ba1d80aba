"""Streaming versions of features, subsampling and recurrent stack; the stack with 8-bit weights."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from gatedrnn.engine.cpu.step import obstacle
from gatedrnn.modules.features import ConvSubsampling, FrameStacking
from gatedrnn.nnet import RecurrentStack, StreamingStack, frame_counts
from gatedrnn.tasks.asr.frontend import Frontend

#: From this number of frames on, layer by layer is faster than frame by frame: each layer's weights
#: are packed and read once, at the cost of about six single frames.
_MANY = 8


class StreamingModule(Protocol):
    """Takes a stream in pieces; returns the frames that each piece completes."""

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """Takes the next (samples,) or (frames, width); returns (frames, width), possibly none."""

    def finish(self) -> torch.Tensor:
        """The remaining (frames, width) at the end of the stream, possibly none."""


class StreamingFeatures:
    """Features of a stream of samples: those of the whole signal.

    Raises a ValueError if the features of the frontend need the whole signal.

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
        # The padding of a whole signal.
        self._rest = torch.zeros(before)
        self._after = before
        self._any = False

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`StreamingModule`."""
        self._any = self._any or len(piece) > 0
        samples = torch.cat([self._rest, piece])
        frames = max(0, (len(samples) - self._window) // self._hop + 1)
        self._rest = samples[frames * self._hop :]
        if not frames:
            return samples.new_zeros(0, self.frontend.features.options["n_mels"])
        return self._compute(samples[: (frames - 1) * self._hop + self._window])

    def finish(self) -> torch.Tensor:
        """See :class:`StreamingModule`."""
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
    """Streaming version of ``FrameStacking``."""

    def __init__(self, module: FrameStacking) -> None:
        self.factor, self.width = module.factor, module.output_size // module.factor
        self._rest = torch.zeros(0, self.width)

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`StreamingModule`."""
        frames = torch.cat([self._rest, piece])
        whole = len(frames) // self.factor * self.factor
        self._rest = frames[whole:]
        return frames[:whole].reshape(-1, self.factor * self.width)

    def finish(self) -> torch.Tensor:
        """See :class:`StreamingModule`."""
        return self.accept(torch.zeros(-len(self._rest) % self.factor, self.width))


class StreamingConvolution:
    """Streaming version of a convolution with kernel 3, stride 2, padding 1, and of its ReLU."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        self.convolution = convolution
        self._rest: torch.Tensor | None = None
        self._count = 0

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """Takes (channels, frames, bands); returns about half as many frames and bands."""
        self._count += piece.shape[1]
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
        """The last frame, if their number is odd; ``bands`` are those of the input."""
        odd = self._count % 2
        return self.accept(torch.zeros(self.convolution.in_channels, odd, bands))


class StreamingConvolutions:
    """Streaming version of ``ConvSubsampling``."""

    def __init__(self, module: ConvSubsampling) -> None:
        self.module = module
        self._first = StreamingConvolution(module.first)
        self._second = StreamingConvolution(module.second)
        self._bands = 0

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """See :class:`StreamingModule`."""
        self._bands = piece.shape[1]
        return self._project(self._second.accept(self._first.accept(piece.unsqueeze(0))))

    def finish(self) -> torch.Tensor:
        """See :class:`StreamingModule`."""
        first = self._first.finish(self._bands)
        hidden = [self._second.accept(first), self._second.finish(first.shape[2])]
        return self._project(torch.cat(hidden, dim=1))

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.module.projection(hidden.transpose(0, 1).flatten(1))


def streaming_subsampling(module: nn.Module) -> StreamingModule:
    """The streaming version of a subsampling.

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


class QuantizedStack(nn.Module):
    """Replaces a unidirectional stack by one with 8-bit weights, on the CPU, for evaluation.

    Raises a ValueError if the stack is bidirectional, is not one of ours, or cannot be compiled.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> stack = RAN(8, input_size=3, num_layers=2).eval()
    >>> x = torch.rand(2, 5, 3)
    >>> output, _ = QuantizedStack(stack)(x, lengths=torch.tensor([1.0, 0.6]))
    >>> bool((output[0] - stack(x)[0][0]).abs().max() < 0.05), bool(output[1, 3:].any())
    (True, False)
    """

    bidirectional = False

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        if not isinstance(stack, RecurrentStack):
            raise ValueError(f"int8 is for the recurrences of gatedrnn, not {type(stack).__name__}")
        self.stream = StreamingStack(stack, quantize="int8")
        self.output_size = stack.output_size

    def forward(
        self, x: torch.Tensor, hx: Any = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, None]:
        """Runs a batch, one sequence after the other; there is no state before or after.

        x: (batch, frames, input_size)
        lengths: relative lengths, (batch,)

        Returns (batch, frames, output_size), zero after the end of a sequence, and None.
        """
        if hx is not None:
            raise ValueError("a quantized stack starts each sequence from zeros: hx must be None")
        counts = frame_counts(lengths, x.shape[1], x.shape[0])
        output = x.new_zeros(*x.shape[:2], self.output_size)
        for sequence, (frames, count) in enumerate(zip(x, counts.tolist(), strict=True)):
            self.stream.reset()
            for t in range(count):
                output[sequence, t] = self.stream(frames[t : t + 1])[0]
        return output, None


class CarriedStack:
    """A stack that carries its state: single frames in one compiled call, if it can be compiled."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        self._stream: StreamingStack | None = None
        self._encoder = encoder
        if isinstance(encoder, QuantizedStack):
            self._stream = encoder.stream
        elif isinstance(encoder, RecurrentStack):
            layers = [encoder.layer(i) for i in range(encoder.num_layers)]
            dtype = next(encoder.parameters()).dtype
            if obstacle([layer.cell for layer in layers], dtype, False) is None:
                self._stream = StreamingStack(encoder)
        self._state: Any = None

    def reset(self) -> None:
        self._state = None
        if self._stream is not None:
            self._stream.reset()

    def advance(self, frames: torch.Tensor) -> torch.Tensor:
        few = len(frames) < _MANY or isinstance(self._encoder, QuantizedStack)
        if self._stream is not None and few:
            return torch.cat([self._stream(frame.unsqueeze(0)) for frame in frames])
        state = self._state if self._stream is None else self._stream.hidden
        output, state = self._encoder(frames.unsqueeze(0), state)
        if self._stream is None:
            self._state = state
        else:
            self._stream.reset(state)
        return output[0]
