"""Streaming: samples arrive in pieces of any size, and the partial hypothesis grows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import nn

from gatedrnn.engine.cpu.step import obstacle
from gatedrnn.modules.features import ConvSubsampling, FrameStacking
from gatedrnn.nnet import RecurrentStack, StreamingStack
from gatedrnn.tasks.asr.apply import QuantizedStack, RecognitionResult, Recognizer
from gatedrnn.tasks.asr.decode import Scores, SearchOptions, incremental_search
from gatedrnn.tasks.asr.model import Frontend

#: From this number of frames on, layer by layer is faster than frame by frame: each layer's weights
#: are packed and read once, at the cost of about six single frames.
_MANY = 8


class Streamer:
    """Recognizes a stream; the final text is that of the whole signal recognized at once.

    Arguments
    ---------
    recognizer : Recognizer
        On the CPU, with a unidirectional stack, features that do not need the whole utterance, and
        head ``ctc`` or ``transducer``.
    options : SearchOptions or None
        Options of the search; None for greedy search, or with a language model for those of the
        recognizer.

    Raises
    ------
    ValueError
        If the model cannot stream; the message names the options to train one that can.

    Example
    -------
    >>> from gatedrnn.tasks.asr.bundle import Bundle
    >>> from gatedrnn.tasks.asr.bundle import RecognizerConfig
    >>> from gatedrnn.tasks.asr.model import Frontend
    >>> from gatedrnn.tasks.asr.bundle import RecognizerSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecognizerSpec(
    ...     len(tokens), {"num_layers": 2, "hidden_size": 4, "proj_size": 2},
    ...     features={"dynamic_range": 0}, normalisation="global",
    ... )
    >>> frontend = Frontend(spec.build_features(), (torch.zeros(80), torch.ones(80)))
    >>> bundle = Bundle(RecognizerConfig(spec), tokens, frontend, spec.build().eval())
    >>> recognizer, signal = Recognizer(bundle), torch.rand(8000)
    >>> streamer = Streamer(recognizer)
    >>> for piece in signal.split(160):  # 10 ms
    ...     text = streamer.accept(piece)
    >>> streamer.finish().text == recognizer.recognize([signal])[0].text
    True
    """

    def __init__(self, recognizer: Recognizer, options: SearchOptions | None = None) -> None:
        self.recognizer = recognizer
        language_model = recognizer.language_model
        if options is None:
            options = recognizer.options
            if language_model is None:
                options = replace(options, beam_size=1)
        self.options = options
        if language_model is not None:
            language_model.check_beam(options.beam_size)
            if recognizer.model.head != "ctc":
                raise ValueError(
                    "a language model needs a beam search, and only head ctc streams with one: "
                    "stream without it (--no-lm)"
                )
        self._fusion = None if language_model is None else language_model.fusion
        self._acoustic = getattr(recognizer.model, "acoustic", recognizer.model)
        if recognizer.device.type != "cpu":
            raise ValueError(f"a stream is recognized on the CPU, not on {recognizer.device}")
        if self._acoustic.encoder.bidirectional:
            raise ValueError(
                "a bidirectional network cannot stream: it needs the whole utterance; train one "
                "with bidirectional: False"
            )
        self._stack = CarriedStack(self._acoustic.encoder)
        self.reset()

    def reset(self) -> None:
        """Starts a new stream."""
        self._features = StreamingFeatures(self.recognizer.frontend)
        self._subsampling = streaming_subsampling(self._acoustic.subsampling)
        self._stack.reset()
        self._search = incremental_search(self.recognizer.model, self.options, self._fusion)
        self._log_probs: list[torch.Tensor] = []
        self._samples, self._busy, self._longest = 0, 0.0, 0.0

    def accept(self, samples: torch.Tensor) -> str:
        """Takes the next samples.

        samples: (samples,), float32 within [-1, 1], at the recognizer's sample rate; any number
        Returns the partial hypothesis; its last words may still change

        Raises a ValueError if the samples have another shape.
        """
        if samples.dim() != 1:
            raise ValueError(f"samples must be (samples,), not {tuple(samples.shape)}")
        start = time.perf_counter()
        with torch.inference_mode():
            features = self._features.accept(samples.float())
            self._advance(self._subsampling.accept(features))
        self._samples += len(samples)
        self._clock(start)
        return self.text

    def finish(self) -> RecognitionResult:
        """Ends the stream: the result for the whole signal."""
        start = time.perf_counter()
        with torch.inference_mode():
            features = self._features.finish()
            if len(features):
                self._advance(self._subsampling.accept(features))
            if self._samples:
                self._advance(self._subsampling.finish())
                scores = self._scores()
                hypotheses = self._search.hypotheses()
                language_model = self.recognizer.language_model
                if language_model is not None:
                    (hypotheses,) = language_model.ranked(self.recognizer.model, [hypotheses])
                result = self.recognizer.result(scores, 0, hypotheses, self.options.n_best)
            else:
                result = RecognitionResult()
        self._clock(start)
        return result

    @property
    def text(self) -> str:
        """The partial hypothesis."""
        return self.recognizer.tokens.decode(self._search.best)

    @property
    def timing(self) -> StreamTiming:
        """Speed so far."""
        features = self.recognizer.frontend.features
        # Half a window, and the frames that are subsampled into one.
        look_ahead = (
            features.half / features.options["sample_rate"] + self.recognizer.seconds_per_frame
        )
        audio = self._samples / self.recognizer.sample_rate
        return StreamTiming(audio, self._busy, self._longest, look_ahead)

    def _advance(self, frames: torch.Tensor) -> None:
        if not len(frames):
            return
        encoded = self._stack.advance(frames)
        model = self.recognizer.model
        if model is self._acoustic:
            log_probs = model.score(encoded)
        else:
            log_probs = model.ctc_log_probs(encoded)
        if log_probs is not None:
            self._log_probs.append(log_probs)
        self._search.advance(log_probs, encoded)

    def _scores(self) -> Scores:
        if not self._log_probs:
            return Scores(None, torch.tensor([0]))
        log_probs = torch.cat(self._log_probs)
        return Scores(log_probs.unsqueeze(0), torch.tensor([len(log_probs)]))

    def _clock(self, start: float) -> None:
        seconds = time.perf_counter() - start
        self._busy += seconds
        self._longest = max(self._longest, seconds)


@dataclass(frozen=True)
class StreamTiming:
    """Speed of a stream, in seconds."""

    audio: float
    busy: float
    longest: float
    look_ahead: float

    @property
    def real_time_factor(self) -> float:
        """Computing time for a second of signal."""
        return self.busy / self.audio if self.audio else 0.0


class StreamingModule(Protocol):
    """Takes a stream in pieces; returns the frames that each piece completes."""

    def accept(self, piece: torch.Tensor) -> torch.Tensor:
        """Takes the next (samples,) or (frames, width); returns (frames, width), possibly none."""

    def finish(self) -> torch.Tensor:
        """The remaining (frames, width) at the end of the stream, possibly none."""


class StreamingFeatures:
    """Features of a stream of samples: those of the whole signal.

    Raises a ValueError if the features of the frontend need the whole signal.
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
        self._any = self._any or len(piece) > 0
        samples = torch.cat([self._rest, piece])
        frames = max(0, (len(samples) - self._window) // self._hop + 1)
        self._rest = samples[frames * self._hop :]
        if not frames:
            return samples.new_zeros(0, self.frontend.features.options["n_mels"])
        return self._compute(samples[: (frames - 1) * self._hop + self._window])

    def finish(self) -> torch.Tensor:
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
        frames = torch.cat([self._rest, piece])
        whole = len(frames) // self.factor * self.factor
        self._rest = frames[whole:]
        return frames[:whole].reshape(-1, self.factor * self.width)

    def finish(self) -> torch.Tensor:
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
        self._bands = piece.shape[1]
        return self._project(self._second.accept(self._first.accept(piece.unsqueeze(0))))

    def finish(self) -> torch.Tensor:
        first = self._first.finish(self._bands)
        hidden = [self._second.accept(first), self._second.finish(first.shape[2])]
        return self._project(torch.cat(hidden, dim=1))

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.module.projection(hidden.transpose(0, 1).flatten(1))


def streaming_subsampling(module: nn.Module) -> StreamingModule:
    """The streaming version of a subsampling."""
    if isinstance(module, FrameStacking):
        return StreamingStacking(module)
    return StreamingConvolutions(module)


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
