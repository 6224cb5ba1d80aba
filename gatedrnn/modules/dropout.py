"""Dropout of embedding, layers and outputs of sequence models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class DropoutRates:
    """Dropout probabilities of a model with embedding, recurrent stack and output layer.

    Arguments
    ---------
    embedding : float
        Probability with which a unit of the embedding is zeroed, in [0, 1).
    layers : float
        Probability for the units between recurrent layers.
    output : float
        Probability for the units before the output layer.
    words : float
        Probability with which an entry of the vocabulary is zeroed, in the whole batch.
    locked : bool
        One mask for all frames of a sequence (variational dropout, Gal & Ghahramani 2016), instead
        of one for each frame.

    Raises
    ------
    ValueError
        If a probability is not in [0, 1).

    Example
    -------
    >>> DropoutRates.of(0.5).layers
    0.5
    """

    embedding: float = 0.0
    layers: float = 0.0
    output: float = 0.0
    words: float = 0.0
    locked: bool = False

    def __post_init__(self) -> None:
        for name in ("embedding", "layers", "output", "words"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"dropout: {name} must be in [0, 1), not {getattr(self, name)}")

    @classmethod
    def of(cls, value: float | Mapping[str, Any]) -> DropoutRates:
        """Reads ``dropout`` of a YAML: one rate for embedding, layers and output, or all rates."""
        if not isinstance(value, Mapping):
            return cls(float(value), float(value), float(value))
        unknown = sorted(value.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"dropout has no {', '.join(unknown)}; it has {known}")
        return cls(**value)


def drop_units(x: torch.Tensor, rate: float, training: bool, locked: bool = True) -> torch.Tensor:
    """Dropout of (batch, time, units); ``locked``: one mask for all frames of a sequence."""
    if not locked:
        return nn.functional.dropout(x, rate, training)
    return x * nn.functional.dropout(torch.ones_like(x[:, :1]), rate, training)
