"""Pairs of reference and hypothesis, by utterance id or by time; overlap of speakers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gatedrnn.scoring.formats import Transcript, Transcripts, channel_transcript
from gatedrnn.tokens.hypotheses import Word

#: What is done with utterances that have no hypothesis.
MISSING = ("delete", "ignore", "error")
#: What is done with hypotheses that have no reference.
EXTRA = ("error", "ignore")
#: Names that a message lists.
_LISTED = 5


@dataclass(frozen=True)
class Pair:
    """Reference and hypothesis of an utterance; a missing hypothesis has no words."""

    reference: Transcript
    hypothesis: Transcript


@dataclass(frozen=True)
class Pairing:
    """The scored utterances, in the order of the reference, and what is on one side only.

    ``missing``: utterances without hypothesis; ``extra``: hypotheses (or channels of recordings)
    without reference; ``ignored``: segments that are marked as not to be scored.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def pair(
    reference: Transcripts, hypothesis: Transcripts, missing: str = "delete", extra: str = "error"
) -> Pairing:
    """Pairs utterances by id, in any order; hypotheses of whole recordings by :func:`cut`.

    ``missing``: "delete" counts the words of utterances without hypothesis as deleted, "ignore"
    leaves them out (as sclite does), "error" stops. ``extra``: "error" stops at a hypothesis
    without reference (as sclite does), "ignore" leaves it out.
    """
    for value, allowed, name in ((missing, MISSING, "missing"), (extra, EXTRA, "extra")):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if reference.format == "ctm":
        raise ValueError(f"{reference.path}: a ctm file has no utterances and is no reference")
    if _of_recordings(reference, hypothesis):
        hypotheses, unpaired = cut(reference, hypothesis)
    else:
        hypotheses, unpaired = hypothesis.by_id(), []
    scored = [item for item in reference.items if not item.ignored]
    absent = [item.id for item in scored if item.id not in hypotheses]
    unpaired += sorted(hypotheses.keys() - reference.by_id().keys())
    if len(absent) == len(scored):
        raise ValueError(
            f"{hypothesis.path} has no hypothesis for any of the {len(scored)} utterances of "
            f"{reference.path}: it has {_some(unpaired) or 'none'}, they are called "
            f"{_some([item.id for item in scored]) or 'nothing'}"
        )
    if unpaired and extra == "error":
        raise ValueError(
            f"{hypothesis.path} has {len(unpaired)} that {reference.path} has not: "
            f"{_some(unpaired)}; leave them out with --extra ignore"
        )
    if absent and missing == "error":
        raise ValueError(f"{hypothesis.path} lacks {len(absent)} utterances: {_some(absent)}")
    if missing == "ignore":
        scored = [item for item in scored if item.id in hypotheses]
    pairs = tuple(Pair(item, hypotheses.get(item.id) or replace(item, words=())) for item in scored)
    ignored = tuple(item.id for item in reference.items if item.ignored)
    return Pairing(pairs, tuple(absent), tuple(unpaired), ignored)


