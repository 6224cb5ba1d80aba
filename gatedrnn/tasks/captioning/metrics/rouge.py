"""ROUGE-L of captions, as pycocoevalcap computes it."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from gatedrnn.tasks.captioning.metrics.bleu import Words

#: How much more recall weighs than precision.
BETA = 1.2


def rouge_l(words: Words, references: Sequence[Words]) -> float:
    """F-measure of the longest common subsequence: of the best precision and the best recall.

    The two may be of different references, as in pycocoevalcap.

    Arguments
    ---------
    words : sequence of str
        The caption.
    references : sequence of sequence of str
        At least one.

    Returns
    -------
    float

    Example
    -------
    >>> found = rouge_l("a dog runs".split(), ["a dog".split(), "the dog runs fast".split()])
    >>> round(found, 6)
    0.829932
    """
    # An empty caption counts as one word, which only an empty reference has.
    words = tuple(words) or ("",)
    references = [tuple(reference) or ("",) for reference in references]
    common = [LCSseq.similarity(words, reference) for reference in references]
    precision = max(common) / len(words)
    recall = max(c / len(r) for c, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
