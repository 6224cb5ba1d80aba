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


@lru_cache(maxsize=256)
def carries_state(layer_class: type[nn.Module]) -> bool:
    """Whether layers of a class take a state beside their input, and return one.

    Arguments
    ---------
    layer_class : type
        Class of a layer.

    Returns
    -------
    bool
        Whether ``forward`` has an argument ``hx`` (or ``hidden``, as in ``QuasiRNN``).

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> carries_state(RAN), carries_state(torch.nn.Linear)
    (True, False)
    """
    return not {"hx", "hidden"}.isdisjoint(inspect.signature(layer_class.forward).parameters)


class TransducerBeamSearcher(StockSearcher):
    """SpeechBrain's transducer search, for a prediction network of any recurrence.

    SpeechBrain's own knows recurrent layers by the names of a few of its classes; this one by
    whether they carry a state. For those classes, the two give the same.

    (As with SpeechBrain's, the beam search stays at a frame until blank is among the ``beam_size``
    best symbols: keep the beam to trained networks, and search greedily before.)

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
