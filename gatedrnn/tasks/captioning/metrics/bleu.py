"""BLEU of captions, as pycocoevalcap computes it, with the closest reference length."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: Longest n-gram.
ORDERS = 4
# What pycocoevalcap adds so that nothing is divided by zero, nor zero where a longer n-gram fails.
_SMALL, _TINY = 1e-9, 1e-15

#: Words of a caption.
Words = Sequence[str]


@dataclass(frozen=True)
class Matches:
    """What BLEU counts.

    Arguments
    ---------
    length : int
        Words of the caption.
    reference : int
        Words of the reference whose length is closest, the shorter one of two.
    correct : tuple of int
        N-grams of each order that a reference has, each as often as the reference in which it is
        most frequent at most.
    possible : tuple of int
        N-grams of each order.
    """

    length: int
    reference: int
    correct: tuple[int, ...]
    possible: tuple[int, ...]

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            self.length + other.length,
            self.reference + other.reference,
            tuple(a + b for a, b in zip(self.correct, other.correct, strict=True)),
            tuple(a + b for a, b in zip(self.possible, other.possible, strict=True)),
        )

    @property
    def scores(self) -> tuple[float, ...]:
        """BLEU-1 to BLEU-4.

        Example
        -------
        >>> found = count("a dog runs".split(), ["a dog runs".split()])
        >>> [round(score, 6) for score in found.scores[:3]]
        [1.0, 1.0, 1.0]
        """
        product, found = 1.0, []
        for order, (correct, possible) in enumerate(
            zip(self.correct, self.possible, strict=True), start=1
        ):
            product *= (correct + _TINY) / (possible + _SMALL)
            found.append(product ** (1 / order))
        ratio = (self.length + _TINY) / (self.reference + _SMALL)
        brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
        return tuple(score * brevity for score in found)


def ngrams(words: Words, orders: int = ORDERS) -> Counter[tuple[str, ...]]:
    """Counts n-grams.

    Arguments
    ---------
    words : sequence of str
        A caption.
    orders : int
        Longest n-gram.

    Returns
    -------
    Counter

    Example
    -------
    >>> ngrams(["a", "b"])[("a", "b")]
    1
    """
    words = tuple(words)
    return Counter(
        words[i : i + n] for n in range(1, orders + 1) for i in range(len(words) - n + 1)
    )


def count(words: Words, references: Sequence[Words]) -> Matches:
    """Counts the n-grams that a caption shares with its references.

    BLEU of a corpus is that of the sum of its items' counts.

    Arguments
    ---------
    words : sequence of str
        The caption.
    references : sequence of sequence of str
        At least one.

    Returns
    -------
    Matches

    Example
    -------
    >>> count(["a", "a"], [["a", "dog"], ["a"]]).correct
    (1, 0, 0, 0)
    """
    most: Counter[tuple[str, ...]] = Counter()
    for reference in references:
        most |= ngrams(reference)
    correct = [0] * ORDERS
    for ngram, times in ngrams(words).items():
        correct[len(ngram) - 1] += min(times, most[ngram])
    closest = min((abs(len(r) - len(words)), len(r)) for r in references)[1]
    possible = tuple(max(0, len(words) - n) for n in range(ORDERS))
    return Matches(len(words), closest, tuple(correct), possible)
