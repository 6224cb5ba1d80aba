"""Concatenated minimum-permutation word error rate, of meetings with several speakers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from gatedrnn.scoring.bootstrap import Interval, rate_interval
from gatedrnn.scoring.counts import Counts, total
from gatedrnn.scoring.fillers import without_fillers
from gatedrnn.scoring.measures import Options
from gatedrnn.scoring.transcript import Transcript, Transcripts

#: Words of a speaker throughout a recording.
Stream = tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """A recording's count.

    Arguments
    ---------
    counts : Counts
        Fewest errors of any assignment.
    speakers : int
        Of the reference.
    streams : int
        Of the hypothesis.
    assignment : tuple of (str, str)
        Speakers of the reference and of the hypothesis that were taken for the same.
    """

    counts: Counts
    speakers: int
    streams: int
    assignment: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MeetingScore:
    """How a system did on meetings.

    Arguments
    ---------
    reference, hypothesis : Transcripts
        What was compared.
    recordings : dict
        Name -> the recording's count.
    no_fillers : dict
        The same without fillers.
    missing, extra : tuple of str
        Recordings that one side has only; the missing ones count as deleted.
    interval : Interval or None
        95 % interval of the rate, over recordings.
    """

    reference: Transcripts
    hypothesis: Transcripts
    recordings: dict[str, Recording]
    no_fillers: dict[str, Recording]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    interval: Interval | None

    @property
    def counts(self) -> Counts:
        """Counts of all recordings."""
        return total(recording.counts for recording in self.recordings.values())

    @property
    def counts_without_fillers(self) -> Counts:
        """Counts of all recordings without fillers."""
        return total(recording.counts for recording in self.no_fillers.values())


def score_meetings(
    reference: Transcripts, hypothesis: Transcripts, options: Options | None = None
) -> MeetingScore:
    """Scores whole recordings, whoever the hypothesis calls the speakers.

    All that a speaker says in a recording is strung together in the order of time, on both
    sides; each speaker of the reference is compared with one of the hypothesis, so that there are
    fewest errors; those without a partner count as deleted or inserted.

    A hypothesis that does not say who speaks where is taken, utterance by utterance, to be of the
    reference's speaker; each channel of a ctm file is a speaker.

    Arguments
    ---------
    reference : Transcripts
        With recordings and speakers.
    hypothesis : Transcripts
        Of the same recordings, or with the reference's names of utterances.
    options : Options or None
        How; None for the defaults.

    Returns
    -------
    MeetingScore

    Raises
    ------
    ValueError
        If it is unknown who speaks, or the hypothesis has a recording that the reference has not.

    Example
    -------
    >>> def said(name, speaker, text, start):
    ...     return Transcript(name, tuple(text.split()), speaker, "m1", start=start)
    >>> reference = (said("1", "ann", "GO ON", 0.0), said("2", "bob", "NO", 1.0))
    >>> hypothesis = (said("x", "s2", "GO IN", 0.0), said("y", "s1", "NO", 1.0))
    >>> found = score_meetings(
    ...     Transcripts("r", "stm", reference), Transcripts("h", "stm", hypothesis))
    >>> found.counts.errors, found.recordings["m1"].assignment
    (1, (('ann', 's2'), ('bob', 's1')))
    """
    options = options or Options()
    spell = _lower if options.ignore_case else tuple
    said = _streams([item for item in reference.items if not item.ignored], reference.path, spell)
    heard = _streams(_attributed(reference, hypothesis), hypothesis.path, spell)
    extra = tuple(sorted(heard.keys() - said.keys()))
    if extra and options.extra == "error":
        raise ValueError(
            f"{hypothesis.path} has recordings that {reference.path} has not: {', '.join(extra)}; "
            "leave them out with --extra ignore"
        )
    missing = tuple(sorted(said.keys() - heard.keys()))
    if missing and options.missing == "error":
        raise ValueError(f"{hypothesis.path} lacks recordings: {', '.join(missing)}")
    scored = [name for name in sorted(said) if options.missing != "ignore" or name in heard]
    if not scored or len(missing) == len(said):
        raise ValueError(f"{hypothesis.path} has none of the recordings of {reference.path}")
    found, bare = (
        {name: _recording(said[name], heard.get(name, {}), change) for name in scored}
        for change in (tuple, without_fillers)
    )
    each = [recording.counts for recording in found.values()]
    interval = rate_interval(
        [c.errors for c in each],
        [c.tokens for c in each],
        None,
        options.resamples,
        options.seed,
    )
    return MeetingScore(reference, hypothesis, found, bare, missing, extra, interval)


def _attributed(reference: Transcripts, hypothesis: Transcripts) -> list[Transcript]:
    """Hypotheses with recordings, speakers and beginnings: their own or those of the reference."""
    if hypothesis.format == "ctm":
        return [replace(item, speaker=item.channel) for item in hypothesis.items]
    known = reference.by_id()
    found = []
    for item in hypothesis.items:
        said = known.get(item.id)
        if said is not None and said.ignored:
            continue
        if item.recording and item.speaker:
            found.append(item)
        elif said is not None:
            found.append(replace(said, words=item.words))
        else:
            raise ValueError(
                f"{hypothesis.path}: {item.id} has no recording and speaker of its own, and "
                f"{reference.path} has no utterance of that name"
            )
    return found


def _streams(
    items: Sequence[Transcript], path: str, spell: Callable
) -> dict[str, dict[str, Stream]]:
    """Recording -> speaker -> all words, in the order of time."""
    lost = [item.id for item in items if not item.recording or not item.speaker]
    if lost:
        raise ValueError(
            f"{path}: for cpWER recordings and speakers must be known, but those of {lost[0]} are "
            "not; give them with --recordings and --speakers"
        )
    found: dict[str, dict[str, Stream]] = {}
    # The order of the file where times are unknown: sorting keeps it.
    for item in sorted(items, key=lambda t: t.start or 0.0):
        speakers = found.setdefault(item.recording, {})
        speakers[item.speaker] = speakers.get(item.speaker, ()) + tuple(spell(item.words))
    return found


def _recording(
    said: dict[str, Stream], heard: dict[str, Stream], change: Callable[[Stream], Stream]
) -> Recording:
    """Counts of the best assignment of speakers."""
    names, streams = sorted(said), sorted(heard)
    first = [change(said[name]) for name in names]
    second = [change(heard[name]) for name in streams]
    # A speaker without a partner is compared with silence.
    size = max(len(first), len(second))
    first += [()] * (size - len(first))
    second += [()] * (size - len(second))
    errors = np.array([[Levenshtein.distance(a, b) for b in second] for a in first])
    rows, columns = linear_sum_assignment(errors)
    counts = total(_counts(first[i], second[j]) for i, j in zip(rows, columns, strict=True))
    partners = tuple(
        (names[i], streams[j])
        for i, j in zip(rows, columns, strict=True)
        if i < len(names) and j < len(streams)
    )
    return Recording(counts, len(names), len(streams), partners)


def _counts(said: Stream, heard: Stream) -> Counts:
    """Counts with the fewest errors; sclite's alignment of an hour would fill the memory."""
    kinds = [edit.tag for edit in Levenshtein.editops(said, heard)]
    substitutions, deletions, insertions = (
        kinds.count(kind) for kind in ("replace", "delete", "insert")
    )
    correct = len(said) - substitutions - deletions
    return Counts(correct, substitutions, deletions, insertions)


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)