def _of_recordings(reference: Transcripts, hypothesis: Transcripts) -> bool:
    """Whether hypotheses are of whole recordings rather than of utterances."""
    if hypothesis.format == "ctm":
        return True
    names, recordings = reference.by_id(), {item.recording for item in reference.items}
    return all(
        item.id not in names
        and (item.recording or item.id) in recordings
        and len(item.times) == len(item.words)
        for item in hypothesis.items
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def cut(reference: Transcripts, hypothesis: Transcripts) -> tuple[dict[str, Transcript], list[str]]:
    """Cuts hypotheses of whole recordings at the segments of the reference, as sclite does.

    In each channel of a recording segments and words are sorted by their start. A word goes to the
    first segment, counted from that of the word before, that ends after the middle of the word; so
    words between segments go to the next one, and words after the last segment to it.

    Returns segment id -> hypothesis, without segments of recordings that were not recognised, and
    the ids of channels that the reference does not have.
    """
    segments: dict[tuple[str, str], list[Transcript]] = {}
    for item in reference.items:
        if not item.recording or item.start is None or item.end is None:
            raise ValueError(
                f"{reference.path}: words with times need a reference with recordings and times, "
                f"such as stm, but {item.id} has none"
            )
        segments.setdefault((item.recording, item.channel), []).append(item)
    hypotheses: dict[str, Transcript] = {}
    unknown = []
    seen: set[tuple[str, str]] = set()
    for item in hypothesis.items:
        key = (item.recording or item.id, item.channel)
        if key in seen:
            raise ValueError(f"{hypothesis.path} has channel {key[1]} of {key[0]} twice")
        seen.add(key)
        if key not in segments:
            unknown.append(item.id)
            continue
        ordered = sorted(segments[key], key=lambda s: s.start)
        times = channel_transcript(*key, item.times).times
        for segment, words in zip(ordered, _deal(ordered, times), strict=True):
            hypotheses[segment.id] = _in_segment(segment, words)
    return hypotheses, unknown


def _deal(segments: Sequence[Transcript], words: Iterable[Word]) -> list[list[Word]]:
    """The words of each segment."""
    # sclite has the ends in single precision and durations in double, which decides where the
    # middle of a word is the end of a segment.
    ends = [float(np.float32(segment.end)) for segment in segments]
    dealt: list[list[Word]] = [[] for _ in segments]
    current = 0
    for word in words:
        middle = word.start + round(word.end - word.start, 6) / 2
        while current < len(segments) - 1 and middle >= ends[current]:
            current += 1
        dealt[current].append(word)
    return dealt


def _in_segment(segment: Transcript, words: Sequence[Word]) -> Transcript:
    """The hypothesis of a segment; word times count from its start."""
    times = tuple(
        replace(w, start=w.start - segment.start, end=w.end - segment.start) for w in words
    )
    return replace(segment, words=tuple(w.word for w in words), times=times)


@dataclass(frozen=True)
class Overlap:
    """Overlapped speech of a reference.

    ``percent``: time in which at least two speakers speak, of the time in which any does;
    ``flags``: for each utterance, whether another speaker speaks during it.
    """

    percent: float
    flags: tuple[bool, ...]


def overlap(utterances: Sequence[Transcript]) -> Overlap | None:
    """Overlapped speech of the segments of a reference; None if a recording or time is unknown."""
    if any(not u.recording or u.start is None or u.end is None for u in utterances):
        return None
    flags = [False] * len(utterances)
    overlapped = speech = 0.0
    for recording in sorted({u.recording for u in utterances}):
        inside = [i for i, u in enumerate(utterances) if u.recording == recording]
        inside.sort(key=lambda i: utterances[i].start)
        _flag(utterances, inside, flags)
        seconds = _speech_seconds([utterances[i] for i in inside])
        overlapped, speech = overlapped + seconds[0], speech + seconds[1]
    return Overlap(100 * overlapped / speech if speech else 0.0, tuple(flags))


def _flag(utterances: Sequence[Transcript], ordered: Sequence[int], flags: list[bool]) -> None:
    """Flags utterances of a recording in which another speaker speaks."""
    for position, i in enumerate(ordered):
        for j in ordered[position + 1 :]:
            if utterances[j].start >= utterances[i].end:
                break
            if utterances[i].speaker != utterances[j].speaker:
                flags[i] = flags[j] = True


def _speech_seconds(segments: Sequence[Transcript]) -> tuple[float, float]:
    """Time in which at least two speak, and in which any speaker does, in a recording."""
    edges = sorted(
        edge for s in segments for edge in ((s.start, 1, s.speaker), (s.end, -1, s.speaker))
    )
    # A speaker's own segments may overlap too: that is still one speaker.
    open_segments: dict[str, int] = {}
    overlapped = speech = 0.0
    before = 0.0
    for time, change, speaker in edges:
        overlapped += (time - before) * (len(open_segments) > 1)
        speech += (time - before) * (len(open_segments) > 0)
        before = time
        open_segments[speaker] = open_segments.get(speaker, 0) + change
        if not open_segments[speaker]:
            del open_segments[speaker]
    return overlapped, speech
