"""Subtitles: transcripts cut into pieces that can be read as they are shown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gatedrnn.tasks.asr.transcript import Segment, Transcript
from gatedrnn.tokens.hypotheses import Word


@dataclass(frozen=True)
class CueOptions:
    """What a subtitle may look like.

    Arguments
    ---------
    max_characters : int
        Of a line; a word that is longer has a line of its own.
    max_lines : int
        Shown at once.
    max_seconds : float
        Shown so long at most; a word that takes longer is shown as long as it takes.
    min_seconds : float
        Shown so long at least, if the next one leaves time for it.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> CueOptions(max_lines=1).max_characters
    42
    """

    max_characters: int = 42
    max_lines: int = 2
    max_seconds: float = 7.0
    min_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.max_characters < 1 or self.max_lines < 1:
            raise ValueError("subtitles need at least one line of at least one character")
        if not 0 <= self.min_seconds <= self.max_seconds or self.max_seconds == 0:
            raise ValueError(
                f"subtitles of {self.min_seconds} to {self.max_seconds} s: 0 <= min <= max wanted"
            )


@dataclass(frozen=True)
class Cue:
    """A subtitle.

    Arguments
    ---------
    start : float
        When it appears, in seconds.
    end : float
        When it disappears.
    lines : tuple of str
        What it shows.
    speaker : str or None
        Who speaks.
    """

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(transcript: Transcript, options: CueOptions | None = None) -> list[Cue]:
    """Cuts a transcript into subtitles, preferably where the speaker pauses.

    Arguments
    ---------
    transcript : Transcript
        The transcript.
    options : CueOptions or None
        What subtitles may look like.

    Returns
    -------
    list of Cue
        In order of time.

    Example
    -------
    >>> words = [Word(w, i, i + 0.5, 1.0) for i, w in enumerate("GO ON AND STOP".split())]
    >>> segment = Segment(0.0, 4.0, "GO ON AND STOP", tuple(words))
    >>> for cue in cues(Transcript("a", "a.wav", 4.0, (segment,)), CueOptions(8, 1)):
    ...     print(cue.start, cue.end, *cue.lines)
    0 1.5 GO ON
    2 3.5 AND STOP
    """
    options = options or CueOptions()
    found = []
    for segment in transcript.segments:
        for words in _pieces(_timed(segment), options):
            start, end = words[0].start, max(word.end for word in words)
            found.append(Cue(start, end, _lines(words, options), segment.speaker))
    found.sort(key=lambda cue: (cue.start, cue.end))
    # Of a part of a recording it is not known how much follows.
    limits = [cue.start for cue in found[1:]]
    limits.append(transcript.duration if transcript.recording is None else math.inf)
    return [
        _lengthened(cue, options.min_seconds, limit)
        for cue, limit in zip(found, limits, strict=False)
    ]


def _timed(segment: Segment) -> list[Word]:
    """Words with times; where none are known, those of an even pace."""
    if segment.words:
        return [word for word in segment.words if word.word]
    words = segment.text.split()
    letters = sum(map(len, words))
    timed, before = [], 0
    for word in words:
        start, end = (
            segment.start + segment.seconds * count / letters
            for count in (before, before + len(word))
        )
        timed.append(Word(word, start, end, 1.0))
        before += len(word)
    return timed


def _pieces(words: Sequence[Word], options: CueOptions) -> list[Sequence[Word]]:
    """Halves words until each piece fits."""
    if not words:
        return []
    if len(words) == 1 or _fits(words, options):
        return [words]
    letters = [0, *accumulate(len(word.word) for word in words)]

    def cost(place: int) -> float:
        # Uneven halves make subtitles of a single word; a second of silence outweighs that.
        uneven = abs(2 * letters[place] / letters[-1] - 1)
        return uneven - min(1.0, words[place].start - words[place - 1].end)

    best = min(range(1, len(words)), key=cost)
    return _pieces(words[:best], options) + _pieces(words[best:], options)


def _fits(words: Sequence[Word], options: CueOptions) -> bool:
    return (
        words[-1].end - words[0].start <= options.max_seconds
        and len(_wrapped(words, options.max_characters)) <= options.max_lines
    )


def _wrapped(words: Sequence[Word], width: int) -> list[str]:
    text = " ".join(word.word for word in words)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _lines(words: Sequence[Word], options: CueOptions) -> tuple[str, ...]:
    """Lines of about the same length: no more than needed, each no longer than needed."""
    lines = _wrapped(words, options.max_characters)
    for width in range(1, options.max_characters):
        narrower = _wrapped(words, width)
        if len(narrower) == len(lines):
            return tuple(narrower)
    return tuple(lines)


def _lengthened(cue: Cue, seconds: float, limit: float) -> Cue:
    """Shows a cue for some seconds, but not beyond a limit."""
    end = max(cue.end, min(cue.start + seconds, limit))
    return Cue(cue.start, end, cue.lines, cue.speaker)
