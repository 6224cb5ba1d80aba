"""Use of a trained language model: perplexity of text files, log-probabilities of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.data.tables import Text, read_text
from gatedrnn.tasks.language_modeling.bundle import LanguageModel
from gatedrnn.tasks.language_modeling.evaluation import (
    AdaptiveModel,
    DynamicEvaluation,
    EvaluationOptions,
    log_probabilities,
    score,
    write_word_scores,
)
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts


def evaluate_file(
    language_model: LanguageModel,
    path: str | Path,
    carried: bool | None = None,
    dynamic: DynamicEvaluation | None = None,
    word_scores: str | Path | None = None,
) -> dict[str, Any]:
    """Perplexity of a text file.

    Arguments
    ---------
    language_model : LanguageModel
        Of :func:`~gatedrnn.tasks.language_modeling.bundle.load_language_model`.
    path : str or Path
        The text, a sentence per line; or ``.gz``.
    carried : bool or None
        Whether the state is carried over from line to line; None: as in training.
    dynamic : DynamicEvaluation or None
        Options of dynamic evaluation.
    word_scores : str or Path or None
        A file for the log-probability of every word.

    Returns
    -------
    dict
        :meth:`~gatedrnn.tasks.language_modeling.evaluation.TextScore.metrics`.
    """
    path, spec = Path(path), language_model.config.model
    report = Report("text")
    text = read_text(path, path.name, report)
    if not spec.line_ends:
        text = Text(text.name, [" ".join(text.lines)], ends=False)
    model, tokens = language_model.model, language_model.tokens
    encoded = tokens.encode_text(text)
    learner = None
    if dynamic is not None:
        learner = AdaptiveModel(model.requires_grad_(True), dynamic)
    options = EvaluationOptions(spec.carry_state if carried is None else carried)
    values = log_probabilities(model, encoded, options, learner)
    metrics = score(encoded, values).metrics()
    report.log()
    if word_scores is not None:
        write_word_scores(word_scores, encoded, tokens, values)
    return metrics


def log_probs(language_model: LanguageModel, texts: Sequence[str]) -> list[float]:
    """Natural log-probability of each sentence with its end, and with its unknown words."""
    model, tokens = language_model.model, language_model.tokens
    return score_texts(model, tokens, texts).log_probs.tolist()
