"""Word errors with their alignments, and as the figures of a results file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from speechbrain.utils.metric_stats import ErrorRateStats


def word_errors(utterances: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> ErrorRateStats:
    """Aligns what was read with what was said.

    Arguments
    ---------
    utterances : iterable of (str, sequence of str, sequence of str)
        Name, words that were read, words that were said.

    Returns
    -------
    ErrorRateStats
        Whose ``write_stats`` writes all alignments.

    Example
    -------
    >>> error_figures(word_errors([("u1", ["GO", "NO"], ["GO", "ON"])]))["WER"]
    50.0
    """
    errors, rows = ErrorRateStats(), list(utterances)
    names, read, said = ([row[column] for row in rows] for column in range(3))
    errors.append(names, [list(words) for words in read], [list(words) for words in said])
    return errors


def error_figures(errors: ErrorRateStats) -> dict[str, Any]:
    """What a results file says about word errors.

    Arguments
    ---------
    errors : ErrorRateStats
        Of :func:`word_errors`.

    Returns
    -------
    dict
    """
    summary = errors.summarize()
    return {
        "WER": float(summary["WER"]),
        "words": int(summary["num_scored_tokens"]),
        "insertions": int(summary["insertions"]),
        "deletions": int(summary["deletions"]),
        "substitutions": int(summary["substitutions"]),
        "utterances": len(errors.ids),
    }
