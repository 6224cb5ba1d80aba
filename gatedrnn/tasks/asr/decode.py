"""Search: its options, its input, and one entry point for all heads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import torch
from torch import nn

from gatedrnn.data.config import Range
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tokens.hypotheses import Hypothesis

#: Use of a language model: in the beam search, or on the n-best lists that it returns.
FUSION, RESCORING = "fusion", "rescoring"
LM_MODES = (FUSION, RESCORING)


@dataclass(frozen=True)
class SearchOptions:
    """Options of the search of a speech recognizer, for training's test, transcription and streams.

    Arguments
    ---------
    beam_size : int
        Hypotheses kept from frame to frame, or from token to token; 1 for greedy search.
    n_best : int or None
        Maximum length of n-best lists, after hypotheses of the same text were merged; None for
        all hypotheses that are in the beam.
    min_log_prob : float
        Prefix beam search of CTC: tokens less probable than this in a frame (natural logarithm)
        are pruned there, except the most probable one.
    lm_mode : str or None
        ``"fusion"``: the language model is combined with the recognizer in the beam search, for
        head ``ctc``; ``"rescoring"``: it rescores the n-best lists; None: there is none.
    lm_weight : float
        Weight of the language model's log-probabilities, at least 0.
    lm_insertion : float
        Added to the score for each word.
    lm_internal : float
        Weight of the log-probabilities of the recognizer's internal language model, which are
        subtracted.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> SearchOptions(beam_size=8, lm_mode="rescoring", lm_weight=0.5).lm_weights
    LMWeights(weight=0.5, insertion=0.0, internal=0.0)
    """

    beam_size: Annotated[int, Range(1, 10_000)] = 1
    n_best: Annotated[int | None, Range(1, 10_000)] = None
    min_log_prob: float = -8.0
    lm_mode: str | None = None
    lm_weight: float = 0.0
    lm_insertion: float = 0.0
    lm_internal: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beam_size", "n_best"):
            value = getattr(self, name)
            if value is None and name == "n_best":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
        for name in ("min_log_prob", "lm_weight", "lm_insertion", "lm_internal"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r}")
        if self.lm_mode is not None and self.lm_mode not in LM_MODES:
            raise ValueError(f"lm_mode must be {' or '.join(LM_MODES)}, not {self.lm_mode!r}")
        if self.lm_weight < 0:
            raise ValueError(f"lm_weight must be at least 0, not {self.lm_weight}")

    @classmethod
    def from_hparams(cls, hparams: Any) -> SearchOptions:
        """Reads ``beam_size``, ``n_best`` and ``lm_*`` from a recipe's hparams.

        ``lm_weight`` adds a language model to the search (fusion). Without it, ``lm_insertion`` and
        ``lm_internal`` have no meaning and are refused.
        """

        def value(name: str) -> Any:
            if isinstance(hparams, Mapping):
                return hparams.get(name)
            return getattr(hparams, name, None)

        n_best = value("n_best")
        lm = {name: value(name) for name in ("lm_weight", "lm_insertion", "lm_internal")}
        if lm["lm_weight"] is None and any(lm.values()):
            raise ValueError(
                "lm_insertion and lm_internal are for a language model in the search: give its "
                "lm_weight, too"
            )
        return cls(
            int(value("beam_size") or 1),
            None if n_best is None else int(n_best),
            lm_mode=None if lm["lm_weight"] is None else FUSION,
            **{name: float(weight or 0) for name, weight in lm.items()},
        )

    @property
    def lm_weights(self) -> LMWeights:
        """Weights of the language model, as rescoring takes them."""
        return LMWeights(self.lm_weight, self.lm_insertion, self.lm_internal)

    def check_language_model(self, head: str) -> None:
        """Raises a ValueError if a recognizer with this head cannot use a language model so."""
        if self.lm_mode == FUSION and head != "ctc":
            raise ValueError(f"mode {FUSION} is for head ctc; for {head} use mode {RESCORING}")
        if self.lm_internal and (head == "ctc" or self.lm_mode == FUSION):
            raise ValueError(
                "an internal language model is subtracted for heads attention and transducer, in "
                f"mode {RESCORING} only: choose the weights with --internal 0"
            )
        if self.beam_size < 2:
            raise ValueError(
                f"a language model needs a beam_size of at least 2, not {self.beam_size}: the "
                "greedy search leaves it nothing to choose from"
            )


class Scores(NamedTuple):
    """Input of the search.

    log_probs: of CTC, (batch, frames, tokens); None if the model was trained without CTC
    counts: frames of each utterance, (batch,)
    encoded: encoder output, (batch, frames, width); None for head ``ctc``
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    encoded: torch.Tensor | None = None


class IncrementalSearch(Protocol):
    """A search that takes the frames of one utterance piece by piece."""

    def advance(self, log_probs: torch.Tensor | None, encoded: torch.Tensor) -> None:
        """Takes CTC log-probabilities (frames, tokens), or None, and encoder output."""

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens of the best partial hypothesis."""

    def hypotheses(self) -> list[Hypothesis]:
        """The hypotheses of all frames so far, the best first."""


def search(
    model: nn.Module,
    scores: Scores,
    options: SearchOptions = SearchOptions(),
    fusion: Fusion | None = None,
) -> list[list[Hypothesis]]:
    """Searches hypotheses of each utterance; the best is first.

    Arguments
    ---------
    model : CTCModel or HeadModel
        The recognizer.
    scores : Scores
        Of its method ``scores``.
    options : SearchOptions
        Width of the beam, pruning, and number of hypotheses.
    fusion : Fusion or None
        A language model in the beam search, for head ``ctc``.

    Raises
    ------
    ValueError
        If the model, or greedy search, cannot be combined with a language model.

    Example
    -------
    >>> from gatedrnn.tasks.asr.model import CTCModel
    >>> model = CTCModel(9, input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> scores = model.scores(torch.rand(1, 30, 6), torch.ones(1))
    >>> lists = search(model, scores, SearchOptions(beam_size=4))
    >>> len(lists), len(lists[0])
    (1, 4)
    """
    if fusion is not None:
        check_fusion(model, options.beam_size)
        return model.search(scores, options, fusion)
    return model.search(scores, options)


def incremental_search(
    model: nn.Module, options: SearchOptions = SearchOptions(), fusion: Fusion | None = None
) -> IncrementalSearch:
    """The search of one utterance, frames at a time; it ends where :func:`search` does.

    Raises a ValueError if the head, its beam search or fusion needs the whole utterance.
    """
    if fusion is not None:
        check_fusion(model, options.beam_size)
    return model.incremental_search(options, fusion)


def check_fusion(model: nn.Module, beam_size: int) -> None:
    """Raises a ValueError if a language model cannot be combined with the model's search."""
    if model.head != "ctc":
        raise ValueError(
            "a language model in the search (fusion) is for head ctc alone: for other heads, "
            "rescore the n-best lists of their search"
        )
    if beam_size < 2:
        raise ValueError(
            f"a language model in the search needs a beam_size of at least 2, not {beam_size}: "
            "the greedy search has nothing to choose from"
        )
