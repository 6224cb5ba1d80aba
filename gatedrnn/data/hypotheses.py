"""What searches find: readings of an utterance, words with times, and how they are written down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol


class Tokens(Protocol):
    """What turns tokens into text, such as :class:`gatedrnn.tokens.tokens.Characters`."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens."""

    def spelled(self, token: int) -> str:
        """What a token adds to a text."""

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Words with the first of their tokens and the one after the last."""

    def __len__(self) -> int:
        """How many there are, the blank among them."""


@dataclass(frozen=True)
class Hypothesis:
    """One way to read an utterance.

    Arguments
    ---------
    tokens : tuple of int
        What was read, without blanks.
    score : float
        Log-probability, summed over the alignments that the search has kept.
    parts : Mapping
        What it is made of, where a language model has its say: ``am`` is the recogniser's score,
        ``lm`` that of the language model; ``ilm`` is the log-probability by the recogniser's
        internal language model, where that was asked for.
    """

    tokens: tuple[int, ...]
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A word with its time.

    Arguments
    ---------
    word : str
        The word.
    start : float
        Begin, in seconds.
    end : float
        End, in seconds.
    confidence : float
        Mean probability of its tokens in the frames in which they stand.
    """

    word: str
    start: float
    end: float
    confidence: float


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)).

    Arguments
    ---------
    a : float
        A logarithm; minus infinity for nothing.
    b : float
        Another one.

    Returns
    -------
    float

    Example
    -------
    >>> round(log_add(math.log(2), math.log(3)), 6) == round(math.log(5), 6)
    True
    """
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def distinct(hypotheses: Sequence[Hypothesis], tokens: Tokens) -> list[Hypothesis]:
    """Readings of different text: those that differ in spaces only are added up.

    Arguments
    ---------
    hypotheses : sequence of Hypothesis
        Readings, the best first.
    tokens : Tokens
        What spells words.

    Returns
    -------
    list of Hypothesis
        The best first, each with the tokens of its likeliest spelling.

    Example
    -------
    >>> from gatedrnn.tokens.tokens import Characters
    >>> found = [Hypothesis((2,), -1.0), Hypothesis((), -1.2), Hypothesis((1, 2), -1.5)]
    >>> for h in distinct(found, Characters(["<blank>", " ", "A"])):
    ...     print(h.tokens, round(h.score, 3))
    (2,) -0.526
    () -1.2
    """
    merged: dict[str, Hypothesis] = {}
    for hypothesis in hypotheses:
        text = tokens.decode(hypothesis.tokens)
        best = merged.get(text, hypothesis)
        score = hypothesis.score if best is hypothesis else log_add(best.score, hypothesis.score)
        parts = dict(best.parts)
        if "am" in parts:
            # The language model's part is the same for the same text.
            parts["am"] += score - best.score
        merged[text] = replace(best, score=score, parts=parts)
    return sorted(merged.values(), key=lambda h: -h.score)


def n_best_record(
    utterance: str,
    reference: str,
    hypotheses: Sequence[Hypothesis],
    words: Sequence[Word],
    tokens: Tokens,
) -> dict[str, Any]:
    """One line of an n-best file, as plain data.

    Arguments
    ---------
    utterance : str
        Its name.
    reference : str
        What was said.
    hypotheses : sequence of Hypothesis
        Readings, the best first.
    words : sequence of Word
        Word times of the best one.
    tokens : Tokens
        What spells words.

    Returns
    -------
    dict
        ``{"id", "ref", "hyps": [{"text", "score", "tokens"}], "words": [{"word", "start", "end",
        "confidence"}]}``: times in seconds from the beginning of the utterance; each of ``hyps``
        with its parts.
    """
    return {
        "id": utterance,
        "ref": reference,
        "hyps": [
            {
                "text": tokens.decode(h.tokens),
                "score": round(h.score, 4),
                "tokens": len(h.tokens),
                **{name: round(value, 4) for name, value in h.parts.items()},
            }
            for h in hypotheses
        ],
        "words": [
            {
                "word": w.word,
                "start": round(w.start, 3),
                "end": round(w.end, 3),
                "confidence": round(w.confidence, 4),
            }
            for w in words
        ],
    }
