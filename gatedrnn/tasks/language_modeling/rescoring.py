"""Rescoring: a language model has its say on what a recogniser has read.

The score of a reading becomes ``recogniser + weight * language model + insertion * words``; where
the lists have it, ``internal *`` what the recogniser itself has learnt of the language (its
internal language model: :mod:`gatedrnn.tasks.asr.internal_lm`) is subtracted. All three are chosen
once, on development data, over scores that were computed once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from torch import nn

from gatedrnn.tasks.language_modeling.nbest import NBest
from gatedrnn.tasks.language_modeling.prefix_scores import TextScores, score_texts

#: What is tried where nothing else is asked for.
WEIGHTS = tuple(round(0.1 * i, 1) for i in range(16)) + (1.75, 2.0, 2.5, 3.0)
INSERTIONS = tuple(0.5 * i for i in range(-4, 9))
INTERNALS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Setting:
    """How much the language model counts.

    Arguments
    ---------
    weight : float
        Of its logarithms of probabilities.
    insertion : float
        Added for each word: a language model alone likes short texts.
    internal : float
        Of the logarithms of probabilities by the recogniser's internal language model, which are
        subtracted.
    """

    weight: float = 0.0
    insertion: float = 0.0
    internal: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Word errors of a choice among readings, against the least number of edits.

    Arguments
    ---------
    errors : int
        Word errors.
    words : int
        Words of the references.
    """

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """Word error rate, in percent."""
        return 100 * self.errors / self.words


@dataclass(frozen=True)
class ScoredLists:
    """Lists of readings with all that choosing among them needs; rows are filled up on the right.

    Arguments
    ---------
    lists : tuple of NBest
        The lists.
    recogniser, model, words : np.ndarray
        The recogniser's score of each reading (minus infinity where there is none), the language
        model's, and the number of words, (utterances, readings). If a language model had its say
        before, its part is left out.
    errors : np.ndarray or None
        Word errors of each reading; None unless all references are known.
    cost : TextScores
        What the language model had to do.
    internal : np.ndarray or None
        Log-probability of each reading by the recogniser's internal language model; None unless all
        lists have it.
    """

    lists: tuple[NBest, ...]
    recogniser: np.ndarray
    model: np.ndarray
    words: np.ndarray
    errors: np.ndarray | None
    cost: TextScores
    internal: np.ndarray | None = None

    def scores(self, setting: Setting) -> np.ndarray:
        """Scores of all readings, (utterances, readings).

        Arguments
        ---------
        setting : Setting
            How much the language model counts.

        Returns
        -------
        np.ndarray

        Raises
        ------
        ValueError
            If an internal language model is to be subtracted that the lists do not have.
        """
        found = self.recogniser + setting.weight * self.model + setting.insertion * self.words
        if not setting.internal:
            return found
        if self.internal is None:
            name = next(
                n.id for n in self.lists if any("ilm" not in c.record for c in n.candidates)
            )
            raise ValueError(
                f"the readings of {name} have no log-probabilities by an internal language model "
                "(ilm): test the recogniser with --internal_lm=True, which writes them"
            )
        return found - setting.internal * self.internal

    def outcome(self, setting: Setting | None = None) -> Outcome:
        """Word errors of the best readings.

        Arguments
        ---------
        setting : Setting or None
            How much the language model counts; None: not at all, nor does the number of words.

        Returns
        -------
        Outcome
        """
        best = self.scores(setting or Setting()).argmax(1)
        return self._of(self._errors()[np.arange(len(best)), best])

    def oracle(self) -> Outcome:
        """Word errors of the readings with the fewest: no choice can have fewer.

        Returns
        -------
        Outcome
        """
        errors = np.where(np.isfinite(self.recogniser), self._errors(), np.iinfo(np.int64).max)
        return self._of(errors.min(1))

    def records(self, setting: Setting) -> list[dict[str, Any]]:
        """The lists in their new order, as plain data.

        Arguments
        ---------
        setting : Setting
            How much the language model counts.

        Returns
        -------
        list of dict
            As :func:`~gatedrnn.tokens.hypotheses.n_best_record` has them. ``score`` is the new
            one; ``am`` and ``lm`` of each reading are those of recogniser and language model. The
            word times of the best reading (``words``) stay where it is still the best.
        """
        found = []
        parts = zip(self.lists, self.scores(setting), self.recogniser, self.model, strict=True)
        for nbest, scores, recogniser, model in parts:
            order = np.argsort(-scores[: len(nbest.candidates)], kind="stable").tolist()
            hyps = [
                {
                    "text": nbest.candidates[i].text,
                    "score": round(float(scores[i]), 4),
                    **nbest.candidates[i].record,
                    "am": float(recogniser[i]),
                    "lm": round(float(model[i]), 4),
                }
                for i in order
            ]
            others = {k: v for k, v in nbest.record.items() if k != "words" or order[0] == 0}
            said = {} if nbest.reference is None else {"ref": nbest.reference}
            found.append({"id": nbest.id, **said, "hyps": hyps, **others})
        return found

    def _errors(self) -> np.ndarray:
        if self.errors is None:
            name = next(nbest.id for nbest in self.lists if nbest.reference is None)
            raise ValueError(f"no reference is known of {name}: word errors cannot be counted")
        return self.errors

    def _of(self, errors: np.ndarray) -> Outcome:
        words = sum(len((nbest.reference or "").split()) for nbest in self.lists)
        if not words:
            raise ValueError("the references hold no words: there is no word error rate")
        return Outcome(int(errors.sum()), words)


