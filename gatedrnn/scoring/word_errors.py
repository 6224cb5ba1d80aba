"""Word errors with SpeechBrain's alignments, as the test of a training counts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from speechbrain.utils.metric_stats import ErrorRateStats


def word_errors(utterances: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> ErrorRateStats:
    """Aligns (id, hypothesis words, reference words); ``write_stats`` writes the alignments.

    Example
    -------
    >>> error_metrics(word_errors([("u1", ["GO", "NO"], ["GO", "ON"])]))["WER"]
    50.0
    """
    errors, rows = ErrorRateStats(), list(utterances)
    ids, hypotheses, references = ([row[column] for row in rows] for column in range(3))
    errors.append(ids, [list(words) for words in hypotheses], [list(words) for words in references])
    return errors


def error_metrics(errors: ErrorRateStats) -> dict[str, Any]:
    """WER in per cent and counts, as ``results.json`` has them."""
    summary = errors.summarize()
    return {
        "WER": float(summary["WER"]),
        "words": int(summary["num_scored_tokens"]),
        "insertions": int(summary["insertions"]),
        "deletions": int(summary["deletions"]),
        "substitutions": int(summary["substitutions"]),
        "utterances": len(errors.ids),
    }
