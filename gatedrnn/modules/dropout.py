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


class DropoutSwitch:
    """The dropout rates of a network, to be switched off and on again.

    Deep stacks under connectionist temporal classification find their first alignments in a tenth
    of the steps when nothing is dropped.

    Arguments
    ---------
    network : nn.Module
        Everything in it that has a rate is switched: ``nn.Dropout`` and its like, recurrent stacks
        of this package, ``nn.LSTM``.

    Example
    -------
    >>> network = nn.Sequential(nn.Dropout(0.3), nn.LSTM(3, 4, num_layers=2, dropout=0.2))
    >>> rates = DropoutSwitch(network)
    >>> rates.switch(False)
    >>> network[0].p, network[1].dropout
    (0.0, 0.0)
    >>> rates.switch(True)
    >>> network[0].p, network[1].dropout
    (0.3, 0.2)
    """

    def __init__(self, network: nn.Module) -> None:
        self.rates: list[tuple[nn.Module, str, float]] = []
        for module in network.modules():
            name = "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout"
            rate = getattr(module, name, None)
            if isinstance(rate, float):
                self.rates.append((module, name, rate))

    def switch(self, on: bool) -> None:
        """Sets all rates to what they were, or to zero.

        Arguments
        ---------
        on : bool
            Whether to drop.
        """
        for module, name, rate in self.rates:
            setattr(module, name, rate if on else 0.0)
