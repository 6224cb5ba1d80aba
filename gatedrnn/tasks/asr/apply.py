"""From recordings of any length to transcripts, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from gatedrnn.data.audio import AudioError
from gatedrnn.tasks.asr.audio_blocks import Stretch, cut_chunks, locate, read_samples, stream_blocks
from gatedrnn.tasks.asr.inputs import Item
from gatedrnn.tasks.asr.recogniser import Reading, Recogniser
from gatedrnn.tasks.asr.segmentation import SegmentationOptions, find_chunks
from gatedrnn.tasks.asr.transcript import Segment, Transcript
from gatedrnn.tasks.asr.voice_activity import VoiceDetector


@dataclass(frozen=True)
class TranscriptionOptions:
    """How recordings are transcribed.

    Arguments
    ---------
    beam_size : int or None
        Width of the beam; 1 for the greedy search; ``None`` for that of the training's test.
    batch_seconds : float
        Recognised at once: number of signals times the seconds of the longest.
    batch_size : int
        Most signals at once.
    segmentation : SegmentationOptions
        How long recordings are cut into chunks.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> TranscriptionOptions(beam_size=1).batch_size
    16
    """

    beam_size: int | None = None
    batch_seconds: float = 120.0
    batch_size: int = 16
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)

    def __post_init__(self) -> None:
        if self.beam_size is not None and self.beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, not {self.beam_size}")
        if not self.batch_seconds > 0 or self.batch_size < 1:
            raise ValueError(
                f"batches of {self.batch_size} signals and {self.batch_seconds} s: must be more "
                "than none"
            )


@dataclass(frozen=True)
class Failure:
    """A recording that could not be transcribed.

    Arguments
    ---------
    item : Item
        The recording.
    reason : str
        What is wrong with it; it names the file.
    """

    item: Item
    reason: str


def transcribe_file(
    recogniser: Recogniser, path: str | Path, options: TranscriptionOptions | None = None
) -> Transcript:
    """Transcribes one audio file.

    Arguments
    ---------
    recogniser : Recogniser
        What recognises.
    path : str or Path
        The file.
    options : TranscriptionOptions or None
        How.

    Returns
    -------
    Transcript

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    path = Path(path)
    item = Item(path.stem, path)
    options = options or TranscriptionOptions()
    stretch = locate(item)
    if stretch.seconds > options.segmentation.max_seconds or options.segmentation.always:
        return _in_chunks(recogniser, item, stretch, options, VoiceDetector())
    signal = read_samples(item, recogniser.sample_rate)
    return _at_once(item, stretch, signal, *recogniser.read([signal], options.beam_size))


def transcribe(
    recogniser: Recogniser, items: Sequence[Item], options: TranscriptionOptions | None = None
) -> Iterator[Transcript | Failure]:
    """Transcribes recordings: short ones together, the longest first; then long ones in chunks.

    Arguments
    ---------
    recogniser : Recogniser
        What recognises.
    items : sequence of Item
        The recordings, of :func:`~gatedrnn.tasks.asr.inputs.find_items`.
    options : TranscriptionOptions or None
        How.

    Returns
    -------
    iterator of Transcript or Failure
        One for each recording, as they are done; times count from the recording's beginning.

    Raises
    ------
    ImportError
        If a long recording is among them and the detector of voice activity is not installed.

    Example
    -------
    >>> import soundfile
    >>> from gatedrnn.tasks.asr.inputs import find_items
    >>> from gatedrnn.tasks.asr.bundle import Bundle
    >>> from gatedrnn.tasks.asr.bundle_config import BundleConfig
    >>> from gatedrnn.tasks.asr.frontend import Frontend
    >>> from gatedrnn.tasks.asr.specification import RecogniserSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> spec = RecogniserSpec(len(tokens), {"num_layers": 1, "hidden_size": 4, "proj_size": 2})
    >>> frontend = Frontend(spec.build_features())
    >>> bundle = Bundle(BundleConfig(spec), tokens, frontend, spec.build().eval())
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", torch.rand(8000).numpy(), 8000)
    >>> _ = (folder / "b.wav").write_text("no sound")
    >>> for found in transcribe(Recogniser(bundle), find_items([folder])):
    ...     print(type(found).__name__)
    Failure
    Transcript
    """
    options = options or TranscriptionOptions()
    failures: list[Failure] = []
    located = _located(items, failures)
    yield from failures
    longest = 0.0 if options.segmentation.always else options.segmentation.max_seconds
    yield from _short_ones(recogniser, [f for f in located if f[1].seconds <= longest], options)
    yield from _long_ones(recogniser, [f for f in located if f[1].seconds > longest], options)


