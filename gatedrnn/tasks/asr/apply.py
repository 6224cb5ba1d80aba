"""From recordings to transcripts: inputs -> segmentation -> features -> model -> search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatedrnn.data.audio import AudioError
from gatedrnn.nnet import RecurrentStack, StreamingStack, frame_counts
from gatedrnn.tasks.asr.bundle import Bundle, read_bundle
from gatedrnn.tasks.asr.decode import ExternalLM, Scores, SearchOptions, align_words, search
from gatedrnn.tasks.asr.inputs import (
    AudioSpan,
    Item,
    cut_chunks,
    locate,
    read_samples,
    stream_blocks,
)
from gatedrnn.tasks.asr.segmentation import SegmentationOptions, VoiceDetector, find_chunks
from gatedrnn.tasks.asr.writers import Transcript, TranscriptSegment
from gatedrnn.tokens.hypotheses import Hypothesis, Word, distinct

QUANTIZATIONS = (None, "int8")


@dataclass(frozen=True)
class RecognitionResult:
    """Result for one signal.

    Arguments
    ---------
    text : str
        The best hypothesis.
    words : tuple of Word
        Its words, with times in seconds from the start of the signal; empty if the model was
        trained without CTC, which aligns them.
    n_best : tuple of (str, float)
        Texts and scores of the n-best list, the best first.
    confidence : float or None
        Mean confidence of the words; None without word times.
    """

    text: str = ""
    words: tuple[Word, ...] = ()
    n_best: tuple[tuple[str, float], ...] = ()
    confidence: float | None = None


class Recognizer:
    """A speech recognizer made from a bundle.

    Arguments
    ---------
    bundle : Bundle
        The model, with its search options and its language model if it has one. Another language
        model is used with :meth:`~gatedrnn.tasks.asr.bundle.Bundle.with_language_model`.
    device : str
        Device of the model.
    quantize : str or None
        ``"int8"``: 8-bit weights in the recurrent stack, which must be unidirectional, on the CPU.

    Raises
    ------
    ValueError
        If the stack cannot be quantized, or on another device than the CPU.

    Example
    -------
    >>> from gatedrnn.tasks.asr.bundle import write_bundle
    >>> from gatedrnn.tasks.asr.bundle import RecognizerConfig
    >>> from gatedrnn.tasks.asr.bundle import RecognizerSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecognizerSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> folder = getfixture("tmp_path") / "bundle"
    >>> _ = write_bundle(folder, RecognizerConfig(spec), tokens, spec.build())
    >>> recognizer = Recognizer.load(folder)
    >>> len(recognizer.recognize([torch.rand(16000), torch.rand(8000)]))
    2
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", quantize: str | None = None) -> None:
        if quantize not in QUANTIZATIONS:
            raise ValueError(f"quantize must be int8 or nothing, not {quantize!r}")
        self.config, self.tokens = bundle.config, bundle.tokens
        self.options: SearchOptions = bundle.config.search
        self.device = torch.device(device)
        if quantize is not None:
            if self.device.type != "cpu":
                raise ValueError(f"quantize {quantize} runs on the CPU only, not on {device}")
            acoustic = getattr(bundle.model, "acoustic", bundle.model)
            acoustic.encoder = QuantizedStack(acoustic.encoder)
        self.quantize = quantize
        self.model = bundle.model.to(self.device).eval()
        self.frontend = bundle.frontend.to(self.device)
        self.language_model = None
        if bundle.language_model is not None:
            self.language_model = ExternalLM(
                bundle.language_model, self.options, self.tokens, self.device
            )

    @classmethod
    def load(
        cls, bundle: str | Path, device: str = "cpu", quantize: str | None = None
    ) -> Recognizer:
        """Reads a bundle; raises a FileNotFoundError or ValueError if it is broken."""
        return cls(read_bundle(bundle), device, quantize)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the signals."""
        return self.frontend.sample_rate

    @property
    def seconds_per_frame(self) -> float:
        """Duration of a subsampled frame."""
        return self.frontend.features.options["hop_seconds"] * self.model.factor

    def recognize(
        self, signals: Sequence[torch.Tensor], options: SearchOptions | None = None
    ) -> list[RecognitionResult]:
        """Recognizes a batch.

        signals: each (samples,), at :attr:`sample_rate`; the result for one without samples is
            empty
        options: options of the search; None for :attr:`options`, those of the bundle. A language
            model and its weights are fixed by the bundle
        """
        options = options or self.options
        results = [RecognitionResult()] * len(signals)
        indices = [i for i, signal in enumerate(signals) if len(signal)]
        if not indices:
            return results
        scores = self.score([signals[i] for i in indices])
        with torch.inference_mode():
            if self.language_model is None:
                lists = search(self.model, scores, options)
            else:
                lists = self.language_model.search(self.model, scores, options)
        for place, (i, hypotheses) in enumerate(zip(indices, lists, strict=True)):
            results[i] = self.result(scores, place, hypotheses, options.n_best)
        return results

    @torch.inference_mode()
    def score(self, signals: Sequence[torch.Tensor]) -> Scores:
        """Runs features and model on signals (samples,) with at least one sample each."""
        features, lengths = self.frontend([signal.to(self.device) for signal in signals])
        return self.model.scores(features, lengths)

    def result(
        self, scores: Scores, place: int, hypotheses: list[Hypothesis], n_best: int | None
    ) -> RecognitionResult:
        """The result for an utterance of a batch, from the hypotheses of its search."""
        best = distinct(hypotheses, self.tokens)
        words = align_words(scores, place, best[0], self.tokens, self.seconds_per_frame)
        confidence = sum(word.confidence for word in words) / len(words) if words else None
        texts = tuple((self.tokens.decode(h.tokens), h.score) for h in best[:n_best])
        return RecognitionResult(texts[0][0], tuple(words), texts, confidence)


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


@dataclass(frozen=True)
class TranscriptionOptions:
    """Options of transcription.

    Arguments
    ---------
    search : SearchOptions or None
        Options of the search; None for those of the recognizer.
    batch_seconds : float
        Maximum size of a batch: number of signals times seconds of the longest.
    batch_size : int
        Maximum number of signals in a batch.
    segmentation : SegmentationOptions
        Segmentation of long recordings into chunks.

    Example
    -------
    >>> TranscriptionOptions(SearchOptions(beam_size=1)).batch_size
    16
    """

    search: SearchOptions | None = None
    batch_seconds: float = 120.0
    batch_size: int = 16
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)

    def __post_init__(self) -> None:
        if not self.batch_seconds > 0 or self.batch_size < 1:
            raise ValueError(
                f"batches of {self.batch_size} signals and {self.batch_seconds} s: must be more "
                "than none"
            )


@dataclass(frozen=True)
class Failure:
    """A recording that could not be transcribed; ``reason`` is the error message with the file."""

    item: Item
    reason: str


def transcribe_file(
    recognizer: Recognizer, path: str | Path, options: TranscriptionOptions | None = None
) -> Transcript:
    """Transcribes one audio file; raises an AudioError if it cannot be read."""
    path = Path(path)
    item = Item(path.stem, path)
    options = options or TranscriptionOptions()
    span = locate(item)
    if span.seconds > options.segmentation.max_seconds or options.segmentation.always:
        return _in_chunks(recognizer, item, span, options, VoiceDetector())
    signal = read_samples(item, recognizer.sample_rate)
    return _at_once(item, span, signal, *recognizer.recognize([signal], options.search))


def transcribe(
    recognizer: Recognizer, items: Sequence[Item], options: TranscriptionOptions | None = None
) -> Iterator[Transcript | Failure]:
    """Transcribes recordings: short ones in batches, the longest first; then long ones in chunks.

    The memory it takes does not grow with the recordings.

    Arguments
    ---------
    recognizer : Recognizer
        The recognizer.
    items : sequence of Item
        The recordings, of :func:`~gatedrnn.tasks.asr.inputs.find_items`.
    options : TranscriptionOptions or None
        Batches, segmentation into chunks, and search.

    Returns
    -------
    iterator of Transcript or Failure
        One for each recording, as they are done; times count from the start of the recording.

    Raises
    ------
    ImportError
        If a long recording is among them and the voice activity detector is not installed.

    Example
    -------
    >>> from gatedrnn.tasks.asr.bundle import RecognizerConfig, RecognizerSpec
    >>> from gatedrnn.tasks.asr.model import Frontend
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecognizerSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> frontend = Frontend(spec.build_features())
    >>> bundle = Bundle(RecognizerConfig(spec), tokens, frontend, spec.build().eval())
    >>> [result] = transcribe(Recognizer(bundle), [Item("a", Path("no_such_file.wav"))])
    >>> type(result).__name__
    'Failure'
    """
    options = options or TranscriptionOptions()
    failures: list[Failure] = []
    located = _located(items, failures)
    yield from failures
    longest = 0.0 if options.segmentation.always else options.segmentation.max_seconds
    short = [(item, span) for item, span in located if span.seconds <= longest]
    yield from _in_batches(recognizer, short, options)
    long = [(item, span) for item, span in located if span.seconds > longest]
    detector = VoiceDetector() if long else None
    for item, span in long:
        try:
            yield _in_chunks(recognizer, item, span, options, detector)
        except (AudioError, OSError) as error:
            yield Failure(item, str(error))


def _located(items: Iterable[Item], failures: list[Failure]) -> list[tuple[Item, AudioSpan]]:
    located = []
    for item in items:
        try:
            located.append((item, locate(item)))
        except (AudioError, OSError) as error:
            failures.append(Failure(item, str(error)))
    return located


def _in_batches(
    recognizer: Recognizer, located: list[tuple[Item, AudioSpan]], options: TranscriptionOptions
) -> Iterator[Transcript | Failure]:
    located = sorted(located, key=lambda pair: -pair[1].seconds)
    while located:
        # The longest come first: if memory is too small, the first batch shows it.
        count = int(options.batch_seconds / max(located[0][1].seconds, 1e-3))
        count = max(1, min(count, options.batch_size))
        batch, located = located[:count], located[count:]
        readable, signals = [], []
        for item, span in batch:
            try:
                signals.append(read_samples(item, recognizer.sample_rate))
                readable.append((item, span))
            except (AudioError, OSError) as error:
                yield Failure(item, str(error))
        results = recognizer.recognize(signals, options.search)
        for (item, span), signal, result in zip(readable, signals, results, strict=True):
            yield _at_once(item, span, signal, result)


def _at_once(
    item: Item, span: AudioSpan, signal: torch.Tensor, result: RecognitionResult
) -> Transcript:
    """The transcript of a recording of one chunk; without segments if it is digital silence."""
    segments = [segment_of(0.0, span.seconds, result)] if bool(signal.any()) else []
    return transcript_of(item, span, segments)


def _in_chunks(
    recognizer: Recognizer,
    item: Item,
    span: AudioSpan,
    options: TranscriptionOptions,
    detector: VoiceDetector | None,
) -> Transcript:
    chunks = find_chunks(item, options.segmentation, detector)
    rate = recognizer.sample_rate
    # In order, so that only the chunks of a batch are in memory.
    signals = cut_chunks(stream_blocks(item, rate), chunks, rate)
    segments: list[TranscriptSegment] = []
    batch: list[torch.Tensor] = []
    longest = 0.0

    def recognize() -> list[TranscriptSegment]:
        results = recognizer.recognize(batch, options.search)
        times = chunks[len(segments) :]
        return [segment_of(*time, result) for time, result in zip(times, results, strict=False)]

    for (start, end), signal in zip(chunks, signals, strict=True):
        longest = max(longest, end - start)
        full = len(batch) >= options.batch_size or (len(batch) + 1) * longest > (
            options.batch_seconds
        )
        if batch and full:
            segments += recognize()
            batch, longest = [], end - start
        batch.append(signal)
    if batch:
        segments += recognize()
    return transcript_of(item, span, segments)


def segment_of(start: float, end: float, result: RecognitionResult) -> TranscriptSegment:
    """A result as the segment of a transcript between two times in seconds."""
    # The last frame may reach beyond the end of the signal.
    last = end - start
    words = tuple(replace(w, start=min(w.start, last), end=min(w.end, last)) for w in result.words)
    return TranscriptSegment(0.0, last, result.text, words, result.confidence).shifted(start)


def transcript_of(item: Item, span: AudioSpan, segments: Iterable[TranscriptSegment]) -> Transcript:
    """The transcript of an item, with times from the start of its recording."""
    return Transcript(
        item.name,
        str(item.path),
        span.seconds,
        tuple(replace(segment, speaker=item.speaker) for segment in segments),
        item.text,
        item.recording,
        item.channel,
    ).shifted(span.offset)
