"""An external language model of a recognizer: in its beam search, or on its n-best lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from gatedrnn.tasks.asr.decode import FUSION, Scores, SearchOptions, search
from gatedrnn.tasks.asr.internal_lm import internal_log_probs
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.language_modeling.bundle import LanguageModel
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tokens import Tokens
from gatedrnn.tokens.hypotheses import Hypothesis, distinct

#: Subfolder of a recognizer's bundle for its language model.
FOLDER = "lm"


class ExternalLM:
    """A language model beside a recognizer, as the ``lm_*`` of its search options say.

    Raises a ValueError if the language model has no letter of the recognizer's alphabet, or does
    not model ends of sentences.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        options: SearchOptions,
        tokens: Tokens,
        device: torch.device | str = "cpu",
    ) -> None:
        if not language_model.config.model.line_ends:
            raise ValueError(
                "the language model was trained on text without ends of lines: it cannot tell how "
                "probable it is that a sentence ends"
            )
        self.model, self.model_tokens = language_model.model.to(device), language_model.tokens
        self.tokens, self.weights = tokens, options.lm_weights
        fusion = Fusion(self.model, self.model_tokens, tokens, replace(self.weights, internal=0.0))
        self.fusion = fusion if options.lm_mode == FUSION else None

    def search(
        self, model: nn.Module, scores: Scores, options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance with the language model, the best first."""
        self.check_beam(options.beam_size)
        return self.ranked(model, search(model, scores, options, self.fusion))

    def check_beam(self, beam_size: int) -> None:
        """Raises a ValueError for greedy search, which leaves nothing to choose from."""
        if beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {beam_size}; --no-lm "
                "leaves it out"
            )

    def ranked(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Rescores the lists of a search; those of fusion stay as they are."""
        if self.fusion is not None:
            return [list(hypotheses) for hypotheses in lists]
        lists = [distinct(hypotheses, self.tokens) for hypotheses in lists]
        flat = [h for hypotheses in lists for h in hypotheses]
        texts = [self.tokens.decode(h.tokens) for h in flat]
        values = score_texts(self.model, self.model_tokens, texts).log_probs.tolist()
        internal = [0.0] * len(flat)
        if self.weights.internal:
            internal = internal_log_probs(model, [h.tokens for h in flat]).tolist()
        rescored = iter(
            [self._rescored(*row) for row in zip(flat, texts, values, internal, strict=True)]
        )
        ordered = [[next(rescored) for _ in hypotheses] for hypotheses in lists]
        return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in ordered]

    def _rescored(self, h: Hypothesis, text: str, log_prob: float, internal: float) -> Hypothesis:
        weights = self.weights
        score = h.score + weights.weight * log_prob + weights.insertion * len(text.split())
        parts = {"am": h.score, "lm": log_prob}
        if weights.internal:
            parts["ilm"] = internal
        return Hypothesis(h.tokens, score - weights.internal * internal, parts)
