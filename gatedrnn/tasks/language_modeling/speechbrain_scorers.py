"""Our language models in SpeechBrain's own searches and rescorers.

SpeechBrain's ``RNNLMScorer`` and ``RNNLMRescorer`` call a model as ``TextModel`` is called. The
differences are:

- ``<eos>`` (0) is bos, eos and padding of a text;
- SpeechBrain's rescorer converts texts to capitals, and adds no nats for unknown words;
- the search of an attention head has its end and its start after the tokens.
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
