"""Which word was taken for which: the alignment that sclite makes, and that of the training log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: A word of the reference and one of the hypothesis; None for an insertion or a deletion.
Step = tuple[str | None, str | None]


@dataclass(frozen=True)
class Rule:
    """What an alignment costs, and which one is taken of several that cost the same.

    Arguments
    ---------
    substitution : int
        Cost of a wrong word.
    gap : int
        Cost of an inserted or a deleted word.
    diagonal_first : bool
        Whether, looked at from the end, words stand opposite each other rather than alone where
        both cost the same. An insertion always goes before a deletion.
    """

    substitution: int
    gap: int
    diagonal_first: bool


#: ``sclite``: weights and choices of NIST's sclite, so that every count is sclite's. No library
#: offers it: kaldialign has the weights, but chooses otherwise where alignments cost the same.
#: ``levenshtein``: fewest errors; choices of SpeechBrain and of Kaldi's compute-wer, so that
#: every count is the training log's.
RULES = {"sclite": Rule(4, 3, True), "levenshtein": Rule(1, 1, False)}


def find_rule(name: str) -> Rule:
    """The rule of a name.

    Arguments
    ---------
    name : str
        A key of :data:`RULES`.

    Returns
    -------
    Rule

    Raises
    ------
    ValueError
        If there is no such rule.

    Example
    -------
    >>> find_rule("levenshtein").gap
    1
    """
    if name not in RULES:
        raise ValueError(f"there is no alignment {name!r}; there are: {', '.join(RULES)}")
    return RULES[name]


def align(reference: Sequence[str], hypothesis: Sequence[str], rule: Rule) -> list[Step]:
    """Aligns two transcripts.

    Arguments
    ---------
    reference : sequence of str
        What was said.
    hypothesis : sequence of str
        What was heard.
    rule : Rule
        Costs and choices.

    Returns
    -------
    list of Step

    Example
    -------
    >>> align("WE NEED A BUTTON".split(), "WE NEED BUTTONS".split(), RULES["sclite"])
    [('WE', 'WE'), ('NEED', 'NEED'), ('A', None), ('BUTTON', 'BUTTONS')]
    """
    if list(reference) == list(hypothesis):
        return list(zip(reference, hypothesis, strict=True))
    differ = _differences(reference, hypothesis)
    costs = _costs(differ, rule)
    gap = rule.gap
    steps: list[Step] = []
    i, j = differ.shape
    while i and j:
        # The array leaves the cost of insertions out: they cost what is to their left.
        across = costs[i - 1, j - 1] + (rule.substitution if differ[i - 1, j - 1] else 0) - gap
        delete, insert = costs[i - 1, j] + gap, costs[i, j - 1]
        best = min(delete, insert)
        if across <= best if rule.diagonal_first else across < best:
            i, j = i - 1, j - 1
            steps.append((reference[i], hypothesis[j]))
        elif delete < insert:
            i -= 1
            steps.append((reference[i], None))
        else:
            j -= 1
            steps.append((None, hypothesis[j]))
    steps += [(word, None) for word in reference[:i][::-1]]
    steps += [(None, word) for word in hypothesis[:j][::-1]]
    return steps[::-1]


def _differences(reference: Sequence[str], hypothesis: Sequence[str]) -> np.ndarray:
    """Whether word i of the reference is another than word j of the hypothesis."""
    codes: dict[str, int] = {}
    first, second = (
        np.array([codes.setdefault(word, len(codes)) for word in words], dtype=np.int64)
        for words in (reference, hypothesis)
    )
    return first[:, None] != second[None, :]


def _costs(differ: np.ndarray, rule: Rule) -> np.ndarray:
    """Least cost of aligning the first i words with the first j, less j times that of a gap.

    Without the cost of insertions a row is a running minimum, which NumPy computes at once.
    """
    rows, columns = differ.shape
    steps = np.where(differ, rule.substitution - rule.gap, -rule.gap).astype(np.int32)
    costs = np.empty((rows + 1, columns + 1), dtype=np.int32)
    costs[0] = 0
    for i in range(rows):
        above, row = costs[i], costs[i + 1]
        np.add(above, rule.gap, out=row)
        np.minimum(row[1:], above[:-1] + steps[i], out=row[1:])
        np.minimum.accumulate(row, out=row)
    return costs
