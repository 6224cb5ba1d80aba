"""Search of the tests of a training: beam, language model, n-best lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.asr.decode import Scores, check_fusion, search
from gatedrnn.tasks.asr.internal_lm import (
    LABEL_PRIOR,
    LabelPrior,
    internal_log_probs,
    write_label_prior,
)
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.language_modeling.export import load_language_model
from gatedrnn.tasks.language_modeling.rescoring import Setting
from gatedrnn.tasks.language_modeling.rescoring_sets import check_line_ends
from gatedrnn.tokens.hypotheses import Hypothesis
from gatedrnn.training.distributed import sum_over_ranks


class TestSearch:
    """The search that a YAML configures.

    Of ``hparams`` it takes ``beam_size``; ``lm_weight``, which brings ``language_model`` (a bundle,
    or the output folder of a training) into the search, with ``lm_insertion``; ``internal_lm``
    (adds ``ilm``, the log-probability by the recognizer's internal language model, to the n-best
    lists) and ``lm_internal`` (its weight in the search, where it is subtracted).
    """

    #: pytest would collect the class for its name.
    __test__ = False

    def __init__(self, hparams: Any, model: nn.Module, tokens: Any) -> None:
        self.beam_size = int(getattr(hparams, "beam_size", 1))
        self.internal = bool(getattr(hparams, "internal_lm", False))
        weight, insertion, internal = (
            getattr(hparams, f"lm_{name}", None) for name in ("weight", "insertion", "internal")
        )
        self.setting = Setting(float(weight or 0), float(insertion or 0), float(internal or 0))
        self.tokens, self.language_model = tokens, None
        if weight is not None:
            self.language_model = _load(hparams, model, self.beam_size)
        elif insertion or internal:
            raise ValueError(
                "lm_insertion and lm_internal are for a language model in the search: give its "
                "lm_weight, too"
            )
        self.by_labels = isinstance(model, CTCModel)
        self.label_prior: torch.Tensor | None = None
        self._sums = LabelPrior(len(tokens))
        self._fusion: Fusion | None = None
        if not self.needs_label_prior:
            self._make_fusion()

    @property
    def needs_label_prior(self) -> bool:
        """Whether the prior of the tokens must be estimated on a set first."""
        uses_prior = self.internal or bool(self.setting.internal)
        return self.by_labels and uses_prior and self.label_prior is None

    def collects(self, scores: Scores) -> bool:
        """Adds a batch to the estimate, if one is needed; says whether it is."""
        if not self.needs_label_prior:
            return False
        self._sums.add(scores.log_probs, scores.counts)
        return True

    def take_label_prior(
        self, device: torch.device | str, folder: str | Path | None = None
    ) -> None:
        """Ends the estimate over all ranks; writes ``label_prior.json`` to the folder."""
        sums = sum_over_ranks(self._sums.sums.tolist(), device)
        self._sums.sums = torch.tensor(sums, dtype=torch.float64)
        self.label_prior = self._sums.log_probs()
        if folder is not None:
            write_label_prior(Path(folder) / LABEL_PRIOR, self.label_prior)
        self._make_fusion()

    def search(self, model: nn.Module, scores: Scores) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance, the best first."""
        return search(model, scores, self.beam_size, self._fusion)

    def with_internal(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Hypotheses with their log-probabilities by the internal language model, if configured."""
        if not self.internal:
            return [list(hypotheses) for hypotheses in lists]
        sequences = [h.tokens for hypotheses in lists for h in hypotheses]
        values = iter(internal_log_probs(model, sequences, self.label_prior).tolist())
        return [
            [replace(h, parts={**h.parts, "ilm": next(values)}) for h in hypotheses]
            for hypotheses in lists
        ]

    def _make_fusion(self) -> None:
        lm = self.language_model
        if lm is not None:
            prior = self.label_prior if self.setting.internal else None
            self._fusion = Fusion(lm.model, lm.tokens, self.tokens, self.setting, prior)


def _load(hparams: Any, model: nn.Module, beam_size: int) -> Any:
    folder = getattr(hparams, "language_model", None)
    if folder is None:
        raise ValueError("lm_weight is for a language model in the search: name its language_model")
    check_fusion(model, beam_size)
    # Making a model uses random numbers; those of the training must not change.
    with torch.random.fork_rng(devices=[]):
        language_model = load_language_model(folder)
    check_line_ends(language_model, folder)
    return language_model
