"""Concatenated minimum-permutation word error rate, of meetings with several speakers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from gatedrnn.scoring.alignment import Counts, total
from gatedrnn.scoring.bootstrap import Interval, rate_interval
from gatedrnn.scoring.measures import Options, without_fillers
from gatedrnn.scoring.transcript import Transcript, Transcripts, lower

#: Words of a speaker throughout a recording.
Stream = tuple[str, ...]


@dataclass(frozen=True)
class RecordingScore:
    """The score of a recording.

    ``counts``: of the assignment with the fewest errors; ``speakers``: of the reference;
    ``streams``: of the hypothesis; ``assignment``: pairs of a speaker of the reference and one of
    the hypothesis.
    """

    counts: Counts
    speakers: int
    streams: int
    assignment: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MeetingScore:
    """The score of a system on meetings.

    Arguments
    ---------
    reference, hypothesis : Transcripts
        As read.
    recordings, no_fillers : dict
        Recording -> its score, with and without fillers.
    missing, extra : tuple of str
        Recordings on one side only; the words of missing ones count as deleted.
    interval : Interval or None
        95 % interval of the rate, over recordings.
    """

    reference: Transcripts
    hypothesis: Transcripts
    recordings: dict[str, RecordingScore]
    no_fillers: dict[str, RecordingScore]
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
    """Scores whole recordings, whatever the hypothesis calls the speakers.

    The words of each speaker in a recording are concatenated in the order of time, on both sides;
    each speaker of the reference is assigned one of the hypothesis, so that errors are fewest;
    those without a partner count as deleted or inserted.

    If the hypothesis does not name speakers, each utterance gets the reference's speaker; each
    channel of a ctm file is a speaker.

    Arguments
    ---------
    reference : Transcripts
        With recordings and speakers.
    hypothesis : Transcripts
        Of the same recordings, or with the reference's utterance ids.
    options : Options or None
        None for the defaults.

    Returns
    -------
    MeetingScore

    Raises
    ------
    ValueError
        If a speaker is unknown, or the hypothesis has a recording that the reference has not.

    Example
    -------
    >>> def utterance(name, speaker, text, start):
    ...     return Transcript(name, tuple(text.split()), speaker, "m1", start=start)
    >>> references = (utterance("1", "ann", "GO ON", 0.0), utterance("2", "bob", "NO", 1.0))
    >>> hypotheses = (utterance("x", "s2", "GO IN", 0.0), utterance("y", "s1", "NO", 1.0))
    >>> result = score_meetings(
    ...     Transcripts("r", "stm", references), Transcripts("h", "stm", hypotheses))
    >>> result.counts.errors, result.recordings["m1"].assignment
    (1, (('ann', 's2'), ('bob', 's1')))
    """
    options = options or Options()
    normalize: Callable = lower if options.ignore_case else tuple
    scored_items = [item for item in reference.items if not item.ignored]
    references = _streams(scored_items, reference.path, normalize)
    hypotheses = _streams(_attributed(reference, hypothesis), hypothesis.path, normalize)
    extra = tuple(sorted(hypotheses.keys() - references.keys()))
    if extra and options.extra == "error":
        raise ValueError(
            f"{hypothesis.path} has recordings that {reference.path} has not: {', '.join(extra)}; "
            "leave them out with --extra ignore"
        )
    missing = tuple(sorted(references.keys() - hypotheses.keys()))
    if missing and options.missing == "error":
        raise ValueError(f"{hypothesis.path} lacks recordings: {', '.join(missing)}")
    scored = [n for n in sorted(references) if options.missing != "ignore" or n in hypotheses]
    if not scored or len(missing) == len(references):
        raise ValueError(f"{hypothesis.path} has none of the recordings of {reference.path}")
    recordings, no_fillers = (
        {name: _recording(references[name], hypotheses.get(name, {}), change) for name in scored}
        for change in (tuple, without_fillers)
    )
    each = [recording.counts for recording in recordings.values()]
    interval = rate_interval(
        [c.errors for c in each], [c.tokens for c in each], None, options.resamples, options.seed
    )
    return MeetingScore(reference, hypothesis, recordings, no_fillers, missing, extra, interval)


def _attributed(reference: Transcripts, hypothesis: Transcripts) -> list[Transcript]:
    """Hypotheses with recordings, speakers and starts: their own or those of the reference."""
    if hypothesis.format == "ctm":
        return [replace(item, speaker=item.channel) for item in hypothesis.items]
    references = reference.by_id()
    items = []
    for item in hypothesis.items:
        same = references.get(item.id)
        if same is not None and same.ignored:
            continue
        if item.recording and item.speaker:
            items.append(item)
        elif same is not None:
            items.append(replace(same, words=item.words))
        else:
            raise ValueError(
                f"{hypothesis.path}: {item.id} has no recording and speaker of its own, and "
                f"{reference.path} has no utterance of that name"
            )
    return items


def _streams(
    items: Sequence[Transcript], path: str, normalize: Callable
) -> dict[str, dict[str, Stream]]:
    """Recording -> speaker -> all words, in the order of time."""
    for item in items:
        if not item.recording or not item.speaker:
            raise ValueError(
                f"{path}: for cpWER recordings and speakers must be known, but those of {item.id} "
                "are not; give them with --recordings and --speakers"
            )
    streams: dict[str, dict[str, Stream]] = {}
    # The order of the file where times are unknown: sorting keeps it.
    for item in sorted(items, key=lambda t: t.start or 0.0):
        speakers = streams.setdefault(item.recording, {})
        speakers[item.speaker] = speakers.get(item.speaker, ()) + tuple(normalize(item.words))
    return streams


def _recording(
    reference: dict[str, Stream],
    hypothesis: dict[str, Stream],
    change: Callable[[Stream], Stream],
) -> RecordingScore:
    """Score of the assignment with the fewest errors."""
    names, streams = sorted(reference), sorted(hypothesis)
    first = [change(reference[name]) for name in names]
    second = [change(hypothesis[name]) for name in streams]
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
    return RecordingScore(counts, len(names), len(streams), partners)


def _counts(reference: Stream, hypothesis: Stream) -> Counts:
    """Counts with the fewest errors; sclite's alignment of an hour would fill the memory."""
    kinds = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    substitutions, deletions, insertions = (
        kinds.count(kind) for kind in ("replace", "delete", "insert")
    )
    correct = len(reference) - substitutions - deletions
    return Counts(correct, substitutions, deletions, insertions)
