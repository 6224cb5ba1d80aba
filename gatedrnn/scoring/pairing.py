"""Which hypothesis belongs to which reference: by name, or words with times to segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gatedrnn.data.hypotheses import Word
from gatedrnn.scoring.timed_files import channel_of
from gatedrnn.scoring.transcript import Transcript, Transcripts

#: What is done with utterances that have no hypothesis.
MISSING = ("delete", "ignore", "error")
#: What is done with hypotheses that have no reference.
EXTRA = ("error", "ignore")
#: Names that a message lists.
_LISTED = 5


@dataclass(frozen=True)
class Pair:
    """An utterance as it was said and as it was heard.

    Arguments
    ---------
    reference : Transcript
        What was said.
    hypothesis : Transcript
        What was heard: nothing, if it is missing.
    """

    reference: Transcript
    hypothesis: Transcript


@dataclass(frozen=True)
class Pairing:
    """The utterances that are scored, and what is left over on either side.

    Arguments
    ---------
    pairs : tuple of Pair
        In the order of the reference.
    missing : tuple of str
        Utterances without hypothesis.
    extra : tuple of str
        Hypotheses (or channels of recordings) without reference.
    ignored : tuple of str
        Segments whose text says that they are not scored.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def pair(
    reference: Transcripts, hypothesis: Transcripts, missing: str = "delete", extra: str = "error"
) -> Pairing:
    """Finds the hypothesis of each utterance.

    By name, in any order; words of a ctm file, and those of JSON lines that are one to a
    recording, by :func:`cut`.

    Arguments
    ---------
    reference : Transcripts
        What was said.
    hypothesis : Transcripts
        What was heard.
    missing : str
        What becomes of an utterance without hypothesis: "delete" counts its words as deleted,
        "ignore" leaves it out (as sclite does), "error" stops.
    extra : str
        What becomes of a hypothesis without reference: "error" stops (as sclite does), "ignore"
        leaves it out.

    Returns
    -------
    Pairing

    Raises
    ------
    ValueError
        If nothing is left to score, or something is missing or extra that must not be.

    Example
    -------
    >>> said = Transcripts("r", "trn", (Transcript("a", ("YES",)), Transcript("b", ("NO",))))
    >>> heard = Transcripts("h", "trn", (Transcript("b", ("NO",)),))
    >>> found = pair(said, heard)
    >>> [p.hypothesis.text for p in found.pairs], found.missing
    (['', 'NO'], ('a',))
    """
    for value, allowed, name in ((missing, MISSING, "missing"), (extra, EXTRA, "extra")):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if reference.format == "ctm":
        raise ValueError(f"{reference.path}: a ctm file has no utterances and is no reference")
    heard, left = cut(reference, hypothesis) if _whole(reference, hypothesis) else (
        hypothesis.by_id(), []
    )  # fmt: skip
    scored = [item for item in reference.items if not item.ignored]
    lost = [item.id for item in scored if item.id not in heard]
    left += sorted(heard.keys() - reference.by_id().keys())
    if len(lost) == len(scored):
        raise ValueError(
            f"{hypothesis.path} has no hypothesis for any of the {len(scored)} utterances of "
            f"{reference.path}: it has {_some(left) or 'none'}, they are called "
            f"{_some([item.id for item in scored]) or 'nothing'}"
        )
    if left and extra == "error":
        raise ValueError(
            f"{hypothesis.path} has {len(left)} that {reference.path} has not: {_some(left)}; "
            "leave them out with --extra ignore"
        )
    if lost and missing == "error":
        raise ValueError(f"{hypothesis.path} lacks {len(lost)} utterances: {_some(lost)}")
    if missing == "ignore":
        scored = [item for item in scored if item.id in heard]
    pairs = tuple(Pair(said, heard.get(said.id) or replace(said, words=())) for said in scored)
    ignored = tuple(item.id for item in reference.items if item.ignored)
    return Pairing(pairs, tuple(lost), tuple(left), ignored)


def _whole(reference: Transcripts, hypothesis: Transcripts) -> bool:
    """Whether hypotheses are of whole recordings rather than utterances."""
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
    """Cuts what was heard in whole recordings at the segments of the reference, as sclite does.

    In each channel of a recording segments and words are taken in the order of their beginnings.
    A word goes to the first segment, from the last word's on, that ends after the middle of the
    word; so words between segments go to the next one, and words after the last segment to it.

    Arguments
    ---------
    reference : Transcripts
        Segments with recordings and times.
    hypothesis : Transcripts
        A transcript per channel, or per recording, with word times.

    Returns
    -------
    (dict, list of str)
        Name of each segment -> what was heard in it (segments of recordings that were not
        recognised are not in it), and channels that the reference has not.

    Raises
    ------
    ValueError
        If the reference has no recordings or no times, or a channel was heard twice.

    Example
    -------
    >>> said = Transcripts("r", "stm", (
    ...     Transcript("a", ("GO", "ON"), "", "m1", "1", 0.0, 1.0),
    ...     Transcript("b", ("NO",), "", "m1", "1", 1.0, 2.0)))
    >>> words = [Word("GO", 0.1, 0.4, 1.0), Word("ON", 0.8, 1.1, 1.0), Word("NO", 2.5, 2.7, 1.0)]
    >>> heard = Transcripts("h", "ctm", (channel_of("m1", "1", words),))
    >>> {name: t.text for name, t in cut(said, heard)[0].items()}
    {'a': 'GO ON', 'b': 'NO'}
    """
    segments: dict[tuple[str, str], list[Transcript]] = {}
    for item in reference.items:
        if not item.recording or item.start is None or item.end is None:
            raise ValueError(
                f"{reference.path}: words with times need a reference with recordings and times, "
                f"such as stm, but {item.id} has none"
            )
        segments.setdefault((item.recording, item.channel), []).append(item)
    found: dict[str, Transcript] = {}
    left = []
    heard: set[tuple[str, str]] = set()
    for item in hypothesis.items:
        key = (item.recording or item.id, item.channel)
        if key in heard:
            raise ValueError(f"{hypothesis.path} has channel {key[1]} of {key[0]} twice")
        heard.add(key)
        if key not in segments:
            left.append(item.id)
            continue
        ordered = sorted(segments[key], key=lambda s: s.start)
        times = channel_of(*key, item.times).times
        for segment, words in zip(ordered, _deal(ordered, times), strict=True):
            found[segment.id] = _part(segment, words)
    return found, left


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


def _part(segment: Transcript, words: Sequence[Word]) -> Transcript:
    """What was heard in a segment."""
    times = tuple(
        replace(w, start=w.start - segment.start, end=w.end - segment.start) for w in words
    )
    return replace(segment, words=tuple(w.word for w in words), times=times)
