"""Search of a training's test, also with a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.asr.decode import Scores, SearchOptions, check_fusion, search
from gatedrnn.tasks.asr.internal_lm import (
    LABEL_PRIOR,
    LabelPrior,
    internal_log_probs,
    write_label_prior,
)
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.language_modeling.bundle import load_language_model
from gatedrnn.tasks.language_modeling.rescoring import check_line_ends
from gatedrnn.tokens import Tokens
from gatedrnn.tokens.hypotheses import Hypothesis
from gatedrnn.training.distributed import sum_over_ranks


class TestSearch:
    """Search of a training's test, as hparams say.

    They have those of :meth:`~gatedrnn.tasks.asr.decode.SearchOptions.from_hparams`;
    ``language_model`` (a bundle, or the output folder of a training), needed with ``lm_weight``;
    and ``internal_lm``, which adds ``ilm`` to the n-best lists: the log-probability by the
    recognizer's internal language model.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> from gatedrnn.tasks.asr.model import CTCModel
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"])
    >>> model = CTCModel(len(tokens), input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> test = TestSearch(SimpleNamespace(beam_size=4, internal_lm=True), model, tokens)
    >>> scores = Scores(torch.rand(1, 9, len(tokens)).log_softmax(-1), torch.tensor([9]))
    >>> test.needs_label_prior, test.collects(scores)
    (True, True)
    >>> test.take_label_prior("cpu")
    >>> lists = test.with_internal(model, test.search(model, scores))
    >>> sorted(lists[0][0].parts), test.collects(scores)
    (['ilm'], False)
    """

    #: pytest would collect the class for its name.
    __test__ = False

    def __init__(self, hparams: Any, model: nn.Module, tokens: Tokens) -> None:
        self.options = SearchOptions.from_hparams(hparams)
        self.internal = bool(getattr(hparams, "internal_lm", False))
        self.tokens, self.language_model = tokens, None
        if self.options.lm_mode is not None:
            self.language_model = _load(hparams, model, self.options.beam_size)
        self.by_ctc = model.head == "ctc"
        self.label_prior: torch.Tensor | None = None
        self._sums = LabelPrior(len(tokens))
        self._fusion: Fusion | None = None
        if not self.needs_label_prior:
            self._make_fusion()

    @property
    def needs_label_prior(self) -> bool:
        """Whether the label prior must be estimated first, on a whole set."""
        needed = self.internal or bool(self.options.lm_internal)
        return self.by_ctc and needed and self.label_prior is None

    def collects(self, scores: Scores) -> bool:
        """Adds a batch to the label prior, if it is needed; then there is nothing to search yet."""
        if not self.needs_label_prior:
            return False
        self._sums.add(scores.log_probs, scores.counts)
        return True

    def take_label_prior(
        self, device: torch.device | str, folder: str | Path | None = None
    ) -> None:
        """Ends the estimation of the label prior, and writes it to a folder."""
        sums = sum_over_ranks(self._sums.sums.tolist(), device)
        self._sums.sums = torch.tensor(sums, dtype=torch.float64)
        self.label_prior = self._sums.log_probs()
        if folder is not None:
            write_label_prior(Path(folder) / LABEL_PRIOR, self.label_prior)
        self._make_fusion()

    def search(self, model: nn.Module, scores: Scores) -> list[list[Hypothesis]]:
        """N-best list of each utterance, the best first."""
        return search(model, scores, self.options, self._fusion)

    def with_internal(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Adds the log-probabilities by the internal language model, if hparams ask for them."""
        if not self.internal:
            return [list(hypotheses) for hypotheses in lists]
        sequences = [h.tokens for hypotheses in lists for h in hypotheses]
        values = iter(internal_log_probs(model, sequences, self.label_prior).tolist())
        return [
            [replace(h, parts={**h.parts, "ilm": next(values)}) for h in hypotheses]
            for hypotheses in lists
        ]

    def _make_fusion(self) -> None:
        lm, weights = self.language_model, self.options.lm_weights
        if lm is not None:
            prior = self.label_prior if weights.internal else None
            self._fusion = Fusion(lm.model, lm.tokens, self.tokens, weights, prior)


def _load(hparams: Any, model: nn.Module, beam_size: int) -> Any:
    folder = getattr(hparams, "language_model", None)
    if folder is None:
        raise ValueError("lm_weight is for a language model in the search: name its language_model")
    check_fusion(model, beam_size)
    # Initialisation samples random numbers; those of the training must not change.
    with torch.random.fork_rng(devices=[]):
        language_model = load_language_model(folder)
    check_line_ends(language_model, folder)
    return language_model
