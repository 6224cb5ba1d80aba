"""Long recordings in chunks that are recognised one by one, cut where nobody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gatedrnn.tasks.asr.audio_blocks import locate, stream_blocks
from gatedrnn.tasks.asr.inputs import Item
from gatedrnn.tasks.asr.voice_activity import FRAME, RATE, VoiceDetector

#: Frames over which probabilities are averaged to find a pause to cut in: about 0.2 s.
_SMOOTHED = 7


@dataclass(frozen=True)
class SegmentationOptions:
    """How recordings are cut into chunks.

    Arguments
    ---------
    max_seconds : float
        Of a chunk. A recording that is not longer is one chunk, as it is.
    threshold : float
        Probability from which on a frame counts as speech.
    min_speech : float
        What is not longer is no speech, in seconds.
    min_silence : float
        A pause that is shorter parts nothing, in seconds.
    padding : float
        Seconds kept before and behind speech.
    max_gap : float
        Stretches of speech with no more than so many seconds between them make one chunk, as long
        as that is no longer than ``max_seconds``.
    always : bool
        Look for speech also in recordings that are not longer than a chunk.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> SegmentationOptions(max_seconds=20.0).threshold
    0.5
    """

    max_seconds: float = 30.0
    threshold: float = 0.5
    min_speech: float = 0.1
    min_silence: float = 0.5
    padding: float = 0.2
    max_gap: float = 1.0
    always: bool = False

    def __post_init__(self) -> None:
        if self.max_seconds < 1:
            raise ValueError(f"chunks of at most {self.max_seconds} s: must be at least 1")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold}: must lie between 0 and 1")
        for name in ("min_speech", "min_silence", "padding", "max_gap"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}: must not be negative")


def find_chunks(
    item: Item,
    options: SegmentationOptions | None = None,
    detector: VoiceDetector | None = None,
) -> list[tuple[float, float]]:
    """Finds the chunks of an item.

    Arguments
    ---------
    item : Item
        The item.
    options : SegmentationOptions or None
        How to cut.
    detector : VoiceDetector or None
        What tells speech; ``None`` to make one where it is needed.

    Returns
    -------
    list of (float, float)
        Begin and end in seconds from the beginning of the item, in order, without overlap. Empty if
        nobody speaks; an item of digital silence has no chunk in any case.

    Raises
    ------
    AudioError
        If the recording cannot be read.
    ImportError
        If the detector is needed and not installed.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name, level in (("hum", 0.1), ("silence", 0.0)):
    ...     soundfile.write(folder / f"{name}.wav", [level] * 16_000, 16_000)
    ...     print(name, find_chunks(Item(name, folder / f"{name}.wav")))
    hum [(0.0, 1.0)]
    silence []
    """
    options = options or SegmentationOptions()
    stretch = locate(item)
    if stretch.seconds <= options.max_seconds and not options.always:
        # Blocks of a second: the first one mostly tells.
        sounds = any(bool(b.any()) for b in stream_blocks(item, stretch.rate, seconds=1.0))
        return [(0.0, stretch.seconds)] if sounds else []
    detector = detector or VoiceDetector()
    probabilities = detector.probabilities(stream_blocks(item, RATE))
    spans = detector.speech(
        probabilities,
        options.threshold,
        options.min_speech,
        options.min_silence,
        options.padding,
    )
    # The last frame may reach beyond the end.
    ended = [(a, min(b, stretch.seconds)) for a, b in spans if a < stretch.seconds]
    return pack(ended, probabilities, options)


def pack(
    spans: Sequence[tuple[float, float]],
    probabilities: torch.Tensor,
    options: SegmentationOptions,
) -> list[tuple[float, float]]:
    """Makes chunks of stretches of speech: cuts long ones, joins short ones.

    Arguments
    ---------
    spans : sequence of (float, float)
        Begin and end in seconds, in order, without overlap.
    probabilities : torch.Tensor
        The probability of speech in each frame, (frames,).
    options : SegmentationOptions
        How long chunks may be.

    Returns
    -------
    list of (float, float)
        None is longer than ``max_seconds``.

    Example
    -------
    >>> probabilities = torch.ones(1000)
    >>> probabilities[610:620] = 0.3  # a pause after 19.6 s
    >>> spans = [(0.0, 2.0), (2.5, 4.0), (8.0, 32.0)]
    >>> chunks = pack(spans, probabilities, SegmentationOptions(max_seconds=20.0))
    >>> [(round(a, 1), round(b, 1)) for a, b in chunks]
    [(0.0, 4.0), (8.0, 19.7), (19.7, 32.0)]
    """
    chunks: list[tuple[float, float]] = []
    for start, end in spans:
        before = chunks[-1] if chunks else None
        if (
            before is not None
            and start - before[1] <= options.max_gap
            and end - before[0] <= options.max_seconds
        ):
            chunks[-1] = (before[0], end)
            continue
        while end - start > options.max_seconds:
            cut = _quietest(probabilities, start, end, options.max_seconds)
            chunks.append((start, cut))
            start = cut
        chunks.append((start, end))
    return chunks


def _quietest(probabilities: torch.Tensor, start: float, end: float, max_seconds: float) -> float:
    """Where a stretch is cut: in its second half, so that no chunk becomes short without need."""
    second = RATE / FRAME
    latest = min(start + max_seconds, end - 0.5)
    first, last = round((start + max_seconds / 2) * second), round(latest * second)
    last = max(first + 1, min(last, len(probabilities)))
    low = max(0, first - _SMOOTHED)
    smooth = torch.nn.functional.avg_pool1d(
        probabilities[None, low : last + _SMOOTHED],
        _SMOOTHED,
        stride=1,
        padding=_SMOOTHED // 2,
        count_include_pad=False,
    )[0, first - low : last - low]
    # In the middle of the frame; of equals the latest, so that chunks are long.
    place = last - 1 - int(smooth.flip(0).argmin())
    return min(max((place + 0.5) / second, start + max_seconds / 2), latest)
