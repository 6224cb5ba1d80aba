"""Heads by name: connectionist temporal classification alone, or with attention or a transducer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gatedrnn.tasks.asr.brain import RecogniserBrain, Stage
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.ctc import CTCBrain, ctc_losses
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel


class HeadBrain(RecogniserBrain):
    """Trains a model under a head, with both losses.

    Arguments
    ---------
    **kwargs : Any
        Those of :class:`~gatedrnn.tasks.asr.brain.RecogniserBrain`.
    """

    def inputs(self, batch: Any) -> tuple[torch.Tensor, ...]:
        """See :meth:`~gatedrnn.tasks.asr.brain.RecogniserBrain.inputs`."""
        return (batch.tokens.data,)

    def compute_losses(
        self, outputs: tuple[Any, ...], targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """See :meth:`~gatedrnn.tasks.asr.brain.RecogniserBrain.compute_losses`."""
        model = self.network("model", Stage.TEST)
        losses = model.losses(outputs, targets, sizes)
        if outputs.log_probs is None:
            return losses
        aligned = ctc_losses(outputs.log_probs, outputs.counts, targets, sizes)
        return (1.0 - model.ctc_weight) * losses + model.ctc_weight * aligned


@dataclass(frozen=True)
class Head:
    """How a head is made and trained.

    Arguments
    ---------
    brain : type
        The Brain.
    model : callable or None
        Makes the model of an acoustic model and the size of the vocabulary, where the YAML does not
        say how; ``None`` for the acoustic model alone.
    """

    brain: type[RecogniserBrain]
    model: Callable[[CTCModel, int], torch.nn.Module] | None = None


HEADS = {
    "ctc": Head(CTCBrain),
    "attention": Head(HeadBrain, AttentionModel),
    "transducer": Head(HeadBrain, TransducerModel),
}


def make_model(hparams: Mapping[str, Any], vocabulary: int) -> torch.nn.Module:
    """Makes the model that a YAML describes.

    Arguments
    ---------
    hparams : Mapping
        ``model``, which makes the acoustic model given the size of the vocabulary; optionally
        ``head`` (``"ctc"``, ``"attention"`` or ``"transducer"``) and a block of the head's name,
        whose ``head`` makes the model given the acoustic model and the size of the vocabulary.
    vocabulary : int
        Number of tokens, with the blank.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        If there is no such head.

    Example
    -------
    >>> from functools import partial
    >>> small = partial(CTCModel, num_layers=1, hidden_size=8, proj_size=4)
    >>> type(make_model({"model": small, "head": "transducer"}, 9)).__name__
    'TransducerModel'
    """
    name = head_name(hparams)
    acoustic = hparams["model"](vocabulary)
    if HEADS[name].model is None:
        return acoustic
    block = hparams.get(name) or {}
    return block.get("head", HEADS[name].model)(acoustic, vocabulary)


def head_name(hparams: Mapping[str, Any]) -> str:
    """Which head a YAML asks for.

    Arguments
    ---------
    hparams : Mapping
        Optionally with ``head``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such head.

    Example
    -------
    >>> head_name({})
    'ctc'
    """
    name = hparams.get("head", "ctc")
    if name not in HEADS:
        raise ValueError(f"head must be {', '.join(HEADS)}, not {name!r}")
    return name
