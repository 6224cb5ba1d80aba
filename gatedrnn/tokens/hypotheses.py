"""Hypotheses of an utterance, words with times, and n-best records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gatedrnn.tokens.tokens import Tokens


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of an utterance.

    Arguments
    ---------
    tokens : tuple of int
        Its tokens, without blanks.
    score : float
        Log-probability, summed over the alignments that the search has kept.
    parts : Mapping
        Parts of the score in a search with a language model: ``am`` is the recognizer's score,
        ``lm`` the language model's; ``ilm`` is the log-probability by the recognizer's internal
        language model, where it was estimated.
    """

    tokens: tuple[int, ...]
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A word; times are in seconds, ``confidence`` is the mean probability of its tokens."""

    word: str
    start: float
    end: float
    confidence: float


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def distinct(hypotheses: Sequence[Hypothesis], tokens: Tokens) -> list[Hypothesis]:
    """Merges hypotheses that differ in spaces only, adding their probabilities; the best first."""
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
    """One line of an n-best file, JSON-serialisable.

    ``{"id", "ref", "hyps": [{"text", "score", "tokens"}], "words": [{"word", "start", "end",
    "confidence"}]}``: words are those of the best hypothesis, with times in seconds from the start
    of the utterance; each of ``hyps`` also has its parts.
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
