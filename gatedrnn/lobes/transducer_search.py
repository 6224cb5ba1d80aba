"""Transducer search with any recurrent prediction network."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from speechbrain.decoders.transducer import TransducerBeamSearcher as StockSearcher
from torch import nn

from gatedrnn.nnet.stack import Hidden

#: Maximum continuations of hypotheses within a frame, in multiples of the width of the beam.
CONTINUATIONS = 6


@lru_cache(maxsize=256)
def carries_state(layer_class: type[nn.Module]) -> bool:
    """Whether ``forward`` has an argument ``hx``, or ``hidden`` as in ``QuasiRNN``.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> carries_state(RAN), carries_state(torch.nn.Linear)
    (True, False)
    """
    return not {"hx", "hidden"}.isdisjoint(inspect.signature(layer_class.forward).parameters)


class TransducerBeamSearcher(StockSearcher):
    """SpeechBrain's transducer search, for a prediction network of any recurrence.

    SpeechBrain's own recognises recurrent layers by the names of a few of its classes; this one by
    whether they carry a state. For those classes, the results are the same.

    SpeechBrain's beam search stays at a frame until the blank is among the ``beam_size`` best
    symbols, which with an untrained network may be an endless loop. Here only the blank is allowed
    after ``6 * beam_size`` continuations within a frame.

    Arguments
    ---------
    decode_network_lst : iterable of torch.nn.Module
        Layers of the prediction network; at most one of them recurrent.
    *args, **kwargs : Any
        The other arguments of :class:`speechbrain.decoders.transducer.TransducerBeamSearcher`.

    Raises
    ------
    ValueError
        If several layers are recurrent, if the recurrent layer is bidirectional, or if the
        language model does not return its state.

    Example
    -------
    >>> from speechbrain.nnet.transducer.transducer_joint import Transducer_joint
    >>> from gatedrnn.nnet import ResidualLSTM
    >>> searcher = TransducerBeamSearcher(
    ...     decode_network_lst=[
    ...         torch.nn.Embedding(3, 4),
    ...         ResidualLSTM(8, input_size=4, proj_size=6),
    ...     ],
    ...     tjoint=Transducer_joint(joint="sum"),
    ...     classifier_network=[torch.nn.Linear(6, 3)],
    ...     blank_id=0,
    ...     beam_size=3,
    ... )
    >>> best, score, nbest, nbest_scores = searcher(torch.rand(2, 5, 6))
    >>> len(best), best[0] == nbest[0][0]
    (2, True)
    """

    def __init__(self, decode_network_lst: Iterable[nn.Module], *args: Any, **kwargs: Any) -> None:
        recurrent = [layer for layer in decode_network_lst if carries_state(type(layer))]
        if len(recurrent) > 1:
            names = ", ".join(type(layer).__name__ for layer in recurrent)
            raise ValueError(
                "TransducerBeamSearcher: the prediction network has several recurrent layers "
                f"({names}), but one state is carried; use one with num_layers={len(recurrent)}"
            )
        if recurrent and getattr(recurrent[0], "bidirectional", False):
            raise ValueError(
                f"TransducerBeamSearcher: {type(recurrent[0]).__name__} is bidirectional, but a "
                "prediction network sees past tokens only; use bidirectional=False"
            )
        super().__init__(decode_network_lst, *args, **kwargs)
        if self.lm is not None and not getattr(self.lm, "return_hidden", True):
            raise ValueError(
                "TransducerBeamSearcher: the language model must return its state: make it with "
                "return_hidden=True"
            )
        self._frame: int | None = None
        self._continued = 0

    def forward(self, tn_output: torch.Tensor) -> tuple[Any, ...]:
        """Searches (batch, frames, width); see SpeechBrain's method of this name."""
        self._frame = None
        return super().forward(tn_output)

    def _joint_forward_step(self, h_i: torch.Tensor, out_PN: torch.Tensor) -> torch.Tensor:
        """Scores the next symbol; see SpeechBrain's method of this name."""
        log_probs = super()._joint_forward_step(h_i, out_PN)
        if self.beam_size <= 1:
            # The greedy search has a limit of its own.
            return log_probs
        # Identifies the frame: h_i is a view of it.
        frame = h_i.data_ptr()
        self._continued = self._continued + 1 if frame == self._frame else 1
        self._frame = frame
        if self._continued > CONTINUATIONS * self.beam_size:
            blank = log_probs[..., self.blank_id].clone()
            log_probs = torch.full_like(log_probs, -torch.inf)
            log_probs[..., self.blank_id] = blank
        return log_probs

    @torch.no_grad()
    def _forward_PN(
        self,
        out_PN: torch.Tensor,
        decode_network_lst: Iterable[nn.Module],
        hidden: Hidden | None = None,
    ) -> tuple[torch.Tensor, Hidden | None]:
        """Advances the prediction network; see SpeechBrain's method of this name."""
        for layer in decode_network_lst:
            if carries_state(type(layer)):
                out_PN, hidden = layer(out_PN, hidden)
            else:
                out_PN = layer(out_PN)
        return out_PN, hidden
