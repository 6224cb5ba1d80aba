"""Two systems on the same utterances: the difference and its significance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

from gatedrnn.scoring.alignment import Counts, Step, total
from gatedrnn.scoring.measures import WER, Interval, Options, Score, blocks, bounds, resample

#: Words that both systems have correct and that separate two segments of the matched-pairs test.
GOOD_WORDS = 2


@dataclass(frozen=True)
class Difference:
    """A resampled difference.

    ``interval``: 95 % interval of the second system's rate minus the first one's, in points;
    ``better``, ``worse``: fraction of the resamples in which the second system has fewer, or more,
    errors.
    """

    interval: Interval
    better: float
    worse: float


@dataclass(frozen=True)
class MatchedPairs:
    """NIST's matched-pairs test of sentence segments (Gillick and Cox, ICASSP 1989).

    ``mean``: errors of the first system minus those of the second, per segment; ``z``: the mean in
    standard errors; ``p``: two-sided.
    """

    segments: int
    mean: float
    z: float
    p: float


@dataclass(frozen=True)
class Signs:
    """The sign test over speakers: for how many the second system has fewer, more, equal errors."""

    better: int
    worse: int
    equal: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """The word error rates of two systems on their common utterances.

    ``by_speaker`` and ``signs`` are None if speakers are unknown, ``matched_pairs`` without two
    segments.
    """

    utterances: int
    first: Counts
    second: Counts
    by_utterance: Difference | None
    by_speaker: Difference | None
    matched_pairs: MatchedPairs | None
    signs: Signs | None


def compare(first: Score, second: Score, options: Options | None = None) -> Comparison:
    """Compares two systems by their word error rates.

    Arguments
    ---------
    first : Score
        Score of a system.
    second : Score
        Score of another system on the same reference.
    options : Options or None
        Resamples and seed; None for the defaults.

    Raises
    ------
    ValueError
        If the systems have no scored utterance in common.

    Example
    -------
    >>> from gatedrnn.scoring import Transcript, Transcripts, score
    >>> def system(*texts):
    ...     items = (Transcript(f"u{i}", tuple(t.split())) for i, t in enumerate(texts))
    ...     return Transcripts("t", "trn", tuple(items))
    >>> reference = system("GO ON", "NO", "YES SIR", "STOP IT")
    >>> systems = system("GO", "NO", "YES", "TOP IT"), system("GO ON", "NO", "YES", "STOP IT")
    >>> result = compare(*(score(reference, hypothesis) for hypothesis in systems))
    >>> result.first.errors, result.second.errors, result.by_utterance.worse
    (3, 1, 0.0)
    """
    options = options or Options()
    sides = [{p.reference.id: i for i, p in enumerate(s.pairing.pairs)} for s in (first, second)]
    common = [name for name in sides[0] if name in sides[1]]
    if not common:
        raise ValueError("the two systems have no scored utterance in common")
    places = [[side[name] for name in common] for side in sides]
    each = [
        [s.measures[WER].each[i] for i in where]
        for s, where in zip((first, second), places, strict=True)
    ]
    steps = [
        [s.alignments[i] for i in where] for s, where in zip((first, second), places, strict=True)
    ]
    speakers = [first.pairing.pairs[i].reference.speaker for i in places[0]]
    known = all(speakers)
    values = np.array(
        [[a.errors, b.errors, a.tokens] for a, b in zip(*each, strict=True)], dtype=np.int64
    )
    return Comparison(
        len(common),
        total(each[0]),
        total(each[1]),
        _difference(values, options),
        _difference(blocks(values, speakers), options) if known else None,
        matched_pairs(list(itertools.starmap(segments, zip(*steps, strict=True)))),
        _signs(blocks(values, speakers)) if known else None,
    )


def _difference(values: np.ndarray, options: Options) -> Difference | None:
    """Resampled difference, both systems on the same samples; (units, 3): errors, errors, words."""
    if len(values) < 2:
        return None
    sums = resample(values, options.resamples, options.seed)
    sums = sums[sums[:, 2] > 0]
    if not len(sums):
        return None
    difference = sums[:, 1] - sums[:, 0]
    interval = Interval(*bounds(100 * difference / sums[:, 2], len(values)), len(values))
    return Difference(interval, float((difference < 0).mean()), float((difference > 0).mean()))


def _signs(values: np.ndarray) -> Signs:
    difference = values[:, 1] - values[:, 0]
    better, worse = int((difference < 0).sum()), int((difference > 0).sum())
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return Signs(better, worse, len(difference) - better - worse, float(p))


def segments(first: Sequence[Step], second: Sequence[Step]) -> list[tuple[int, int]]:
    """Errors of both systems in each segment of an utterance, from two alignments of it.

    Segments with errors are separated by two or more words that both systems have correct, with
    nothing inserted between them. Errors in different segments may be taken as independent, which
    those within an utterance are not.
    """
    pairs = []
    errors = (0, 0)
    for good, run in itertools.groupby(_events(first, second), key=lambda e: e == (0, 0)):
        events = list(run)
        if good and len(events) >= GOOD_WORDS:
            pairs.append(errors)
            errors = (0, 0)
        errors = (errors[0] + sum(a for a, _ in events), errors[1] + sum(b for _, b in events))
    return [pair for pair in (*pairs, errors) if pair != (0, 0)]


def _events(first: Sequence[Step], second: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """Errors of both systems at each word of the reference, and before and after it."""
    for a, b in zip(_cells(first), _cells(second), strict=True):
        if a[0] or b[0]:
            yield a[0], b[0]
        if a[1] is not None:
            yield a[1], b[1]


def _cells(steps: Sequence[Step]) -> Iterator[tuple[int, int | None]]:
    """For each word of the reference: insertions before it, and whether it is wrong."""
    inserted = 0
    for reference, hypothesis in steps:
        if reference is None:
            inserted += 1
        else:
            yield inserted, int(reference != hypothesis)
            inserted = 0
    yield inserted, None


def matched_pairs(utterances: Sequence[Sequence[tuple[int, int]]]) -> MatchedPairs | None:
    """The test on the :func:`segments` of all utterances; None without two segments."""
    pairs = [pair for utterance in utterances for pair in utterance]
    if len(pairs) < 2:
        return None
    difference = np.array([a - b for a, b in pairs], dtype=np.float64)
    mean, deviation = float(difference.mean()), float(difference.std(ddof=1))
    if deviation:
        z = mean / (deviation / math.sqrt(len(pairs)))
    else:  # the same everywhere
        z = math.copysign(math.inf, mean) if mean else 0.0
    return MatchedPairs(len(pairs), mean, z, float(2 * norm.sf(abs(z))))
