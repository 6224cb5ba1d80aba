"""Additive attention over the regions of a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

#: Ways in which attention and recurrence work together.
KINDS = ("soft", "top_down", "late")


@dataclass(frozen=True)
class AttentionOptions:
    """How a decoder of captions attends.

    Arguments
    ---------
    kind : str
        ``"soft"``, ``"top_down"`` or ``"late"``; see
        :class:`~gatedrnn.seq2seq.decoder.CaptionDecoder`.
    size : int
        Width in which regions and states are compared.
    penalty : float
        Weight of the doubly stochastic term (Xu et al. 2015): over a caption, every region should
        get as much attention as every other one.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> AttentionOptions.of("late").size
    512
    """

    kind: str = "soft"
    size: int = 512
    penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"attention must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"attention: size must be a whole number above 0, not {self.size!r}")
        if type(self.penalty) not in (int, float) or not 0.0 <= self.penalty < math.inf:
            raise ValueError(
                f"attention: penalty must be a number of at least 0, not {self.penalty!r}"
            )

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | AttentionOptions) -> AttentionOptions:
        """Reads what a YAML has.

        Arguments
        ---------
        value : str, Mapping or AttentionOptions
            The kind, or arguments of this class.

        Returns
        -------
        AttentionOptions

        Raises
        ------
        ValueError
            If there is no such argument.
        """
        if isinstance(value, AttentionOptions):
            return value
        if not isinstance(value, Mapping):
            return cls(value)
        unknown = sorted(value.keys() - cls.__dataclass_fields__.keys())
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"attention has no {', '.join(unknown)}; it has {known}")
        return cls(**value)


class AdditiveAttention(nn.Module):
    """Weights of regions, ``softmax(v tanh(W_f f + W_q q))``, and the mean that they make.

    Arguments
    ---------
    feature_size : int
        Width of the regions.
    query_size : int
        Width of what asks.
    size : int
        Width in which the two are compared.

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
        """What is the same for all questions.

        Arguments
        ---------
        features : torch.Tensor
            (batch, regions, feature_size).

        Returns
        -------
        torch.Tensor
            (batch, regions, size).
        """
        return self.of_features(features)

    def forward(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        features: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attends.

        Arguments
        ---------
        query : torch.Tensor
            (batch, query_size), or (batch, time, query_size) for many questions at once.
        keys : torch.Tensor
            Of :meth:`keys`.
        features : torch.Tensor
            (batch, regions, feature_size), zero where they are not valid.
        valid : torch.Tensor or None
            Which regions there are, (batch, regions).

        Returns
        -------
        context : torch.Tensor
            (batch, [time,] feature_size).
        weights : torch.Tensor
            (batch, [time,] regions).
        """
        asked = self.of_query(query)
        one = asked.dim() == 2
        asked = asked.unsqueeze(1) if one else asked
        energies = self.of_both(torch.tanh(keys.unsqueeze(1) + asked.unsqueeze(2))).squeeze(3)
        if valid is not None:
            energies = energies.masked_fill(~valid.unsqueeze(1), -torch.inf)
        weights = energies.softmax(2)
        context = weights.to(features.dtype) @ features
        return (context.squeeze(1), weights.squeeze(1)) if one else (context, weights)
