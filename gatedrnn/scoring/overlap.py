"""Where speakers speak at once: one microphone, and so one hypothesis, cannot be right for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatedrnn.scoring.transcript import Transcript


@dataclass(frozen=True)
class Overlap:
    """How much speech is spoken at once.

    Arguments
    ---------
    share : float
        Time in which more than one speaks, of the time in which anybody does, in per cent.
    flags : tuple of bool
        For each utterance, whether another speaker speaks in its time.
    """

    share: float
    flags: tuple[bool, ...]


def overlap(utterances: Sequence[Transcript]) -> Overlap | None:
    """Finds speech that is spoken at once.

    Arguments
    ---------
    utterances : sequence of Transcript
        Segments of the reference.

    Returns
    -------
    Overlap or None
        None if a recording or a time is unknown.

    Example
    -------
    >>> ann = Transcript("a", (), "ann", "m1", start=0.0, end=3.0)
    >>> bob = Transcript("b", (), "bob", "m1", start=2.0, end=4.0)
    >>> overlap([ann, bob, Transcript("c", (), "ann", "m1", start=5.0, end=6.0)])
    Overlap(share=20.0, flags=(True, True, False))
    """
    if any(not u.recording or u.start is None or u.end is None for u in utterances):
        return None
    flags = [False] * len(utterances)
    several = anybody = 0.0
    for recording in sorted({u.recording for u in utterances}):
        inside = [i for i, u in enumerate(utterances) if u.recording == recording]
        inside.sort(key=lambda i: utterances[i].start)
        _flag(utterances, inside, flags)
        both, one = _times([utterances[i] for i in inside])
        several, anybody = several + both, anybody + one
    return Overlap(100 * several / anybody if anybody else 0.0, tuple(flags))


def _flag(utterances: Sequence[Transcript], ordered: Sequence[int], flags: list[bool]) -> None:
    """Flags utterances of a recording in which another speaker speaks."""
    for position, i in enumerate(ordered):
        for j in ordered[position + 1 :]:
            if utterances[j].start >= utterances[i].end:
                break
            if utterances[i].speaker != utterances[j].speaker:
                flags[i] = flags[j] = True


def _times(segments: Sequence[Transcript]) -> tuple[float, float]:
    """Time in which at least two speak, and in which at least one does, in a recording."""
    edges = sorted(
        edge for s in segments for edge in ((s.start, 1, s.speaker), (s.end, -1, s.speaker))
    )
    # A speaker's own segments may overlap too: that is still one speaker.
    open_segments: dict[str, int] = {}
    several = anybody = 0.0
    before = 0.0
    for time, change, speaker in edges:
        several += (time - before) * (len(open_segments) > 1)
        anybody += (time - before) * (len(open_segments) > 0)
        before = time
        open_segments[speaker] = open_segments.get(speaker, 0) + change
        if not open_segments[speaker]:
            del open_segments[speaker]
    return several, anybody
