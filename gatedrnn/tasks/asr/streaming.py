"""A recogniser that listens: samples come in pieces of any size, and the text grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from gatedrnn.engine.cpu.step import obstacle
from gatedrnn.nnet import RecurrentStack, StreamingStack
from gatedrnn.tasks.asr.decode import Scores
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.quantized import QuantizedStack
from gatedrnn.tasks.asr.recogniser import Reading, Recogniser
from gatedrnn.tasks.asr.streaming_frontend import StreamingFeatures, streaming_subsampling
from gatedrnn.tasks.asr.streaming_search import incremental_search

#: So many frames are worked off faster in one go, layer by layer: each layer's weights are then
#: packed and read once, which costs as much as some six frames one by one.
_MANY = 8


@dataclass(frozen=True)
class Timing:
    """How fast a stream was worked off.

    Arguments
    ---------
    audio : float
        Seconds of signal.
    busy : float
        Seconds of computation.
    longest : float
        Seconds of the slowest piece.
    look_ahead : float
        Seconds of signal that must have come, at most, before a frame can be scored: the latency of
        a machine without end of speed.
    """

    audio: float
    busy: float
    longest: float
    look_ahead: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of computation for a second of signal."""
        return self.busy / self.audio if self.audio else 0.0


class Streamer:
    """Recognises a stream; the text at its end is that of the whole signal recognised at once.

    Arguments
    ---------
    recogniser : Recogniser
        With a unidirectional stack, features that need no whole utterance, and a head of
        connectionist temporal classification or a transducer; on the CPU.
    beam_size : int or None
        Width of the beam; 1 for the greedy search; ``None`` for that, or with a language model for
        the beam of the training's test.

    Raises
    ------
    ValueError
        If the model cannot stream; it says why, and with which keys one is trained that can.

    Example
    -------
    >>> from gatedrnn.tasks.asr.bundle import Bundle
    >>> from gatedrnn.tasks.asr.bundle_config import BundleConfig
    >>> from gatedrnn.tasks.asr.frontend import Frontend
    >>> from gatedrnn.tasks.asr.specification import RecogniserSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecogniserSpec(
    ...     len(tokens), {"num_layers": 2, "hidden_size": 4, "proj_size": 2},
    ...     features={"dynamic_range": 0}, normalisation="global",
    ... )
    >>> frontend = Frontend(spec.build_features(), (torch.zeros(80), torch.ones(80)))
    >>> bundle = Bundle(BundleConfig(spec), tokens, frontend, spec.build().eval())
    >>> recogniser, signal = Recogniser(bundle), torch.rand(8000)
    >>> streamer = Streamer(recogniser)
    >>> for piece in signal.split(160):  # 10 ms
    ...     text = streamer.accept(piece)
    >>> streamer.finish().text == recogniser.read([signal])[0].text
    True
    """

    def __init__(self, recogniser: Recogniser, beam_size: int | None = None) -> None:
        self.recogniser = recogniser
        companion = recogniser.companion
        if beam_size is None:
            beam_size = 1 if companion is None else recogniser.config.beam_size
        self.beam_size = beam_size
        if companion is not None:
            companion.check_beam(beam_size)
            if not isinstance(recogniser.model, CTCModel):
                raise ValueError(
                    "a language model needs a beam search, and only head ctc streams with one: "
                    "stream without it (--no-lm)"
                )
        self._fusion = None if companion is None else companion.fusion
        self._acoustic = getattr(recogniser.model, "acoustic", recogniser.model)
        if recogniser.device.type != "cpu":
            raise ValueError(f"a stream is recognised on the CPU, not on {recogniser.device}")
        if self._acoustic.encoder.bidirectional:
            raise ValueError(
                "a bidirectional network needs the end of an utterance before its beginning, so it "
                "cannot stream; train one with bidirectional: False"
            )
        self._stack = _Stack(self._acoustic.encoder)
        self.reset()

    def reset(self) -> None:
        """Begins a new stream."""
        self._features = StreamingFeatures(self.recogniser.frontend)
        self._subsampling = streaming_subsampling(self._acoustic.subsampling)
        self._stack.reset()
        self._search = incremental_search(self.recogniser.model, self.beam_size, self._fusion)
        self._log_probs: list[torch.Tensor] = []
        self._samples, self._busy, self._longest = 0, 0.0, 0.0

    def accept(self, samples: torch.Tensor) -> str:
        """Takes further samples.

        Arguments
        ---------
        samples : torch.Tensor
            (samples,), float32 within [-1, 1], at the recogniser's sample rate; any number.

        Returns
        -------
        str
            What has been recognised so far; the last words may still change.

        Raises
        ------
        ValueError
            If the samples have another shape.
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

    def finish(self, n_best: int = 1) -> Reading:
        """Ends the stream.

        Arguments
        ---------
        n_best : int
            How many readings to give at most.

        Returns
        -------
        Reading
            That of the whole signal.
        """
        start = time.perf_counter()
        with torch.inference_mode():
            features = self._features.finish()
            if len(features):
                self._advance(self._subsampling.accept(features))
            if self._samples:
                self._advance(self._subsampling.finish())
                scores = self._scores()
                found = self._search.hypotheses()
                companion = self.recogniser.companion
                if companion is not None:
                    (found,) = companion.ranked(self.recogniser.model, [found])
                reading = self.recogniser.reading(scores, 0, found, n_best)
            else:
                reading = Reading()
        self._clock(start)
        return reading

    @property
    def text(self) -> str:
        """What has been recognised so far."""
        return self.recogniser.tokens.decode(self._search.best)

    @property
    def timing(self) -> Timing:
        """How fast it was so far."""
        features = self.recogniser.frontend.features
        # Half a window, and the frames that become one.
        look_ahead = (
            features.half / features.options["sample_rate"] + self.recogniser.seconds_per_frame
        )
        audio = self._samples / self.recogniser.sample_rate
        return Timing(audio, self._busy, self._longest, look_ahead)

    def _advance(self, frames: torch.Tensor) -> None:
        if not len(frames):
            return
        encoded = self._stack.advance(frames)
        model = self.recogniser.model
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


class _Stack:
    """A stack that carries its state: single frames in one compiled call, where there is one."""

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
