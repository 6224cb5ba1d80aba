"""A recogniser of signals: what a bundle becomes when it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gatedrnn.tasks.asr.bundle import Bundle, read_bundle
from gatedrnn.tasks.asr.decode import Scores, score, search, word_times
from gatedrnn.tasks.asr.lm_integration import Companion
from gatedrnn.tasks.asr.quantized import QuantizedStack
from gatedrnn.tokens.hypotheses import Hypothesis, Word, distinct

QUANTIZATIONS = (None, "int8")


@dataclass(frozen=True)
class Reading:
    """What was recognised in a signal.

    Arguments
    ---------
    text : str
        The best reading.
    words : tuple of Word
        Its words, with times in seconds from the beginning of the signal; empty if the model was
        trained without connectionist temporal classification, which gives the times.
    n_best : tuple of (str, float)
        Readings with their scores, the best first.
    confidence : float or None
        Mean confidence of the words; ``None`` without word times.
    """

    text: str = ""
    words: tuple[Word, ...] = ()
    n_best: tuple[tuple[str, float], ...] = ()
    confidence: float | None = None


class Recogniser:
    """Recognises signals by a bundle.

    Arguments
    ---------
    bundle : Bundle
        What to recognise with; if it has a language model, with that. Another one is used with
        :meth:`~gatedrnn.tasks.asr.bundle.Bundle.with_language_model`.
    device : str
        Where to compute.
    quantize : str or None
        ``"int8"``: the recurrent stack with 8-bit weights (unidirectional, on the CPU).

    Raises
    ------
    ValueError
        If the stack cannot be quantised, or on another device than the CPU.

    Example
    -------
    >>> from gatedrnn.tasks.asr.bundle import write_bundle
    >>> from gatedrnn.tasks.asr.bundle_config import BundleConfig
    >>> from gatedrnn.tasks.asr.specification import RecogniserSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecogniserSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> folder = getfixture("tmp_path") / "bundle"
    >>> _ = write_bundle(folder, BundleConfig(spec), tokens, spec.build())
    >>> recogniser = Recogniser.load(folder)
    >>> len(recogniser.read([torch.rand(16000), torch.rand(8000)]))
    2
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", quantize: str | None = None) -> None:
        if quantize not in QUANTIZATIONS:
            raise ValueError(f"quantize must be int8 or nothing, not {quantize!r}")
        self.config, self.tokens = bundle.config, bundle.tokens
        self.device = torch.device(device)
        if quantize is not None:
            if self.device.type != "cpu":
                raise ValueError(f"quantize {quantize} runs on the CPU only, not on {device}")
            acoustic = getattr(bundle.model, "acoustic", bundle.model)
            acoustic.encoder = QuantizedStack(acoustic.encoder)
        self.quantize = quantize
        self.model = bundle.model.to(self.device).eval()
        self.frontend = bundle.frontend.to(self.device)
        self.companion = None
        if bundle.language_model is not None:
            self.companion = Companion(
                bundle.language_model, bundle.config.language, self.tokens, self.device
            )

    @classmethod
    def load(
        cls, bundle: str | Path, device: str = "cpu", quantize: str | None = None
    ) -> Recogniser:
        """Reads a bundle.

        Arguments
        ---------
        bundle : str or Path
            The bundle.
        device : str
            Where to compute.
        quantize : str or None
            ``"int8"`` or ``None``.

        Returns
        -------
        Recogniser

        Raises
        ------
        FileNotFoundError, ValueError
            If the bundle is broken; see :func:`~gatedrnn.tasks.asr.bundle.read_bundle`.
        """
        return cls(read_bundle(bundle), device, quantize)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the signals."""
        return self.frontend.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Duration of a frame in which a token can stand."""
        return self.frontend.features.options["hop_seconds"] * self.model.factor

    def read(
        self, signals: Sequence[torch.Tensor], beam_size: int | None = None, n_best: int = 1
    ) -> list[Reading]:
        """Recognises a batch.

        Arguments
        ---------
        signals : sequence of torch.Tensor
            Each (samples,), at :attr:`sample_rate`; one without samples is read as nothing.
        beam_size : int or None
            Width of the beam; 1 for the greedy search; ``None`` for that of the training's test.
        n_best : int
            How many readings to give at most.

        Returns
        -------
        list of Reading
        """
        beam_size = self.config.beam_size if beam_size is None else beam_size
        readings = [Reading()] * len(signals)
        there = [i for i, signal in enumerate(signals) if len(signal)]
        if not there:
            return readings
        scores = self.score([signals[i] for i in there])
        with torch.inference_mode():
            if self.companion is None:
                found = search(self.model, scores, beam_size)
            else:
                found = self.companion.search(self.model, scores, beam_size)
        for place, (i, hypotheses) in enumerate(zip(there, found, strict=True)):
            readings[i] = self.reading(scores, place, hypotheses, n_best)
        return readings

    @torch.inference_mode()
    def score(self, signals: Sequence[torch.Tensor]) -> Scores:
        """What a search looks at.

        Arguments
        ---------
        signals : sequence of torch.Tensor
            Each (samples,), with at least one sample.

        Returns
        -------
        Scores
        """
        features, lengths = self.frontend([signal.to(self.device) for signal in signals])
        return score(self.model, features, lengths)

    def reading(
        self, scores: Scores, place: int, hypotheses: list[Hypothesis], n_best: int
    ) -> Reading:
        """What the searches have found of an utterance.

        Arguments
        ---------
        scores : Scores
            Of the batch.
        place : int
            The utterance's place in it.
        hypotheses : list of Hypothesis
            Of the search, the best first.
        n_best : int
            How many readings to give at most.

        Returns
        -------
        Reading
        """
        best = distinct(hypotheses, self.tokens)
        words = word_times(scores, place, best[0], self.tokens, self.seconds_per_frame)
        confidence = sum(word.confidence for word in words) / len(words) if words else None
        texts = tuple((self.tokens.decode(h.tokens), h.score) for h in best[:n_best])
        return Reading(texts[0][0], tuple(words), texts, confidence)
