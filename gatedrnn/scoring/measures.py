"""The score of a system: error rates with intervals, by speaker and recording, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

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
from gatedrnn.scoring.bootstrap import Interval, rate_interval
from gatedrnn.scoring.pairing import Overlap, Pairing, overlap, pair
from gatedrnn.scoring.transcript import Transcripts, lower

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
        Of the bootstrap; defaults 10000 and 0.
    top : int
        Confusions to keep of each kind; default 10.

    Raises
    ------
    ValueError
        If a value is out of range.

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
    reference, hypothesis : Transcripts
        As read.
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

    Returns
    -------
    Score

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


#: Words of each utterance.
_Texts = Sequence[tuple[str, ...]]


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
    """Words without hesitations and with unified backchannels, in any case of letters.

    Example
    -------
    >>> without_fillers("UM YEAH Mm-hmm UH HUH THAT UH HELPS".split())
    ('YEAH', '%BCACK', '%BCACK', 'THAT', 'HELPS')
    """
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
