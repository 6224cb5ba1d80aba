"""The most frequent errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gatedrnn.scoring.alignment import Step


@dataclass(frozen=True)
class Confusions:
    """The most frequent errors, with how often each was made.

    Arguments
    ---------
    substitutions : tuple of ((str, str), int)
        What was said and what was heard.
    deletions : tuple of (str, int)
        What was said.
    insertions : tuple of (str, int)
        What was heard.
    """

    substitutions: tuple[tuple[tuple[str, str], int], ...] = ()
    deletions: tuple[tuple[str, int], ...] = ()
    insertions: tuple[tuple[str, int], ...] = ()


def confusions(alignments: Iterable[Iterable[Step]], most: int = 10) -> Confusions:
    """Counts errors by word.

    Arguments
    ---------
    alignments : iterable of iterable of Step
        Of utterances.
    most : int
        How many to keep of each kind.

    Returns
    -------
    Confusions
        The most frequent first; of those as frequent, in alphabetical order.

    Example
    -------
    >>> found = confusions([[("NINE", "FIVE"), ("GO", None)], [("NINE", "FIVE"), (None, "A")]])
    >>> found.substitutions, found.deletions, found.insertions
    (((('NINE', 'FIVE'), 2),), (('GO', 1),), (('A', 1),))
    """
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    for said, heard in (step for steps in alignments for step in steps):
        if said is None:
            inserted[heard] += 1
        elif heard is None:
            deleted[said] += 1
        elif said != heard:
            substituted[said, heard] += 1
    return Confusions(*(_first(counter, most) for counter in (substituted, deleted, inserted)))


def _first(counter: Counter, most: int) -> tuple:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most])
