"""The score of a system: error rates with intervals, by speaker and recording, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from gatedrnn.scoring.alignment import Rule, Step, align, find_rule
from gatedrnn.scoring.bootstrap import Interval, rate_interval
from gatedrnn.scoring.confusions import Confusions, confusions
from gatedrnn.scoring.counts import Counts, count, total
from gatedrnn.scoring.fillers import without_fillers
from gatedrnn.scoring.overlap import Overlap, overlap
from gatedrnn.scoring.pairing import Pairing, pair
from gatedrnn.scoring.transcript import Transcripts

#: Names of the rates, in the order of reports.
WER, NO_FILLERS, CER = "WER", "WER without fillers", "CER"


@dataclass(frozen=True)
class Options:
    """How is scored.

    Arguments
    ---------
    alignment : str
        A key of ``gatedrnn.scoring.alignment.RULES``.
    ignore_case : bool
        Whether YES and Yes are the same.
    count_spaces : bool
        Whether the character error rate counts the spaces between words.
    missing, extra : str
        What is done with what is on one side only, see :func:`gatedrnn.scoring.pairing.pair`.
    resamples, seed : int
        Of the bootstrap.
    most : int
        How many confusions are listed of each kind.
    """

    alignment: str = "sclite"
    ignore_case: bool = False
    count_spaces: bool = False
    missing: str = "delete"
    extra: str = "error"
    resamples: int = 10_000
    seed: int = 0
    most: int = 10

    def __post_init__(self) -> None:
        find_rule(self.alignment)
        for name, least in (("resamples", 1), ("seed", 0), ("most", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Measure:
    """An error rate.

    Arguments
    ---------
    counts : Counts
        Of all utterances.
    each : tuple of Counts
        Of each utterance.
    by_utterance, by_speaker : Interval or None
        95 % intervals of the rate.
    """

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
    """How a system did.

    Arguments
    ---------
    reference, hypothesis : Transcripts
        What was compared.
    pairing : Pairing
        Utterance by utterance.
    measures : Mapping
        Name of the rate -> the rate: WER, WER without fillers, CER.
    alignments : tuple of list of Step
        Words of each utterance.
    groups : Mapping
        "speaker" and "recording" -> name -> counts of words; empty where unknown.
    confusions : Confusions
        The most frequent errors.
    overlap : Overlap or None
        Speech that is spoken at once, where times are known.
    fewest : int
        Errors of words under the alignment with the fewest; sclite's may have more.
    case_only : int
        Errors of words that would go away if case were ignored.
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
        """Counts of words of utterances with and without another speaker in their time.

        Returns
        -------
        dict
            "without" and "with" -> counts; empty where nobody overlaps or times are unknown.
        """
        if self.overlap is None or not any(self.overlap.flags):
            return {}
        flagged = list(zip(self.overlap.flags, self.measures[WER].each, strict=True))
        return {
            name: total(counts for flag, counts in flagged if flag == wanted)
            for name, wanted in (("without", False), ("with", True))
        }


def score(reference: Transcripts, hypothesis: Transcripts, options: Options | None = None) -> Score:
    """Scores a system.

    Arguments
    ---------
    reference : Transcripts
        What was said.
    hypothesis : Transcripts
        What was heard.
    options : Options or None
        How; None for the defaults.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        If the two do not belong together.

    Example
    -------
    >>> from gatedrnn.scoring.transcript import Transcript
    >>> said = Transcripts("r", "trn", (Transcript("a", ("GO", "ON")), Transcript("b", ("NO",))))
    >>> heard = Transcripts("h", "trn", (Transcript("a", ("GO",)), Transcript("b", ("NO",))))
    >>> found = score(said, heard)
    >>> round(found.measures["WER"].counts.rate, 1), found.confusions.deletions
    (33.3, (('ON', 1),))
    """
    options = options or Options()
    pairing = pair(reference, hypothesis, options.missing, options.extra)
    spell: Callable = _lower if options.ignore_case else tuple
    said = [spell(p.reference.words) for p in pairing.pairs]
    heard = [spell(p.hypothesis.words) for p in pairing.pairs]
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

    joint = " " if options.count_spaces else ""
    alignments = _aligned(said, heard, rule)
    bare = [[without_fillers(words) for words in side] for side in (said, heard)]
    letters = [[tuple(joint.join(words)) for words in side] for side in (said, heard)]
    measures = {
        WER: measure(alignments),
        NO_FILLERS: measure(alignments if bare == [said, heard] else _aligned(*bare, rule)),
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
        confusions(alignments, options.most),
        overlap([p.reference for p in pairing.pairs]),
        sum(Levenshtein.distance(a, b) for a, b in zip(said, heard, strict=True)),
        _case_only(said, heard, measures[WER].counts.errors, rule),
    )


#: Words of each utterance.
_Texts = Sequence[tuple[str, ...]]


def _aligned(said: _Texts, heard: _Texts, rule: Rule) -> tuple[list[Step], ...]:
    return tuple(align(a, b, rule) for a, b in zip(said, heard, strict=True))


def _case_only(said: _Texts, heard: _Texts, errors: int, rule: Rule) -> int:
    """Errors of words that would go away if case were ignored."""
    words = {word for side in (said, heard) for text in side for word in text}
    if len({word.lower() for word in words}) == len(words):
        return 0
    lower = ([_lower(text) for text in side] for side in (said, heard))
    return max(0, errors - total(count(steps) for steps in _aligned(*lower, rule)).errors)


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _names(names: Sequence[str]) -> list[str]:
    """Names of all utterances, or none where one is unknown."""
    return list(names) if all(names) else []


def _grouped(names: Sequence[str], each: Sequence[Counts]) -> dict[str, Counts]:
    """Counts by name, unless each utterance has a name of its own."""
    found: dict[str, Counts] = {}
    for name, counts in zip(names, each if names else (), strict=True):
        found[name] = found.get(name, Counts()) + counts
    return dict(sorted(found.items())) if len(found) < len(names) else {}