@dataclass(frozen=True)
class Tuning:
    """The best of a grid.

    Arguments
    ---------
    setting : Setting
        The one with the fewest word errors; of several the least weight, then the least weight of
        the internal language model, then the insertion that is nearest to none.
    outcome : Outcome
        Its word errors.
    tried : int
        Number of settings.
    edges : tuple of str
        Those of weight, insertion and internal whose best value is the first or the last of
        several: there may be better ones beyond.
    """

    setting: Setting
    outcome: Outcome
    tried: int
    edges: tuple[str, ...]


def score_lists(lists: Sequence[NBest], model: nn.Module, tokens: Any) -> ScoredLists:
    """Scores lists of readings once, for all that may be asked of them.

    Recogniser and language model need not have the same tokens: the text of a reading is what is
    scored, each word that the language model does not know being charged for its spelling.

    Arguments
    ---------
    lists : sequence of NBest
        The lists.
    model : torch.nn.Module
        See :func:`~gatedrnn.tasks.language_modeling.prefix_scores.score_texts`.
    tokens : Tokens
        The language model's.

    Returns
    -------
    ScoredLists

    Raises
    ------
    ValueError
        If there is no list, or the language model knows no word of any, nor of any reference.
    """
    if not lists:
        raise ValueError("there are no lists of readings")
    texts = [candidate.text for nbest in lists for candidate in nbest.candidates]
    cost = score_texts(model, tokens, texts)
    # Where a recogniser has read no word of a language, what was said is still of that language.
    references = [nbest.reference or "" for nbest in lists]
    if any(texts) and not any(_knows(tokens, text) for text in (*texts, *references)):
        raise ValueError(
            f"the language model knows no word of the readings, such as {max(texts, key=len)!r}: "
            "was it trained on text of another case?"
        )
    shape = len(lists), max(len(nbest.candidates) for nbest in lists)
    recogniser, scores = np.full(shape, -np.inf), np.zeros(shape)
    words, errors = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    internal = np.zeros(shape)
    values = iter(cost.log_probs.tolist())
    for i, nbest in enumerate(lists):
        said = (nbest.reference or "").split()
        for j, candidate in enumerate(nbest.candidates):
            read = candidate.text.split()
            recogniser[i, j] = candidate.record.get("am", candidate.score)
            scores[i, j], internal[i, j] = next(values), candidate.record.get("ilm", 0.0)
            words[i, j], errors[i, j] = len(read), Levenshtein.distance(said, read)
    known = all(nbest.reference is not None for nbest in lists)
    has_internal = all("ilm" in candidate.record for n in lists for candidate in n.candidates)
    return ScoredLists(
        tuple(lists),
        recogniser,
        scores,
        words,
        errors if known else None,
        cost,
        internal if has_internal else None,
    )


def tune(
    scored: ScoredLists,
    weights: Sequence[float] = WEIGHTS,
    insertions: Sequence[float] = INSERTIONS,
    internals: Sequence[float] | None = None,
) -> Tuning:
    """Chooses weight and insertion, and that of an internal language model, by trying all.

    Arguments
    ---------
    scored : ScoredLists
        Development data, not what is reported.
    weights : sequence of float
        What is tried.
    insertions : sequence of float
        What is tried.
    internals : sequence of float or None
        What is tried; None: :data:`INTERNALS` if the lists have log-probabilities by an internal
        language model, 0 otherwise.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError
        If there is nothing to try, a reference is not known, or an internal language model is to be
        subtracted that the lists do not have.
    """
    if internals is None:
        internals = (0.0,) if scored.internal is None else INTERNALS
    if not len(weights) or not len(insertions) or not len(internals):
        raise ValueError("there must be at least one weight, insertion and internal to try")
    tried = [Setting(*values) for values in itertools.product(weights, insertions, internals)]
    outcomes = [scored.outcome(setting) for setting in tried]
    best, outcome = min(
        zip(tried, outcomes, strict=True),
        key=lambda pair: (
            pair[1].errors,
            abs(pair[0].weight),
            abs(pair[0].internal),
            abs(pair[0].insertion),
        ),
    )
    edges = [
        name
        for name, value, values in (
            ("weight", best.weight, weights),
            ("insertion", best.insertion, insertions),
            ("internal", best.internal, internals),
        )
        # No weight at all is no edge: beyond it the language model would be contradicted.
        if len(set(values)) > 1 and value in (min(values), max(values)) and value
    ]
    return Tuning(best, outcome, len(tried), tuple(edges))


def _knows(tokens: Any, text: str) -> bool:
    return any(token != tokens.unk for token in tokens.encode(text))
