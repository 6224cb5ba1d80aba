"""CIDEr and CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726) of captions.

CIDEr-D is what pycocoevalcap, the server of COCO and nearly all papers print as "CIDEr": matches
are clipped, and a difference in length costs. Plain CIDEr has neither. Both are ten times the mean
over references and n-gram orders of a cosine; words are not stemmed, as in pycocoevalcap.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gatedrnn.tasks.captioning.metrics.bleu import ORDERS, Words, ngrams

#: Width of the penalty on differences in length, in words.
SIGMA = 6.0


@dataclass(frozen=True)
class Frequencies:
    """In how many items' references each n-gram stands: rare ones weigh more.

    Arguments
    ---------
    items : int
        Number of items.
    counts : Mapping
        N-gram -> items.

    Example
    -------
    >>> found = Frequencies.of([[["a", "dog"], ["a", "cat"]], [["a", "tree"]]])
    >>> found.items, found.counts["a",], found.counts["dog",]
    (2, 2, 1)
    """

    items: int
    counts: Mapping[tuple[str, ...], int]

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError("CIDEr weighs n-grams by references, of which there are none")

    @classmethod
    def of(cls, references: Iterable[Sequence[Words]]) -> Frequencies:
        """Counts.

        Arguments
        ---------
        references : iterable of sequence of sequence of str
            The references of each item.

        Returns
        -------
        Frequencies

        Raises
        ------
        ValueError
            If there are no items.
        """
        counts: Counter[tuple[str, ...]] = Counter()
        items = 0
        for item in references:
            items += 1
            counts.update({ngram for words in item for ngram in ngrams(words)})
        return cls(items, counts)

    def weight(self, ngram: tuple[str, ...]) -> float:
        """Inverse document frequency: one that no reference has counts as if one item had it."""
        return math.log(self.items) - math.log(max(1, self.counts.get(ngram, 0)))


@dataclass(frozen=True)
class Vector:
    """A caption as CIDEr sees it.

    Arguments
    ---------
    weights : tuple of dict
        Of each order, n-gram -> weight.
    norms : tuple of float
        Their lengths.
    words : int
        Pairs of neighbouring words, which pycocoevalcap takes for the length.
    """

    weights: tuple[dict[tuple[str, ...], float], ...]
    norms: tuple[float, ...]
    words: int


class Cider:
    """CIDEr-D or CIDEr of one caption after another.

    Arguments
    ---------
    frequencies : Frequencies
        Of the references of the whole set; as a reward, of those of the training set.
    clipped : bool
        CIDEr-D; False for plain CIDEr.
    sigma : float
        Width of the penalty on length, for CIDEr-D.

    Raises
    ------
    ValueError
        If ``sigma`` is not positive.

    Example
    -------
    >>> references = [["a dog runs".split()], ["two cats sleep".split()]]
    >>> cider = Cider(Frequencies.of(references))
    >>> known = [cider.vector(words) for words in references[0]]
    >>> round(cider.score(cider.vector("a dog runs".split()), known), 6)
    7.5
    """

    def __init__(
        self, frequencies: Frequencies, clipped: bool = True, sigma: float = SIGMA
    ) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, not {sigma}")
        self.frequencies = frequencies
        self.clipped = clipped
        self.sigma = sigma

    def vector(self, words: Words) -> Vector:
        """Weighs the n-grams of a caption.

        Arguments
        ---------
        words : sequence of str
            The caption.

        Returns
        -------
        Vector
        """
        weights: tuple[dict[tuple[str, ...], float], ...] = tuple({} for _ in range(ORDERS))
        for ngram, times in ngrams(words).items():
            weights[len(ngram) - 1][ngram] = times * self.frequencies.weight(ngram)
        norms = tuple(math.sqrt(math.fsum(w * w for w in order.values())) for order in weights)
        return Vector(weights, norms, max(0, len(words) - 1))

    def score(self, caption: Vector, references: Sequence[Vector]) -> float:
        """Compares a caption with its references.

        Arguments
        ---------
        caption : Vector
            The caption.
        references : sequence of Vector
            At least one; they can be kept where captions are scored again and again.

        Returns
        -------
        float
            From 0 to 10.
        """
        total = math.fsum(self._similarity(caption, reference) for reference in references)
        return 10 * total / ORDERS / len(references)

    def _similarity(self, caption: Vector, reference: Vector) -> float:
        """Sum of the orders' cosines."""
        total = 0.0
        for mine, theirs, norm, other in zip(
            caption.weights, reference.weights, caption.norms, reference.norms, strict=True
        ):
            if norm == 0 or other == 0:
                continue
            product = 0.0
            for ngram, value in mine.items():
                weight = theirs.get(ngram, 0.0)
                product += (min(value, weight) if self.clipped else value) * weight
            total += product / (norm * other)
        if self.clipped:
            total *= math.exp(-((caption.words - reference.words) ** 2) / (2 * self.sigma**2))
        return total
