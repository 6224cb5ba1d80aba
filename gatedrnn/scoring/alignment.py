"""Alignments of words: sclite's and those with the fewest errors; their counts and confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from speechbrain.utils.metric_stats import ErrorRateStats

#: A word of the reference and one of the hypothesis; None for an insertion or a deletion.
Step = tuple[str | None, str | None]


@dataclass(frozen=True)
class Rule:
    """Costs of an alignment, and which one is taken of several with the same cost.

    ``diagonal_first``: seen from the end, a pair of words is preferred to an insertion or a
    deletion of the same cost. An insertion is always preferred to a deletion.
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
    """The rule of a name, a key of :data:`RULES`."""
    if name not in RULES:
        raise ValueError(f"there is no alignment {name!r}; there are: {', '.join(RULES)}")
    return RULES[name]


def align(reference: Sequence[str], hypothesis: Sequence[str], rule: Rule) -> list[Step]:
    """Aligns two transcripts."""
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
    """Whether word i of the reference differs from word j of the hypothesis, (words, words)."""
    codes: dict[str, int] = {}
    first, second = (
        np.array([codes.setdefault(word, len(codes)) for word in words], dtype=np.int64)
        for words in (reference, hypothesis)
    )
    return first[:, None] != second[None, :]


def _costs(differ: np.ndarray, rule: Rule) -> np.ndarray:
    """Minimum cost of aligning the first i words with the first j, less j times that of a gap.

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


@dataclass(frozen=True)
class Counts:
    """Correct words (or characters) of a reference, and errors."""

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
        """Errors per word of the reference, in per cent; None for an empty reference."""
        return 100 * self.errors / self.tokens if self.tokens else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.correct + other.correct,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def count(steps: Iterable[Step]) -> Counts:
    """Counts of an alignment."""
    correct = substitutions = deletions = insertions = 0
    for reference, hypothesis in steps:
        if reference is None:
            insertions += 1
        elif hypothesis is None:
            deletions += 1
        elif reference == hypothesis:
            correct += 1
        else:
            substitutions += 1
    return Counts(correct, substitutions, deletions, insertions)


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    return sum(counts, Counts())


@dataclass(frozen=True)
class Confusions:
    """The most frequent errors, each with how often it was made."""

    substitutions: tuple[tuple[tuple[str, str], int], ...] = ()
    deletions: tuple[tuple[str, int], ...] = ()
    insertions: tuple[tuple[str, int], ...] = ()


def confusions(alignments: Iterable[Iterable[Step]], top: int = 10) -> Confusions:
    """The ``top`` errors of each kind; equally frequent ones in alphabetical order."""
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    for reference, hypothesis in (step for steps in alignments for step in steps):
        if reference is None:
            inserted[hypothesis] += 1
        elif hypothesis is None:
            deleted[reference] += 1
        elif reference != hypothesis:
            substituted[reference, hypothesis] += 1
    return Confusions(*(_most_frequent(c, top) for c in (substituted, deleted, inserted)))


def _most_frequent(counter: Counter, top: int) -> tuple:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:top])


def word_errors(utterances: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> ErrorRateStats:
    """Aligns (id, hypothesis words, reference words); ``write_stats`` writes the alignments.

    Example
    -------
    >>> error_metrics(word_errors([("u1", ["GO", "NO"], ["GO", "ON"])]))["WER"]
    50.0
    """
    # Imported here: scoring of files need not wait for SpeechBrain.
    from speechbrain.utils.metric_stats import ErrorRateStats

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
