"""Counts of an alignment, and the error rates that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gatedrnn.scoring.alignment import Step


@dataclass(frozen=True)
class Counts:
    """What became of the words (or characters) of a reference.

    Arguments
    ---------
    correct : int
        Found.
    substitutions : int
        Taken for another.
    deletions : int
        Left out.
    insertions : int
        Heard where none was said.

    Example
    -------
    >>> counts = Counts(8, 1, 1, 2) + Counts(10, 0, 0, 0)
    >>> counts.tokens, counts.errors, counts.rate
    (20, 4, 20.0)
    """

    correct: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def tokens(self) -> int:
        """Words of the reference."""
        return self.correct + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per word of the reference, in per cent; None where nothing was said."""
        return 100 * self.errors / self.tokens if self.tokens else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.correct + other.correct,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def count(steps: Iterable[Step]) -> Counts:
    """Counts an alignment.

    Arguments
    ---------
    steps : iterable of Step
        Of :func:`gatedrnn.scoring.alignment.align`.

    Returns
    -------
    Counts

    Example
    -------
    >>> count([("A", "A"), ("B", "P"), ("C", None), (None, "D")])
    Counts(correct=1, substitutions=1, deletions=1, insertions=1)
    """
    correct = substitutions = deletions = insertions = 0
    for said, heard in steps:
        if said is None:
            insertions += 1
        elif heard is None:
            deletions += 1
        elif said == heard:
            correct += 1
        else:
            substitutions += 1
    return Counts(correct, substitutions, deletions, insertions)


def total(counts: Iterable[Counts]) -> Counts:
    """Adds counts up.

    Arguments
    ---------
    counts : iterable of Counts
        Of utterances.

    Returns
    -------
    Counts

    Example
    -------
    >>> total([Counts(1), Counts(2, 1)])
    Counts(correct=3, substitutions=1, deletions=0, insertions=0)
    """
    return sum(counts, Counts())
