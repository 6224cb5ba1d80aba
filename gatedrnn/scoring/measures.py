"""Scores of systems: error rates with intervals, by speaker, recording or whole meeting (cpWER).

Intervals are those of Bisani and Ney, ICASSP 2004.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, t

from gatedrnn.scoring.alignment import (
    Confusions,
    Counts,
    Rule,
    Step,
    align,
    confusions,
    count,
    find_rule,
    total,
)
from gatedrnn.scoring.formats import Transcript, Transcripts, lower
from gatedrnn.scoring.pairing import Overlap, Pairing, overlap, pair

#: Coverage of an interval.
LEVEL = 0.95
#: Names of the rates, in the order of reports.
WER, NO_FILLERS, CER = "WER", "WER without fillers", "CER"
#: Hesitations: they count as nothing (Kaldi egs/ami, ``english.glm``).
HESITATIONS = frozenset(
    "ACH AH EEE EH ER EW HA HEE HM HMM HMMM HUH MM OOF UH UM %HESITATION".split()
)
#: Backchannels: all that agree count as one word, and all that disagree as another.
BACKCHANNELS = {
    word: token
    for token, words in {
        "%BCACK": "MHM MM-HM MM-HMM MM-HUH MMHM UH-HMM UHHUH UH-HUH UM-HMM UM-HUM",
        "%BCNACK": "HUH-UH HUHUH UH-UH UHUH",
    }.items()
    for word in words.split()
}
#: Of the backchannels those that are still known without hyphens (text style ``plain`` of AMI).
_SPLIT = {("MM", "HMM"): "%BCACK", ("UH", "HUH"): "%BCACK"}
#: Words of each utterance.
_Texts = Sequence[tuple[str, ...]]
#: Words of a speaker throughout a recording.
Stream = tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """Bounds of a rate, in per cent, and how many utterances (or speakers) were resampled."""

    low: float
    high: float
    units: int


def blocks(values: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    """Sums of the rows of the same name: (utterances, values) -> (names, values).

    ``names`` None leaves the rows as they are.
    """
    if names is None:
        return values
    _, index = np.unique(np.asarray(names), return_inverse=True)
    sums = np.zeros((index.max() + 1, values.shape[1]), dtype=values.dtype)
    np.add.at(sums, index, values)
    return sums


def resample(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums over units sampled with replacement: (units, values) -> (resamples, values).

    As many units are sampled as there are; the same seed gives the same sums in whatever order the
    units are.
    """
    # The number of times each DIFFERENT row is sampled is multinomial, and most rows are equal to
    # others.
    rows, counts = np.unique(values, axis=0, return_counts=True)
    times = np.random.default_rng(seed).multinomial(len(values), counts / len(values), resamples)
    return times @ rows


