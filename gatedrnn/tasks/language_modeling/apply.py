"""Use of a trained language model: perplexity, log-probabilities, scorers for SpeechBrain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.decoders.scorer import RNNLMRescorer as StockRescorer
from torch import nn

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
from gatedrnn.tokens import EOS


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


#: What SpeechBrain's searches take for log(0).
_NOTHING = -1e20


class SearchModel(nn.Module):
    """A language model in the tokens of an attention head, for ``RNNLMScorer``.

    Both must have the same tokens: characters of the same text, or the same pieces.

    Arguments
    ---------
    language_model : LanguageModel
        Of :func:`~gatedrnn.tasks.language_modeling.bundle.read_language_model`.
    tokens : Tokens
        The recognizer's; the search adds end and start after them.

    Raises
    ------
    ValueError
        If the tokens differ.

    Example
    -------
    >>> from speechbrain.decoders.scorer import RNNLMScorer
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.bundle import TextModelSpec
    >>> from gatedrnn.tokens import Characters
    >>> tokens, text = Characters.learn(["GO ON"]), Characters.learn(["GO ON"], "<eos>")
    >>> spec = TextModelSpec(len(text), {"hidden_size": 4})
    >>> model = LanguageModel(LanguageModelConfig(spec), text, spec.build().eval())
    >>> scorer = RNNLMScorer(SearchModel(model, tokens))
    >>> start = torch.tensor([len(tokens) + 1])
    >>> log_probs, memory = scorer.score(start, None, None, None)
    >>> log_probs.shape
    torch.Size([1, 7])
    """

    def __init__(self, language_model: LanguageModel, tokens: Any) -> None:
        super().__init__()
        model_tokens = language_model.tokens
        count = len(tokens)
        if model_tokens.names[1:count] != tokens.names[1:]:
            raise ValueError(
                f"the language model's {model_tokens.kind} are not the recogniser's {tokens.kind}: "
                "train both on the same text with the same tokens, or rescore"
            )
        self.model = language_model.model
        # There is no blank in the input; before the first token stands the end of a line.
        self.register_buffer("_read", torch.tensor([*range(count), EOS, EOS]))
        self.register_buffer(
            "_scored", torch.tensor([EOS, *range(1, count), EOS, model_tokens.unk])
        )
        # ``<unk>`` has the column of the start, which is never chosen, so that all columns sum to
        # one; among pieces it already is a token.
        self._never = [0] if model_tokens.unk >= count else [0, count + 1]

    def forward(self, tokens: torch.Tensor, hx: Any = None) -> tuple[torch.Tensor, Any]:
        """Log-probabilities of the next token, (batch, tokens + 2), and the state.

        tokens: of the search, (batch,)
        """
        scores, hidden = self.model(self._read[tokens], hx)
        log_probs = scores.float().log_softmax(-1)[..., self._scored]
        log_probs[..., self._never] = _NOTHING
        return log_probs, hidden


class RNNLMRescorer(StockRescorer):
    """SpeechBrain's rescorer with a language model of ours, whose scores are those of rescoring.

    It has the name of SpeechBrain's class because ``RescorerBuilder`` derives the key ``"rnnlm"``
    of the weights from it.

    Arguments
    ---------
    language_model : LanguageModel
        The language model.
    device : str
        Device of the model.
    temperature : float
        Divides the logits.

    Example
    -------
    >>> from speechbrain.decoders.scorer import RescorerBuilder
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.bundle import TextModelSpec
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["we see"], "<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> model = LanguageModel(LanguageModelConfig(spec), tokens, spec.build())
    >>> rescorer = RescorerBuilder(rescorers=[RNNLMRescorer(model)], weights={"rnnlm": 0.5})
    >>> texts, scores = rescorer.rescore([["we see", "we"]], [[-1.0, -9.0]])
    >>> texts
    [['we see', 'we']]
    """

    def __init__(
        self, language_model: LanguageModel, device: str = "cpu", temperature: float = 1.0
    ) -> None:
        super().__init__(
            language_model.model,
            language_model.tokens,
            device=device,
            temperature=temperature,
            bos_index=EOS,
            eos_index=EOS,
            pad_index=EOS,
        )

    def normalize_text(self, text: str) -> str:
        """The text with single spaces, in its own case."""
        return " ".join(text.split())

    def rescore_hyps(self, topk_hyps: list[list[str]]) -> torch.Tensor:
        """Log-probabilities of all utterances' texts, (texts,), with nats of unknown words."""
        texts = [self.normalize_text(text) for hyps in topk_hyps for text in hyps]
        nats = [
            sum(self.tokenizer.unknown_nats(part) for part in self.tokenizer.unknown(text))
            for text in texts
        ]
        scores = super().rescore_hyps(topk_hyps)
        return scores - torch.tensor(nats, dtype=scores.dtype, device=scores.device)
