"""Scores as plain data, for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from gatedrnn.scoring.comparison import Comparison
from gatedrnn.scoring.counts import Counts
from gatedrnn.scoring.cpwer import MeetingScore, Recording
from gatedrnn.scoring.measures import Score


def of_counts(counts: Counts) -> dict[str, Any]:
    """Counts as plain data.

    Arguments
    ---------
    counts : Counts
        The counts.

    Returns
    -------
    dict

    Example
    -------
    >>> of_counts(Counts(8, 1, 1, 0))["rate"]
    20.0
    """
    return {
        "tokens": counts.tokens,
        **asdict(counts),
        "errors": counts.errors,
        "rate": counts.rate,
    }


def of_score(score: Score) -> dict[str, Any]:
    """A system's score as plain data.

    Arguments
    ---------
    score : Score
        The score.

    Returns
    -------
    dict
        Rates and intervals in per cent; intervals that there are none of are None.
    """
    pairing = score.pairing
    return {
        "reference": {"path": score.reference.path, "format": score.reference.format},
        "hypothesis": {"path": score.hypothesis.path, "format": score.hypothesis.format},
        "utterances": len(pairing.pairs),
        "missing": list(pairing.missing),
        "extra": list(pairing.extra),
        "ignored": list(pairing.ignored),
        "measures": {
            name: {
                **of_counts(measure.counts),
                "wrong_utterances": measure.wrong,
                "interval_by_utterance": measure.by_utterance and asdict(measure.by_utterance),
                "interval_by_speaker": measure.by_speaker and asdict(measure.by_speaker),
            }
            for name, measure in score.measures.items()
        },
        "fewest_errors": score.fewest,
        "errors_of_case_only": score.case_only,
        **{
            f"by_{kind}": {name: of_counts(counts) for name, counts in groups.items()}
            for kind, groups in score.groups.items()
        },
        "overlap": None
        if score.overlap is None
        else {
            "share": score.overlap.share,
            **{f"{name}": of_counts(counts) for name, counts in score.by_overlap().items()},
        },
        "confusions": {
            "substitutions": [
                {"reference": said, "hypothesis": heard, "times": times}
                for (said, heard), times in score.confusions.substitutions
            ],
            "deletions": [
                {"reference": word, "times": times} for word, times in score.confusions.deletions
            ],
            "insertions": [
                {"hypothesis": word, "times": times} for word, times in score.confusions.insertions
            ],
        },
    }


def of_comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain data.

    Arguments
    ---------
    comparison : Comparison
        The comparison.

    Returns
    -------
    dict
    """
    data = asdict(comparison)
    data["first"], data["second"] = of_counts(comparison.first), of_counts(comparison.second)
    pairs = data["matched_pairs"]
    if pairs and not math.isfinite(pairs["z"]):
        pairs["z"] = None  # JSON has no infinity
    return data


def of_meetings(score: MeetingScore) -> dict[str, Any]:
    """A system's score on meetings as plain data.

    Arguments
    ---------
    score : MeetingScore
        The score.

    Returns
    -------
    dict
    """
    return {
        "reference": {"path": score.reference.path, "format": score.reference.format},
        "hypothesis": {"path": score.hypothesis.path, "format": score.hypothesis.format},
        "missing": list(score.missing),
        "extra": list(score.extra),
        "measures": {
            "cpWER": {
                **of_counts(score.counts),
                "interval_by_recording": score.interval and asdict(score.interval),
            },
            "cpWER without fillers": of_counts(score.counts_without_fillers),
        },
        "by_recording": {name: _recording(found) for name, found in score.recordings.items()},
    }


def _recording(found: Recording) -> dict[str, Any]:
    return {
        **of_counts(found.counts),
        "speakers": found.speakers,
        "streams": found.streams,
        "assignment": [list(partners) for partners in found.assignment],
    }
