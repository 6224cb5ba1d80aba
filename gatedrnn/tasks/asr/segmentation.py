"""Segmentation of long recordings into chunks, cut at pauses by voice activity detection."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gatedrnn.lazy import MissingExtraError
from gatedrnn.tasks.asr.inputs import Item, locate, stream_blocks

#: Samples per second of the voice activity detector.
RATE = 16_000
#: Samples per probability, and samples of context before them.
FRAME, CONTEXT = 512, 64
_STATE = 128
#: Frames over which probabilities are averaged to find a pause: about 0.2 s.
_SMOOTHED = 7


@dataclass(frozen=True)
class SegmentationOptions:
    """Segmentation of recordings into chunks.

    Arguments
    ---------
    max_seconds : float
        Maximum duration of a chunk, at least 1. Shorter recordings are one chunk.
    threshold : float
        Probability from which a frame is speech, between 0 and 1.
    min_speech : float
        Speech of this many seconds or fewer is ignored.
    min_silence : float
        Pauses shorter than this many seconds do not end a span of speech.
    padding : float
        Seconds kept before and after speech.
    max_gap : float
        Spans of speech with at most so many seconds between them make one chunk, up to
        ``max_seconds``.
    always : bool
        Detect speech in short recordings, too.
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


class VoiceDetector:
    """Silero VAD: the probability of speech, 31 times a second.

    It runs the network for sequences of Silero's package, many frames per call, and carries its
    state from block to block. Raises an ImportError if the package is not installed.
    """

    def __init__(self) -> None:
        # Silero's package sets the threads of the whole process to one.
        threads = torch.get_num_threads()
        try:
            self._silero = importlib.import_module("silero_vad")
            self._session = self._silero.load_silero_vad(sequence=True).session
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"voice activity detection, which segments long recordings, needs {error.name}: "
                'pip install "gatedrnn[vad]"'
            ) from error
        finally:
            torch.set_num_threads(threads)

    def probabilities(self, blocks: Iterable[torch.Tensor]) -> torch.Tensor:
        """The probability of speech in each frame, (frames,), of a signal in blocks at 16 kHz.

        blocks: each (samples,); the last frame is padded with zeros
        """
        state = [np.zeros((1, 1, _STATE), np.float32)] * 2
        # The context of the first frame is zeros.
        held = torch.zeros(CONTEXT)
        probabilities = []
        for block in blocks:
            held = torch.cat([held, block])
            frames = (len(held) - CONTEXT) // FRAME
            if frames:
                values, *state = self._run(held, frames, state)
                probabilities.append(values)
                held = held[frames * FRAME :]
        if len(held) > CONTEXT:
            missing = FRAME + CONTEXT - len(held)
            values, *_ = self._run(torch.nn.functional.pad(held, (0, missing)), 1, state)
            probabilities.append(values)
        return torch.from_numpy(np.concatenate([np.zeros(0, np.float32), *probabilities]))

    def speech(
        self,
        probabilities: torch.Tensor,
        threshold: float = 0.5,
        min_speech: float = 0.25,
        min_silence: float = 0.1,
        padding: float = 0.03,
    ) -> list[tuple[float, float]]:
        """Start and end of spans of speech in seconds, by Silero's own rules; sorted, disjoint.

        probabilities: of speech in each frame, (frames,)

        Speech starts at the threshold and ends 0.15 below it; for the others see
        :class:`SegmentationOptions`.
        """
        spans = self._silero.get_speech_timestamps_from_probs(
            probabilities.tolist(),
            RATE,
            threshold=threshold,
            min_speech_duration_ms=1000 * min_speech,
            min_silence_duration_ms=1000 * min_silence,
            speech_pad_ms=1000 * padding,
        )
        return [(span["start"] / RATE, span["end"] / RATE) for span in spans]

    def _run(
        self, samples: torch.Tensor, frames: int, state: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        windows = samples[: CONTEXT + frames * FRAME].unfold(0, CONTEXT + FRAME, FRAME)
        inputs = {"input": windows.contiguous().numpy(), "h": state[0], "c": state[1]}
        values, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        return values.reshape(-1), hidden, cell


def find_chunks(
    item: Item,
    options: SegmentationOptions | None = None,
    detector: VoiceDetector | None = None,
) -> list[tuple[float, float]]:
    """Start and end of the chunks of an item, in seconds from its start; sorted, disjoint.

    There are none without speech, or in digital silence. Raises an AudioError if the recording
    cannot be read, an ImportError if the detector is needed and not installed.
    """
    options = options or SegmentationOptions()
    span = locate(item)
    if span.seconds <= options.max_seconds and not options.always:
        # Blocks of a second: mostly the first one decides.
        sounds = any(bool(b.any()) for b in stream_blocks(item, span.rate, seconds=1.0))
        return [(0.0, span.seconds)] if sounds else []
    detector = detector or VoiceDetector()
    probabilities = detector.probabilities(stream_blocks(item, RATE))
    speech = detector.speech(
        probabilities,
        options.threshold,
        options.min_speech,
        options.min_silence,
        options.padding,
    )
    # The last frame may reach beyond the end.
    speech = [(a, min(b, span.seconds)) for a, b in speech if a < span.seconds]
    return pack(speech, probabilities, options)


def pack(
    spans: Sequence[tuple[float, float]],
    probabilities: torch.Tensor,
    options: SegmentationOptions,
) -> list[tuple[float, float]]:
    """Makes chunks of spans of speech: splits those longer than ``max_seconds``, joins short ones.

    spans: start and end in seconds, sorted, disjoint
    probabilities: of speech in each frame, (frames,)
    """
    chunks: list[tuple[float, float]] = []
    for start, end in spans:
        previous = chunks[-1] if chunks else None
        if (
            previous is not None
            and start - previous[1] <= options.max_gap
            and end - previous[0] <= options.max_seconds
        ):
            chunks[-1] = (previous[0], end)
            continue
        while end - start > options.max_seconds:
            cut = _quietest(probabilities, start, end, options.max_seconds)
            chunks.append((start, cut))
            start = cut
        chunks.append((start, end))
    return chunks


def _quietest(probabilities: torch.Tensor, start: float, end: float, max_seconds: float) -> float:
    """Where a span is cut: in its second half, so that no chunk is short without need."""
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
    # In the middle of the frame; of equal ones the last, so that chunks are long.
    place = last - 1 - int(smooth.flip(0).argmin())
    return min(max((place + 0.5) / second, start + max_seconds / 2), latest)
