"""What was recognised in a recording: immutable data, with times from the recording's beginning."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from gatedrnn.tokens.hypotheses import Word


def check_name(name: str) -> str:
    """Looks whether the name of a transcript can be the name of a file below a folder.

    Arguments
    ---------
    name : str
        Relative, without suffix, with ``/`` between folders.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        If a file of that name would lie outside of the folder, or could not be.

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
class Segment:
    """A stretch of a recording that was recognised in one go.

    Arguments
    ---------
    start : float
        Begin, in seconds from the beginning of the recording.
    end : float
        End, likewise.
    text : str
        What was recognised; empty for nothing.
    words : tuple of Word
        The words with their times; empty if those are not known.
    confidence : float or None
        How sure the recogniser is, from 0 to 1.
    speaker : str or None
        Who speaks.

    Raises
    ------
    ValueError
        If it ends before it starts, or starts before the recording.

    Example
    -------
    >>> Segment(1.0, 2.0, "GO ON", (Word("GO", 1.1, 1.3, 0.9), Word("ON", 1.4, 1.9, 0.8))).seconds
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
                f"a segment from {self.start} to {self.end} s: 0 <= start <= end wanted"
            )

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start

    def shifted(self, seconds: float) -> Segment:
        """The same at another time.

        Arguments
        ---------
        seconds : float
            How much later.

        Returns
        -------
        Segment

        Example
        -------
        >>> Segment(0.0, 2.0, "GO", (Word("GO", 0.5, 1.0, 0.9),)).shifted(60.0).words[0].start
        60.5
        """
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
    """What was recognised in a recording, or in a part of one.

    Arguments
    ---------
    name : str
        Relative name without suffix, with ``/`` between folders; unique within a run.
    source : str
        The file.
    duration : float
        Seconds of what was looked at.
    segments : tuple of Segment
        In order of time.
    reference : str or None
        What was said, where that is known.
    recording : str or None
        Name of the recording from whose beginning times count; ``None`` if that is ``name``.
    channel : int or None
        The channel that was looked at, from 0; ``None`` for all, mixed.

    Raises
    ------
    ValueError
        If the name would lead out of a folder.

    Example
    -------
    >>> parts = Segment(0.0, 1.0, "GO"), Segment(4.0, 5.0, ""), Segment(8.0, 9.0, "ON")
    >>> transcript = Transcript("talk", "talk.wav", 10.0, parts)
    >>> transcript.text
    'GO ON'
    >>> transcript.shifted(60.0).segments[0].start
    60.0
    """

    name: str
    source: str
    duration: float
    segments: tuple[Segment, ...] = ()
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
        """The same at another time: for a part of a recording, once it is known where it lies.

        Arguments
        ---------
        seconds : float
            How much later.

        Returns
        -------
        Transcript
        """
        return replace(self, segments=tuple(s.shifted(seconds) for s in self.segments))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, as JSON holds it.

        Returns
        -------
        dict
            ``{"id", "text", "reference", "source", "recording", "channel", "duration", "words",
            "segments"}``;
            times in seconds, rounded to milliseconds.

        Example
        -------
        >>> Transcript("a", "a.wav", 1.0, (Segment(0.0, 1.0, "GO"),)).as_dict()["segments"]
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
    """A word as plain data, like those of n-best files."""
    data = asdict(word)
    return data | {
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }
