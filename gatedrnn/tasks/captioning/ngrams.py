"""BLEU, ROUGE-L and CIDEr of captions, number for number as pycocoevalcap computes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

#: Order of the longest n-gram.
ORDERS = 4
#: Width of CIDEr-D's penalty on differences in length, in words.
SIGMA = 6.0
# What pycocoevalcap adds to BLEU's counts, against division by zero and zero precisions.
_SMALL, _TINY = 1e-9, 1e-15
#: Weight of recall relative to precision in ROUGE-L.
_BETA = 1.2

#: Words of a caption.
Words = Sequence[str]


def ngrams(words: Words, orders: int = ORDERS) -> Counter[tuple[str, ...]]:
    """Counts the n-grams of a caption, of orders 1 to ``orders``."""
    words = tuple(words)
    return Counter(
        words[i : i + n] for n in range(1, orders + 1) for i in range(len(words) - n + 1)
    )


# ---- BLEU ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BleuCounts:
    """Counts from which BLEU is computed; those of a corpus are the sum of its captions'.

    Arguments
    ---------
    length : int
        Words of the caption.
    reference : int
        Words of the reference whose length is closest, the shorter one of two.
    correct : tuple of int
        N-grams of each order that are in a reference, clipped to the highest count in a reference.
    possible : tuple of int
        N-grams of each order.
    """

    length: int
    reference: int
    correct: tuple[int, ...]
    possible: tuple[int, ...]

    @classmethod
    def of(cls, words: Words, references: Sequence[Words]) -> BleuCounts:
        """Counts a caption against its references, of which there is at least one.

        Example
        -------
        >>> BleuCounts.of(["a", "a"], [["a", "dog"], ["a"]]).correct
        (1, 0, 0, 0)
        """
        highest: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            highest |= ngrams(reference)
        correct = [0] * ORDERS
        for ngram, times in ngrams(words).items():
            correct[len(ngram) - 1] += min(times, highest[ngram])
        closest = min((abs(len(r) - len(words)), len(r)) for r in references)[1]
        possible = tuple(max(0, len(words) - n) for n in range(ORDERS))
        return cls(len(words), closest, tuple(correct), possible)

    def __add__(self, other: BleuCounts) -> BleuCounts:
        return BleuCounts(
            self.length + other.length,
            self.reference + other.reference,
            tuple(a + b for a, b in zip(self.correct, other.correct, strict=True)),
            tuple(a + b for a, b in zip(self.possible, other.possible, strict=True)),
        )

    @property
    def scores(self) -> tuple[float, ...]:
        """BLEU-1 to BLEU-4."""
        product, precisions = 1.0, []
        for order, (correct, possible) in enumerate(
            zip(self.correct, self.possible, strict=True), start=1
        ):
            product *= (correct + _TINY) / (possible + _SMALL)
            precisions.append(product ** (1 / order))
        ratio = (self.length + _TINY) / (self.reference + _SMALL)
        brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
        return tuple(precision * brevity for precision in precisions)


# ---- ROUGE-L ------------------------------------------------------------------------------------


def rouge_l(words: Words, references: Sequence[Words]) -> float:
    """F-measure of the longest common subsequence, of the best precision and the best recall.

    The two may be of different references, as in pycocoevalcap; there is at least one reference.
    """
    # An empty caption counts as one word, which only an empty reference has.
    words = tuple(words) or ("",)
    references = [tuple(reference) or ("",) for reference in references]
    common = [LCSseq.similarity(words, reference) for reference in references]
    precision = max(common) / len(words)
    recall = max(c / len(r) for c, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


# ---- CIDEr --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DocumentFrequencies:
    """Number of items in whose references each n-gram occurs.

    Arguments
    ---------
    items : int
        Number of items, at least 1.
    counts : Mapping
        N-gram -> number of items.

    Example
    -------
    >>> frequencies = DocumentFrequencies.of([[["a", "dog"], ["a", "cat"]], [["a", "tree"]]])
    >>> frequencies.items, frequencies.counts["a",], frequencies.counts["dog",]
    (2, 2, 1)
    """

    items: int
    counts: Mapping[tuple[str, ...], int]

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError("CIDEr weighs n-grams by references, of which there are none")

    @classmethod
    def of(cls, references: Iterable[Sequence[Words]]) -> DocumentFrequencies:
        """Counts, given the references of each item."""
        counts: Counter[tuple[str, ...]] = Counter()
        items = 0
        for item in references:
            items += 1
            counts.update({ngram for words in item for ngram in ngrams(words)})
        return cls(items, counts)

    def weight(self, ngram: tuple[str, ...]) -> float:
        """Inverse document frequency; an n-gram of no reference counts as if one item had it."""
        return math.log(self.items) - math.log(max(1, self.counts.get(ngram, 0)))


@dataclass(frozen=True)
class CiderVector:
    """TF-IDF vectors of a caption."""

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    words: int


class Cider:
    """CIDEr-D or CIDEr of single captions (Vedantam et al. 2015, arXiv 1411.5726).

    CIDEr-D is what pycocoevalcap, the server of COCO and nearly all papers call "CIDEr": matches
    are clipped, and a difference in length is penalized. CIDEr has neither. Both are ten times the
    mean over references and n-gram orders of a cosine; words are not stemmed, as in pycocoevalcap.

    Arguments
    ---------
    frequencies : DocumentFrequencies
        Of the references of the whole set; as a reward, of those of the training set.
    clipped : bool
        CIDEr-D; False for CIDEr.
    sigma : float
        Width of CIDEr-D's penalty on differences in length, in words; above 0.

    Example
    -------
    >>> references = [["a dog runs".split()], ["two cats sleep".split()]]
    >>> cider = Cider(DocumentFrequencies.of(references))
    >>> vectors = [cider.vector(words) for words in references[0]]
    >>> round(cider.score(cider.vector("a dog runs".split()), vectors), 6)
    7.5
    """

    def __init__(
        self, frequencies: DocumentFrequencies, clipped: bool = True, sigma: float = SIGMA
    ) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, not {sigma}")
        self.frequencies = frequencies
        self.clipped = clipped
        self.sigma = sigma

    def vector(self, words: Words) -> CiderVector:
        """Vectors of a caption or reference; references' vectors can be kept and used again."""
        weights: tuple[dict[tuple[str, ...], float], ...] = tuple({} for _ in range(ORDERS))
        for ngram, times in ngrams(words).items():
            weights[len(ngram) - 1][ngram] = times * self.frequencies.weight(ngram)
        norms = tuple(math.sqrt(math.fsum(w * w for w in order.values())) for order in weights)
        return CiderVector(weights, norms, max(0, len(words) - 1))

    def score(self, caption: CiderVector, references: Sequence[CiderVector]) -> float:
        """Score of a caption from 0 to 10, given its references, of which there is at least one."""
        total = math.fsum(self._similarity(caption, reference) for reference in references)
        return 10 * total / ORDERS / len(references)

    def _similarity(self, caption: CiderVector, reference: CiderVector) -> float:
        """Sum of the orders' cosines."""
        total = 0.0
        for weights, reference_weights, norm, reference_norm in zip(
            caption.weights, reference.weights, caption.norms, reference.norms, strict=True
        ):
            if norm == 0 or reference_norm == 0:
                continue
            product = 0.0
            for ngram, value in weights.items():
                weight = reference_weights.get(ngram, 0.0)
                product += (min(value, weight) if self.clipped else value) * weight
            total += product / (norm * reference_norm)
        if self.clipped:
            total *= math.exp(-((caption.words - reference.words) ** 2) / (2 * self.sigma**2))
        return total