def bounds(samples: np.ndarray, units: int) -> tuple[float, float]:
    """The percentile interval of resampled values, (resamples,), widened for few units.

    Percentiles alone are too narrow, by the ratio of a normal and a t distribution with the
    variance of a sample (Hesterberg 2015, "What teachers should know about the bootstrap",
    expanded percentile interval).
    """
    tail = norm.cdf(math.sqrt(units / (units - 1)) * t.ppf((1 - LEVEL) / 2, units - 1))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def rate_interval(
    errors: Sequence[int],
    tokens: Sequence[int],
    names: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """95 % interval of an error rate, from errors and tokens of each utterance.

    Over utterances (``names`` None) it shows how the rate would vary over other utterances of the
    same speakers; over speakers how it would vary over other speakers, which is usually the
    question. Speakers differ, so that the first is often much too narrow for the second. With fewer
    than about eight speakers the second is too narrow as well. None without two units with words.
    """
    values = blocks(np.column_stack([errors, tokens]), names)
    if len(values) < 2:
        return None
    sums = resample(values, resamples, seed)
    # Where many utterances have no words, a resample may have none.
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return None
    return Interval(*bounds(100 * sums[:, 0] / sums[:, 1], len(values)), len(values))


@dataclass(frozen=True)
class Options:
    """Options of scoring.

    Arguments
    ---------
    alignment : str
        A key of ``gatedrnn.scoring.alignment.RULES``; "sclite" (default) or "levenshtein".
    ignore_case : bool
        Whether YES and Yes are the same word; default False.
    count_spaces : bool
        Whether the character error rate counts the spaces between words; default False.
    missing, extra : str
        Treatment of utterances that are on one side only, see
        :func:`gatedrnn.scoring.pairing.pair`; defaults "delete" and "error".
    resamples, seed : int
        Number and seed of bootstrap resamples; defaults 10000 and 0.
    top : int
        Confusions to keep of each kind; default 10.

    Example
    -------
    >>> Options(ignore_case=True).alignment
    'sclite'
    """

    alignment: str = "sclite"
    ignore_case: bool = False
    count_spaces: bool = False
    missing: str = "delete"
    extra: str = "error"
    resamples: int = 10_000
    seed: int = 0
    top: int = 10

    def __post_init__(self) -> None:
        find_rule(self.alignment)
        for name, minimum in (("resamples", 1), ("seed", 0), ("top", 0)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Measure:
    """An error rate: counts of all utterances, of each one, and 95 % intervals of the rate."""

    counts: Counts
    each: tuple[Counts, ...]
    by_utterance: Interval | None
    by_speaker: Interval | None

    @property
    def wrong(self) -> int:
        """Utterances with any error."""
        return sum(counts.errors > 0 for counts in self.each)


@dataclass(frozen=True)
class Score:
    """The score of a system.

    Arguments
    ---------
    pairing : Pairing
        The scored utterances, and those on one side only.
    measures : Mapping
        Name of the rate (WER, WER without fillers, CER) -> Measure.
    alignments : tuple of list of Step
        Word alignment of each utterance.
    groups : Mapping
        "speaker" and "recording" -> name -> counts of words; empty where unknown.
    confusions : Confusions
        The most frequent errors.
    overlap : Overlap or None
        Overlapped speech, where times are known.
    fewest : int
        Word errors of the alignment with the fewest; sclite's may have more.
    case_only : int
        Word errors that would vanish if case were ignored.
    """

    reference: Transcripts
    hypothesis: Transcripts
    pairing: Pairing
    measures: Mapping[str, Measure]
    alignments: tuple[list[Step], ...]
    groups: Mapping[str, Mapping[str, Counts]]
    confusions: Confusions
    overlap: Overlap | None
    fewest: int
    case_only: int

    def by_overlap(self) -> dict[str, Counts]:
        """ "without" and "with" another speaker -> word counts; empty without overlapped speech."""
        if self.overlap is None or not any(self.overlap.flags):
            return {}
        each = list(zip(self.overlap.flags, self.measures[WER].each, strict=True))
        return {
            "without": total(counts for flag, counts in each if not flag),
            "with": total(counts for flag, counts in each if flag),
        }


def score(reference: Transcripts, hypothesis: Transcripts, options: Options | None = None) -> Score:
    """Scores a system.

    Arguments
    ---------
    reference : Transcripts
        Of :func:`gatedrnn.scoring.read` with ``reference=True``.
    hypothesis : Transcripts
        Of :func:`gatedrnn.scoring.read`.
    options : Options or None
        None for the defaults.

    Raises
    ------
    ValueError
        If the two do not belong to each other.

    Example
    -------
    >>> from gatedrnn.scoring import Transcript, Transcripts
    >>> words = {"a": ("GO", "ON"), "b": ("NO",)}
    >>> reference = Transcripts("r", "trn", tuple(Transcript(*item) for item in words.items()))
    >>> words["a"] = ("GO",)
    >>> hypothesis = Transcripts("h", "trn", tuple(Transcript(*item) for item in words.items()))
    >>> result = score(reference, hypothesis)
    >>> round(result.measures["WER"].counts.rate, 1), result.confusions.deletions
    (33.3, (('ON', 1),))
    """
    options = options or Options()
    pairing = pair(reference, hypothesis, options.missing, options.extra)
    normalize: Callable = lower if options.ignore_case else tuple
    references = [normalize(p.reference.words) for p in pairing.pairs]
    hypotheses = [normalize(p.hypothesis.words) for p in pairing.pairs]
    rule = find_rule(options.alignment)
    speakers = _names([p.reference.speaker for p in pairing.pairs])
    recordings = _names([p.reference.recording for p in pairing.pairs])

    def measure(alignments: Sequence[Sequence[Step]]) -> Measure:
        each = tuple(count(steps) for steps in alignments)
        errors, tokens = [c.errors for c in each], [c.tokens for c in each]
        intervals = [
            rate_interval(errors, tokens, names, options.resamples, options.seed)
            for names in (None, *([speakers] if speakers else []))
        ]
        return Measure(total(each), each, intervals[0], intervals[1] if speakers else None)

    sides = [references, hypotheses]
    separator = " " if options.count_spaces else ""
    alignments = _aligned(references, hypotheses, rule)
    no_fillers = [[without_fillers(words) for words in side] for side in sides]
    letters = [[tuple(separator.join(words)) for words in side] for side in sides]
    measures = {
        WER: measure(alignments),
        NO_FILLERS: measure(alignments if no_fillers == sides else _aligned(*no_fillers, rule)),
        CER: measure(_aligned(*letters, rule)),
    }
    each = measures[WER].each
    return Score(
        reference,
        hypothesis,
        pairing,
        measures,
        alignments,
        {"speaker": _grouped(speakers, each), "recording": _grouped(recordings, each)},
        confusions(alignments, options.top),
        overlap([p.reference for p in pairing.pairs]),
        sum(Levenshtein.distance(a, b) for a, b in zip(references, hypotheses, strict=True)),
        _case_only(references, hypotheses, measures[WER].counts.errors, rule),
    )


def _aligned(references: _Texts, hypotheses: _Texts, rule: Rule) -> tuple[list[Step], ...]:
    return tuple(align(a, b, rule) for a, b in zip(references, hypotheses, strict=True))


def _case_only(references: _Texts, hypotheses: _Texts, errors: int, rule: Rule) -> int:
    """Word errors that would vanish if case were ignored."""
    words = {word for side in (references, hypotheses) for text in side for word in text}
    if len({word.lower() for word in words}) == len(words):
        return 0
    sides = ([lower(text) for text in side] for side in (references, hypotheses))
    return max(0, errors - total(count(steps) for steps in _aligned(*sides, rule)).errors)


def _names(names: Sequence[str]) -> list[str]:
    """Names of all utterances; empty if one is unknown."""
    return list(names) if all(names) else []


def _grouped(names: Sequence[str], each: Sequence[Counts]) -> dict[str, Counts]:
    """Counts by name; empty if each utterance has a name of its own."""
    groups: dict[str, Counts] = {}
    for name, counts in zip(names, each if names else (), strict=True):
        groups[name] = groups.get(name, Counts()) + counts
    return dict(sorted(groups.items())) if len(groups) < len(names) else {}


def without_fillers(words: Sequence[str]) -> tuple[str, ...]:
    """Words without hesitations and with unified backchannels, in any case of letters."""
    upper = [word.upper() for word in words]
    kept = []
    index = 0
    while index < len(words):
        couple = _SPLIT.get(tuple(upper[index : index + 2]))
        if couple:
            kept.append(couple)
            index += 2
            continue
        if upper[index] not in HESITATIONS:
            kept.append(BACKCHANNELS.get(upper[index], words[index]))
        index += 1
    return tuple(kept)


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

    recordings, no_fillers: Recording -> its score, with and without fillers.
    missing, extra: Recordings on one side only; the words of missing ones count as deleted.
    interval: 95 % interval of the rate, over recordings.
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
