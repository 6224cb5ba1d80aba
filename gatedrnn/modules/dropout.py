"""Dropout that is the same in all frames."""

from __future__ import annotations

import torch
from torch import nn


def drop_units(x: torch.Tensor, part: float, training: bool, locked: bool = True) -> torch.Tensor:
    """Drops units of sequences.

    Arguments
    ---------
    x : torch.Tensor
        (batch, time, units).
    part : float
        Of the units, in [0, 1).
    training : bool
        Otherwise nothing is dropped.
    locked : bool
        The same units in all frames of a sequence (variational dropout), not others in each.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> dropped = drop_units(torch.ones(2, 5, 100), 0.5, training=True)
    >>> torch.equal(dropped[:, 0], dropped[:, 4]), torch.equal(dropped[0], dropped[1])
    (True, False)
    """
    if not locked:
        return nn.functional.dropout(x, part, training)
    return x * nn.functional.dropout(torch.ones_like(x[:, :1]), part, training)
