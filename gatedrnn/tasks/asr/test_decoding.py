"""The search of a recipe's test: its beam, a language model in it, what n-best lists say."""

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
from gatedrnn.tasks.language_modeling.rescoring import Setting
from gatedrnn.tasks.language_modeling.rescoring_sets import check_line_ends
from gatedrnn.tokens.hypotheses import Hypothesis
from gatedrnn.training.distributed import sum_over_ranks


class TestSearch:
    """Searches with what a YAML asks for.

    Arguments
    ---------
    hparams : namespace
        Optionally ``beam_size``; ``lm_weight``, which brings ``language_model`` (its bundle, or the
        output folder of its training) into the search, with ``lm_insertion``; ``internal_lm``
        (write ``ilm`` into the n-best lists: the log-probability by the recogniser's internal
        language model) and ``lm_internal`` (how much of it is subtracted in the search).
    model : nn.Module
        The recogniser.
    tokens : Tokens
        Its tokens.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such language model, or the recogniser cannot be searched with it.

    Example
    -------
    >>> from types import SimpleNamespace
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

    #: Tests collect classes of this name, unless they are told not to.
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
        """Whether a set must be read first for how probable the tokens are by themselves."""
        wanted = self.internal or bool(self.setting.internal)
        return self.by_labels and wanted and self.label_prior is None

    def collects(self, scores: Scores) -> bool:
        """Reads a batch for that, if it is needed.

        Arguments
        ---------
        scores : Scores
            Of a batch.

        Returns
        -------
        bool
            Whether it was needed: then there is nothing to search yet.
        """
        if not self.needs_label_prior:
            return False
        self._sums.add(scores.log_probs, scores.counts)
        return True

    def take_label_prior(
        self, device: torch.device | str, folder: str | Path | None = None
    ) -> None:
        """Ends that reading.

        Arguments
        ---------
        device : torch.device or str
            Where the ranks' backend communicates.
        folder : str or Path or None
            Where ``label_prior.json`` goes.
        """
        sums = sum_over_ranks(self._sums.sums.tolist(), device)
        self._sums.sums = torch.tensor(sums, dtype=torch.float64)
        self.label_prior = self._sums.log_probs()
        if folder is not None:
            write_label_prior(Path(folder) / LABEL_PRIOR, self.label_prior)
        self._make_fusion()

    def search(self, model: nn.Module, scores: Scores) -> list[list[Hypothesis]]:
        """Readings of each utterance.

        Arguments
        ---------
        model : nn.Module
            The recogniser.
        scores : Scores
            Of a batch.

        Returns
        -------
        list of list of Hypothesis
            The best reading first.
        """
        return search(model, scores, self.beam_size, self._fusion)

    def with_internal(
        self, model: nn.Module, lists: Sequence[Sequence[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """Readings with their log-probabilities by the internal language model, if wanted.

        Arguments
        ---------
        model : nn.Module
            The recogniser.
        lists : sequence of sequence of Hypothesis
            Readings of each utterance.

        Returns
        -------
        list of list of Hypothesis
        """
        if not self.internal:
            return [list(found) for found in lists]
        sequences = [h.tokens for found in lists for h in found]
        values = iter(internal_log_probs(model, sequences, self.label_prior).tolist())
        return [
            [replace(h, parts={**h.parts, "ilm": next(values)}) for h in found] for found in lists
        ]

    def _make_fusion(self) -> None:
        found = self.language_model
        if found is not None:
            prior = self.label_prior if self.setting.internal else None
            self._fusion = Fusion(found.model, found.tokens, self.tokens, self.setting, prior)


def _load(hparams: Any, model: nn.Module, beam_size: int) -> Any:
    # Imported here: reading models is inference's, which stands on training.
    from gatedrnn.tasks.language_modeling.export import load_language_model

    folder = getattr(hparams, "language_model", None)
    if folder is None:
        raise ValueError("lm_weight is for a language model in the search: name its language_model")
    check_fusion(model, beam_size)
    # Beginning a model draws random numbers, and the training's own must not change.
    with torch.random.fork_rng(devices=[]):
        found = load_language_model(folder)
    check_line_ends(found, folder)
    return found
