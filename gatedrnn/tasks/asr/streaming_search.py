"""Searches that go on as frames come, and end where the search of the whole utterance would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from gatedrnn.tasks.asr import transducer_search as transducer
from gatedrnn.tasks.asr.decode import check_fusion
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.prefix_beam import PrefixBeam
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis

if TYPE_CHECKING:
    from gatedrnn.tasks.asr.lm_fusion import Fusion


class IncrementalSearch(Protocol):
    """Reads frames, and knows at any time what they say."""

    def advance(self, log_probs: torch.Tensor | None, encoded: torch.Tensor) -> None:
        """Reads further frames.

        Arguments
        ---------
        log_probs : torch.Tensor or None
            Of connectionist temporal classification, (frames, tokens).
        encoded : torch.Tensor
            What a head looks at, (frames, width).
        """

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens of the best reading so far."""

    def hypotheses(self) -> list[Hypothesis]:
        """The readings of the frames so far, the best first."""


class GreedyCTC:
    """The best token of each frame, repetitions as one, without blanks.

    Example
    -------
    >>> search = GreedyCTC()
    >>> for token in (1, 1, 0, 1):
    ...     search.advance(torch.eye(2)[[token]].log(), torch.empty(1, 0))
    >>> search.hypotheses()[0].tokens
    (1, 1)
    """

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._last, self._score = BLANK, 0.0

    def advance(self, log_probs: torch.Tensor, encoded: torch.Tensor) -> None:
        """See :class:`IncrementalSearch`."""
        scores, best = log_probs.max(-1)
        self._score += float(scores.sum())
        for token in best.tolist():
            if token not in (BLANK, self._last):
                self._tokens.append(token)
            self._last = token

    @property
    def best(self) -> tuple[int, ...]:
        """See :class:`IncrementalSearch`."""
        return tuple(self._tokens)

    def hypotheses(self) -> list[Hypothesis]:
        """See :class:`IncrementalSearch`."""
        return [Hypothesis(self.best, self._score)]


class BeamCTC(PrefixBeam):
    """The prefix beam search.

    Arguments
    ---------
    beam_size : int
        Readings that are kept from frame to frame.
    fusion : Fusion or None
        A language model that has its say.
    """

    def __init__(self, beam_size: int, fusion: Fusion | None = None) -> None:
        super().__init__(beam_size, fusion=fusion)

    def advance(self, log_probs: torch.Tensor, encoded: torch.Tensor | None = None) -> None:
        """See :class:`IncrementalSearch`."""
        super().advance(log_probs)


class GreedyTransducer:
    """The best token each time, the blank leading to the next frame.

    Arguments
    ---------
    model : TransducerModel
        The model.
    """

    def __init__(self, model: TransducerModel) -> None:
        self.model = model
        self._search = transducer.greedy_searcher(model)
        self._carried: Any = None
        self._tokens: list[int] = []
        self._states: list[torch.Tensor] = []

    def advance(self, log_probs: torch.Tensor | None, encoded: torch.Tensor) -> None:
        """See :class:`IncrementalSearch`."""
        if not len(encoded):
            return
        states = self.model.from_acoustic(encoded)
        (found,), *_, self._carried = self._search.transducer_greedy_decode(
            states.unsqueeze(0), self._carried, return_hidden=True
        )
        self._tokens += found
        self._states.append(states)

    @property
    def best(self) -> tuple[int, ...]:
        """See :class:`IncrementalSearch`."""
        return tuple(self._tokens)

    def hypotheses(self) -> list[Hypothesis]:
        """See :class:`IncrementalSearch`; the score is that of all alignments."""
        if not self._states:
            return [Hypothesis((), 0.0)]
        return [
            Hypothesis(
                self.best, transducer.log_prob(self.model, torch.cat(self._states), self._tokens)
            )
        ]


def incremental_search(
    model: nn.Module, beam_size: int = 1, fusion: Fusion | None = None
) -> IncrementalSearch:
    """The search that fits a model.

    Arguments
    ---------
    model : CTCModel or TransducerModel
        The model.
    beam_size : int
        Width of the beam; 1 for the greedy search.
    fusion : Fusion or None
        A language model that has its say; see :func:`~gatedrnn.tasks.asr.decode.search`.

    Returns
    -------
    IncrementalSearch

    Raises
    ------
    ValueError
        If the head must see the whole utterance, or its beam search, or there can be no fusion.
    """
    if fusion is not None:
        check_fusion(model, beam_size)
    if isinstance(model, CTCModel):
        return BeamCTC(beam_size, fusion) if beam_size > 1 else GreedyCTC()
    if isinstance(model, TransducerModel):
        if beam_size > 1:
            raise ValueError(
                "the beam search of a transducer needs the whole utterance: stream with beam_size 1"
            )
        return GreedyTransducer(model)
    raise ValueError(
        "an attention head looks at the whole utterance for each token, so it cannot stream; train "
        "with head: ctc or transducer"
    )
