"""Heads of the acoustic model. A new head is a model class in its own file, and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel, HeadModel, HeadOutput

__all__ = [
    "HEADS",
    "AttentionModel",
    "CTCModel",
    "HeadModel",
    "HeadOutput",
    "TransducerModel",
    "add_head",
    "head_name",
    "make_model",
]

#: ``head`` of a YAML or of a bundle -> the model, with its losses and its searches.
HEADS = {model.head: model for model in (CTCModel, AttentionModel, TransducerModel)}


def head_name(hparams: Mapping[str, Any]) -> str:
    """``head`` of a YAML, by default ``"ctc"``; a ValueError if it is unknown.

    Example
    -------
    >>> head_name({})
    'ctc'
    """
    name = hparams.get("head", "ctc")
    if name not in HEADS:
        raise ValueError(f"head must be {', '.join(HEADS)}, not {name!r}")
    return name


def add_head(name: str, acoustic: CTCModel, vocabulary: int, **options: Any) -> nn.Module:
    """The acoustic model with a head, or alone for ``"ctc"``; ``options`` are those of the head."""
    return acoustic if name == CTCModel.head else HEADS[name](acoustic, vocabulary, **options)


def make_model(hparams: Mapping[str, Any], vocabulary: int) -> nn.Module:
    """Makes the model of a YAML.

    ``model`` makes the acoustic model, given the size of the vocabulary; ``head`` in the block of
    the head's name makes the model, given the acoustic model and the size of the vocabulary.

    Example
    -------
    >>> from functools import partial
    >>> small = partial(CTCModel, num_layers=1, hidden_size=8, proj_size=4)
    >>> type(make_model({"model": small, "head": "transducer"}, 9)).__name__
    'TransducerModel'
    """
    name = head_name(hparams)
    acoustic = hparams["model"](vocabulary)
    block = hparams.get(name) or {}
    if name != CTCModel.head and "head" in block:
        return block["head"](acoustic, vocabulary)
    return add_head(name, acoustic, vocabulary)