def _located(items: Iterable[Item], failures: list[Failure]) -> list[tuple[Item, Stretch]]:
    found = []
    for item in items:
        try:
            found.append((item, locate(item)))
        except (AudioError, OSError) as error:
            failures.append(Failure(item, str(error)))
    return found


def _short_ones(
    recogniser: Recogniser, located: list[tuple[Item, Stretch]], options: TranscriptionOptions
) -> Iterator[Transcript | Failure]:
    located = sorted(located, key=lambda found: -found[1].seconds)
    while located:
        # The longest comes first: a machine that is too small for the work says so at once.
        count = int(options.batch_seconds / max(located[0][1].seconds, 1e-3))
        count = max(1, min(count, options.batch_size))
        batch, located = located[:count], located[count:]
        readable, signals = [], []
        for item, stretch in batch:
            try:
                signals.append(read_samples(item, recogniser.sample_rate))
                readable.append((item, stretch))
            except (AudioError, OSError) as error:
                yield Failure(item, str(error))
        readings = recogniser.read(signals, options.beam_size)
        for (item, stretch), signal, reading in zip(readable, signals, readings, strict=True):
            yield _at_once(item, stretch, signal, reading)


def _long_ones(
    recogniser: Recogniser, located: list[tuple[Item, Stretch]], options: TranscriptionOptions
) -> Iterator[Transcript | Failure]:
    detector = VoiceDetector() if located else None
    for item, stretch in located:
        try:
            yield _in_chunks(recogniser, item, stretch, options, detector)
        except (AudioError, OSError) as error:
            yield Failure(item, str(error))


def _at_once(item: Item, stretch: Stretch, signal: torch.Tensor, reading: Reading) -> Transcript:
    """The transcript of a recording that is one chunk; of none, if there is no sound in it."""
    segments = [_segment(0.0, stretch.seconds, reading)] if bool(signal.any()) else []
    return _transcript(item, stretch, segments)


def _in_chunks(
    recogniser: Recogniser,
    item: Item,
    stretch: Stretch,
    options: TranscriptionOptions,
    detector: VoiceDetector | None,
) -> Transcript:
    chunks = find_chunks(item, options.segmentation, detector)
    rate = recogniser.sample_rate
    # They come in order, so that no more of the recording is held than the chunks of a batch.
    signals = cut_chunks(stream_blocks(item, rate), chunks, rate)
    segments: list[Segment] = []
    batch: list[torch.Tensor] = []
    longest = 0.0
    for (start, end), signal in zip(chunks, signals, strict=True):
        longest = max(longest, end - start)
        full = len(batch) >= options.batch_size or (len(batch) + 1) * longest > (
            options.batch_seconds
        )
        if batch and full:
            segments += _read(recogniser, chunks[len(segments) :], batch, options)
            batch, longest = [], end - start
        batch.append(signal)
    if batch:
        segments += _read(recogniser, chunks[len(segments) :], batch, options)
    return _transcript(item, stretch, segments)


def _read(
    recogniser: Recogniser,
    chunks: Sequence[tuple[float, float]],
    signals: list[torch.Tensor],
    options: TranscriptionOptions,
) -> list[Segment]:
    readings = recogniser.read(signals, options.beam_size)
    return [
        _segment(start, end, reading)
        for (start, end), reading in zip(chunks, readings, strict=False)
    ]


def _segment(start: float, end: float, reading: Reading) -> Segment:
    # The last frame may reach beyond the end of the signal.
    last = end - start
    words = tuple(replace(w, start=min(w.start, last), end=min(w.end, last)) for w in reading.words)
    segment = Segment(0.0, last, reading.text, words, reading.confidence)
    return segment.shifted(start)


def _transcript(item: Item, stretch: Stretch, segments: Iterable[Segment]) -> Transcript:
    found = tuple(replace(segment, speaker=item.speaker) for segment in segments)
    return Transcript(
        item.name,
        str(item.path),
        stretch.seconds,
        found,
        item.text,
        item.recording,
        item.channel,
    ).shifted(stretch.offset)
