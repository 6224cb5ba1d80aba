"""Transducer search with any recurrent prediction network."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from speechbrain.decoders.transducer import TransducerBeamSearcher as StockSearcher
from torch import nn

from gatedrnn.nnet.stack import Hidden
from gatedrnn.tasks.asr.heads.transducer import TransducerModel, transducer_losses
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis

#: So many times the width of the beam may readings be continued within a frame.
CONTINUATIONS = 6


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

    SpeechBrain's beam search stays at a frame until the blank is among the ``beam_size`` best
    symbols, which with an untrained network may be for ever. Here only the blank is left after
    ``6 * beam_size`` continuations within a frame.

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
        """Searches; see SpeechBrain's method of this name.

        Arguments
        ---------
        tn_output : torch.Tensor
            Output of the transcription network, (batch, frames, width).

        Returns
        -------
        tuple
            Best readings, their mean score, n-best lists, their scores.
        """
        self._frame = None
        return super().forward(tn_output)

    def _joint_forward_step(self, h_i: torch.Tensor, out_PN: torch.Tensor) -> torch.Tensor:
        """Scores the next symbol; see SpeechBrain's method of this name."""
        log_probs = super()._joint_forward_step(h_i, out_PN)
        if self.beam_size <= 1:
            # The greedy search counts for itself.
            return log_probs
        # A view of the frame that is being searched.
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


def greedy(model: TransducerModel, encoded: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token each time, the blank leading to the next frame.

    Arguments
    ---------
    model : TransducerModel
        The model.
    encoded : torch.Tensor
        Output of its stack, (batch, frames, width).
    counts : torch.Tensor
        Frames of each utterance, (batch,).

    Returns
    -------
    list of Hypothesis
        One per utterance; its score is its log-probability over all alignments.
    """
    states, ends = model.from_acoustic(encoded), counts.tolist()
    search = greedy_searcher(model)
    tokens: list[list[int]] = [[] for _ in ends]
    # SpeechBrain's search knows no lengths: it is led from one utterance's end to the next, and
    # those that have ended take no further part.
    going, carried, start = list(range(len(ends))), None, 0
    for end in sorted(set(ends)):
        found, *_, carried = search.transducer_greedy_decode(
            states[going, start:end], carried, return_hidden=True
        )
        for utterance, more in zip(going, found, strict=True):
            tokens[utterance] += more
        stay = [i for i, utterance in enumerate(going) if ends[utterance] > end]
        carried = search._get_sentence_to_update(stay, *carried)
        going, start = [going[i] for i in stay], end
    return [
        Hypothesis(tuple(found), log_prob(model, states[i, :end], found))
        for i, (found, end) in enumerate(zip(tokens, ends, strict=True))
    ]


def beam_search(
    model: TransducerModel, encoded: torch.Tensor, counts: torch.Tensor, beam_size: int
) -> list[list[Hypothesis]]:
    """Finds likely readings, and orders them by their probability.

    SpeechBrain's search follows single alignments, and may find a reading several times: here it
    is listed once, with its log-probability over all alignments.

    Arguments
    ---------
    model : TransducerModel
        The model.
    encoded : torch.Tensor
        Output of its stack, (batch, frames, width).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    beam_size : int
        Readings that are kept from frame to frame; with 1 the search is greedy.

    Returns
    -------
    list of list of Hypothesis
        For each utterance the best reading first.
    """
    if beam_size == 1:
        return [[best] for best in greedy(model, encoded, counts)]
    search = _searcher(model, beam_size)
    lists = []
    for states, count in zip(model.from_acoustic(encoded), counts.tolist(), strict=True):
        _, _, (found,), _ = search(states[None, :count])
        distinct = dict.fromkeys(map(tuple, found))
        scored = [Hypothesis(t, log_prob(model, states[:count], t)) for t in distinct]
        lists.append(sorted(scored, key=lambda h: -h.score))
    return lists


def greedy_searcher(model: TransducerModel) -> TransducerBeamSearcher:
    """SpeechBrain's greedy search with a model; its state can be carried from frame to frame.

    Arguments
    ---------
    model : TransducerModel
        The model.

    Returns
    -------
    TransducerBeamSearcher
    """
    return _searcher(model, 1)


def _searcher(model: TransducerModel, beam_size: int) -> TransducerBeamSearcher:
    # The blank must be within reach, and no more symbols than there are.
    symbols = model.output.out_features
    return TransducerBeamSearcher(
        [model.embedding, model.prediction, model.from_prediction],
        model.joint,
        [model.output],
        blank_id=BLANK,
        beam_size=min(beam_size, symbols),
        nbest=beam_size,
    )


def log_prob(model: TransducerModel, states: torch.Tensor, tokens: Sequence[int]) -> float:
    """Log-probability of a reading, over all alignments.

    Arguments
    ---------
    model : TransducerModel
        The model.
    states : torch.Tensor
        The acoustic model's part of the joint network, (frames, joint_size).
    tokens : sequence of int
        The reading.

    Returns
    -------
    float
    """
    targets = torch.tensor([tokens], dtype=torch.long, device=states.device)
    logits = model.meet(states.unsqueeze(0), targets)
    sizes = [torch.tensor([n], device=states.device) for n in (len(states), len(tokens))]
    return -float(transducer_losses(logits, targets, *sizes))
