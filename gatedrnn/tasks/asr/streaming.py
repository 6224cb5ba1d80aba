"""Streaming: samples arrive in pieces of any size, and the partial hypothesis grows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch

from gatedrnn.tasks.asr.apply import RecognitionResult, Recognizer
from gatedrnn.tasks.asr.decode import Scores, SearchOptions, incremental_search
from gatedrnn.tasks.asr.streaming_modules import (
    CarriedStack,
    StreamingFeatures,
    streaming_subsampling,
)


@dataclass(frozen=True)
class StreamTiming:
    """Speed of a stream, in seconds.

    Arguments
    ---------
    audio : float
        Duration of the signal.
    busy : float
        Computing time.
    longest : float
        Computing time of the slowest piece.
    look_ahead : float
        Maximum signal after a frame that is needed to score it: the latency of an infinitely fast
        machine.
    """

    audio: float
    busy: float
    longest: float
    look_ahead: float

    @property
    def real_time_factor(self) -> float:
        """Computing time for a second of signal."""
        return self.busy / self.audio if self.audio else 0.0


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
    >>> from gatedrnn.tasks.asr.frontend import Frontend
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

        Arguments
        ---------
        samples : torch.Tensor
            (samples,), float32 within [-1, 1], at the recognizer's sample rate; any number.

        Returns
        -------
        str
            The partial hypothesis; its last words may still change.

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

    def finish(self) -> RecognitionResult:
        """Ends the stream.

        Returns
        -------
        RecognitionResult
            The result for the whole signal.
        """
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
