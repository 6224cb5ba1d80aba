"""Our language models in SpeechBrain's own searches and rescorers.

``RNNLMScorer`` and ``RNNLMRescorer`` of :mod:`speechbrain.decoders.scorer` call a model as
:class:`~gatedrnn.tasks.language_modeling.model.TextModel` is called. What differs is around it:

- one token, ``<eos>`` (0), begins and ends a text, and fills up: it is bos, eos and pad;
- SpeechBrain's rescorer writes texts in capitals, and knows no charge for the spelling of what has
  no token;
- a search of an attention head counts its end and its start behind the tokens, and scores as many
  columns as it has.
"""

from __future__ import annotations

from typing import Any

import torch
from speechbrain.decoders.scorer import RNNLMRescorer as StockRescorer
from torch import nn

from gatedrnn.tasks.language_modeling.bundle import LanguageModel
from gatedrnn.tokens import EOS

#: What SpeechBrain's searches take for log(0).
_NOTHING = -1e20


class SearchModel(nn.Module):
    """A language model in the tokens of an attention head, for ``RNNLMScorer``.

    Those of both must be the same: characters of the same text, or the same pieces.

    Arguments
    ---------
    language_model : LanguageModel
        The language model, such as ``read_language_model``
        gives.
    tokens : Tokens
        The recogniser's; the search's end and start come behind them.

    Raises
    ------
    ValueError
        If the tokens differ.

    Example
    -------
    >>> from speechbrain.decoders.scorer import RNNLMScorer
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.specification import TextModelSpec
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
        found = language_model.tokens
        count = len(tokens)
        if found.names[1:count] != tokens.names[1:]:
            raise ValueError(
                f"the language model's {found.kind} are not the recogniser's {tokens.kind}: train "
                "both on the same text with the same tokens, or rescore"
            )
        self.model = language_model.model
        # The blank is never read. What is read before the first token is the end of a line.
        self.register_buffer("_read", torch.tensor([*range(count), EOS, EOS]))
        self.register_buffer("_scored", torch.tensor([EOS, *range(1, count), EOS, found.unk]))
        # What cannot be said has the column of the start, which is never chosen, so that all sum to
        # one; among pieces it is a token already.
        self._never = [0] if found.unk >= count else [0, count + 1]

    def forward(self, tokens: torch.Tensor, hx: Any = None) -> tuple[torch.Tensor, Any]:
        """Scores the next token.

        Arguments
        ---------
        tokens : torch.Tensor
            The search's, (batch,).
        hx : torch.Tensor or tuple or None
            State before them, as returned.

        Returns
        -------
        log_probs : torch.Tensor
            (batch, tokens + 2).
        hidden : torch.Tensor or tuple
            State after them.
        """
        scores, hidden = self.model(self._read[tokens], hx)
        log_probs = scores.float().log_softmax(-1)[..., self._scored]
        log_probs[..., self._never] = _NOTHING
        return log_probs, hidden


class RNNLMRescorer(StockRescorer):
    """SpeechBrain's rescorer with a language model of ours, whose scores are those of rescoring.

    SpeechBrain's ``RescorerBuilder`` knows rescorers by the beginnings of their classes' names, so
    this one is called as SpeechBrain's.

    Arguments
    ---------
    language_model : LanguageModel
        The language model.
    device : str
        Where to compute.
    temperature : float
        Divides the scores.

    Example
    -------
    >>> from speechbrain.decoders.scorer import RescorerBuilder
    >>> from gatedrnn.tasks.language_modeling.bundle import LanguageModelConfig
    >>> from gatedrnn.tasks.language_modeling.specification import TextModelSpec
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["go on"], "<eos>")
    >>> spec = TextModelSpec(len(tokens), {"hidden_size": 4})
    >>> model = LanguageModel(LanguageModelConfig(spec), tokens, spec.build())
    >>> rescorer = RescorerBuilder(rescorers=[RNNLMRescorer(model)], weights={"rnnlm": 0.5})
    >>> texts, scores = rescorer.rescore([["go on", "go"]], [[-1.0, -9.0]])
    >>> texts
    [['go on', 'go']]
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
        """Leaves the case of a text as it is.

        Arguments
        ---------
        text : str
            The text.

        Returns
        -------
        str
            Words separated by single spaces.
        """
        return " ".join(text.split())

    def rescore_hyps(self, topk_hyps: list[list[str]]) -> torch.Tensor:
        """Log-probabilities of texts, what has no token being charged for its spelling.

        Arguments
        ---------
        topk_hyps : list of list of str
            Texts of several utterances.

        Returns
        -------
        torch.Tensor
            Those of all utterances, (texts,).
        """
        texts = [self.normalize_text(text) for hyps in topk_hyps for text in hyps]
        charges = [
            sum(self.tokenizer.unknown_nats(part) for part in self.tokenizer.unknown(text))
            for text in texts
        ]
        found = super().rescore_hyps(topk_hyps)
        return found - torch.tensor(charges, dtype=found.dtype, device=found.device)
