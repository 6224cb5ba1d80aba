"""Transcripts: immutable, with times in seconds from the start of the recording."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from gatedrnn.tokens.hypotheses import Word


def check_name(name: str) -> str:
    """Returns the name of a transcript, or raises a ValueError if it is no file name in a folder.

    It is relative, without suffix, with ``/`` between folders.

    Example
    -------
    >>> check_name("day1/talk")
    'day1/talk'
    >>> check_name("../talk")
    Traceback (most recent call last):
    ...
    ValueError: the name '../talk' must be relative, and without '.', '..' and empty parts
    """
    if not name or any(ord(c) < 32 for c in name):
        raise ValueError(f"the name {name!r} is empty or has control characters")
    parts = name.replace("\\", "/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or parts[0].endswith(":"):
        raise ValueError(
            f"the name {name!r} must be relative, and without '.', '..' and empty parts"
        )
    return name


@dataclass(frozen=True)
class TranscriptSegment:
    """A span of a recording that was recognized at once.

    Arguments
    ---------
    start, end : float
        Seconds from the start of the recording.
    text : str
        The best hypothesis; may be empty.
    words : tuple of Word
        The words with their times; empty if those are not known.
    confidence : float or None
        Mean confidence of the words, from 0 to 1.
    speaker : str or None
        Speaker, if known.

    Raises
    ------
    ValueError
        If not ``0 <= start <= end``.

    Example
    -------
    >>> words = Word("GO", 1.1, 1.3, 0.9), Word("ON", 1.4, 1.9, 0.8)
    >>> TranscriptSegment(1.0, 2.0, "GO ON", words).seconds
    1.0
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    speaker: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise ValueError(
                f"a segment from {self.start} to {self.end} s: must be 0 <= start <= end"
            )

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start

    def shifted(self, seconds: float) -> TranscriptSegment:
        """The same segment, later by so many seconds."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(
                replace(word, start=word.start + seconds, end=word.end + seconds)
                for word in self.words
            ),
        )


@dataclass(frozen=True)
class Transcript:
    """Transcript of a recording, or of a part of one.

    Arguments
    ---------
    name : str
        Relative name without suffix, with ``/`` between folders; unique within a run.
    source : str
        The audio file.
    duration : float
        Seconds that were transcribed.
    segments : tuple of TranscriptSegment
        Sorted by time.
    reference : str or None
        Reference transcript, if known.
    recording : str or None
        Name of the recording from whose start times count; None if that is ``name``.
    channel : int or None
        Channel of the file, from 0; None for the mean of all.

    Raises
    ------
    ValueError
        If the name is not that of a file below a folder.

    Example
    -------
    >>> segments = [(0.0, 1.0, "GO"), (4.0, 5.0, ""), (8.0, 9.0, "ON")]
    >>> segments = tuple(TranscriptSegment(*segment) for segment in segments)
    >>> transcript = Transcript("talk", "talk.wav", 10.0, segments)
    >>> transcript.text
    'GO ON'
    >>> transcript.shifted(60.0).segments[0].start
    60.0
    """

    name: str
    source: str
    duration: float
    segments: tuple[TranscriptSegment, ...] = ()
    reference: str | None = None
    recording: str | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def text(self) -> str:
        """The text of all segments."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    def shifted(self, seconds: float) -> Transcript:
        """The same transcript, later by so many seconds."""
        return replace(self, segments=tuple(s.shifted(seconds) for s in self.segments))

    def as_dict(self) -> dict[str, Any]:
        """The content of a JSON file; times in seconds, rounded to milliseconds.

        Example
        -------
        >>> segment = TranscriptSegment(0.0, 1.0, "GO")
        >>> Transcript("a", "a.wav", 1.0, (segment,)).as_dict()["segments"]
        [{'start': 0.0, 'end': 1.0, 'text': 'GO', 'confidence': None, 'speaker': None, 'words': []}]
        """
        segments = [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "text": s.text,
                "confidence": None if s.confidence is None else round(s.confidence, 4),
                "speaker": s.speaker,
                "words": [_rounded(word) for word in s.words],
            }
            for s in self.segments
        ]
        return {
            "id": self.name,
            "text": self.text,
            "reference": self.reference,
            "source": self.source,
            "recording": self.recording or self.name,
            "channel": self.channel,
            "duration": round(self.duration, 3),
            "words": [word for segment in segments for word in segment["words"]],
            "segments": segments,
        }


def _rounded(word: Word) -> dict[str, Any]:
    """A word as in n-best files."""
    data = asdict(word)
    return data | {
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }
