"""Results of a search: hypotheses, words with times, and records of n-best files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gatedrnn.tokens.tokens import Tokens


@dataclass(frozen=True)
class Hypothesis:
    """A token sequence found by a search.

    tokens: Without blanks and special symbols.
    score: Log-probability, summed over the alignments in the beam, plus weighted language
        models.
    parts: Parts of the score with a language model: ``am`` of the recognizer, ``lm`` of the
        language model; ``ilm``, log-probability by the recognizer's internal language model.
    """

    tokens: tuple[int, ...]
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A word with its time.

    start, end: Seconds from the start of the signal.
    confidence: Mean posterior of its tokens in their frames, from 0 to 1.
    """

    word: str
    start: float
    end: float
    confidence: float


def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)); minus infinity is the logarithm of 0."""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def distinct(hypotheses: Sequence[Hypothesis], tokens: Tokens) -> list[Hypothesis]:
    """Merges hypotheses (the best first) of the same text: their probabilities are summed."""
    merged: dict[str, Hypothesis] = {}
    for hypothesis in hypotheses:
        text = tokens.decode(hypothesis.tokens)
        best = merged.get(text, hypothesis)
        score = hypothesis.score if best is hypothesis else log_add(best.score, hypothesis.score)
        parts = dict(best.parts)
        if "am" in parts:
            # The language model's part depends on the text only.
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
    """One line of an n-best file: hypotheses, and word times of the best one in seconds."""
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
