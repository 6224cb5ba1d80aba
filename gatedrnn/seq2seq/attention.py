"""Additive attention over the regions of an encoder output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn

from gatedrnn.data.config import Choices, Config, Range

#: How attention and recurrence are connected, see :class:`~gatedrnn.seq2seq.decoder.Decoder`.
KINDS = ("soft", "top_down", "late")


@dataclass(frozen=True)
class AttentionOptions(Config):
    """Attention options of a decoder.

    Arguments
    ---------
    kind : str
        ``"soft"``, ``"top_down"`` or ``"late"``; see :class:`~gatedrnn.seq2seq.decoder.Decoder`.
    size : int
        Width of the space in which regions and queries are compared, at least 1.
    penalty : float
        Weight of the doubly stochastic loss term (Xu et al. 2015), which pushes the attention
        weights of every region to a sum of 1 over the sequence; at least 0, 0 disables it.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> AttentionOptions.of("late").size
    512
    """

    kind: Annotated[str, Choices(*KINDS)] = "soft"
    size: Annotated[int, Range(1, 1 << 20)] = 512
    penalty: Annotated[float, Range(0, 1e6)] = 0.0

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | AttentionOptions) -> AttentionOptions:
        """Reads the ``attention`` of a YAML: the kind alone, or a mapping of all options."""
        if isinstance(value, AttentionOptions):
            return value
        return cls.from_dict({"kind": value} if isinstance(value, str) else value, "attention")


class AdditiveAttention(nn.Module):
    """Additive attention, ``softmax(v tanh(W_f f + W_q q))`` (Bahdanau et al. 2015).

    Arguments
    ---------
    feature_size : int
        Width of the regions.
    query_size : int
        Width of the query.
    size : int
        Width of the space in which the two are compared.

    Example
    -------
    >>> attend = AdditiveAttention(8, 6, 4)
    >>> features = torch.rand(2, 5, 8)
    >>> context, weights = attend(torch.rand(2, 6), attend.keys(features), features)
    >>> context.shape, weights.sum(1).round(decimals=4).tolist()
    (torch.Size([2, 8]), [1.0, 1.0])
    """

    def __init__(self, feature_size: int, query_size: int, size: int) -> None:
        super().__init__()
        self.of_features = nn.Linear(feature_size, size)
        self.of_query = nn.Linear(query_size, size, bias=False)
        # A bias would be the same for all regions, and its gradient zero.
        self.of_both = nn.Linear(size, 1, bias=False)

    def keys(self, features: torch.Tensor) -> torch.Tensor:
        """Projects regions (batch, regions, feature_size) to keys (batch, regions, size).

        They do not depend on the query: a decoder computes them once per sequence.
        """
        return self.of_features(features)

    def forward(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        features: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the context vectors of queries.

        Arguments
        ---------
        query : torch.Tensor
            (batch, query_size), or (batch, time, query_size) for all steps at once.
        keys : torch.Tensor
            Of :meth:`keys`, (batch, regions, size).
        features : torch.Tensor
            (batch, regions, feature_size), zero where they are not valid.
        valid : torch.Tensor or None
            Mask of the valid regions, bool (batch, regions); ``None``: all are valid.

        Returns
        -------
        context : torch.Tensor
            (batch, [time,] feature_size).
        weights : torch.Tensor
            (batch, [time,] regions).
        """
        projected = self.of_query(query)
        single_step = projected.dim() == 2
        projected = projected.unsqueeze(1) if single_step else projected
        energies = self.of_both(torch.tanh(keys.unsqueeze(1) + projected.unsqueeze(2))).squeeze(3)
        if valid is not None:
            energies = energies.masked_fill(~valid.unsqueeze(1), -torch.inf)
        weights = energies.softmax(2)
        context = weights.to(features.dtype) @ features
        return (context.squeeze(1), weights.squeeze(1)) if single_step else (context, weights)
