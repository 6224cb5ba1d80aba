"""The size at which a network has a given number of parameters, for comparisons at equal cost."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def parameters(network: nn.Module) -> int:
    """Number of parameters; those that are shared count once.

    Arguments
    ---------
    network : torch.nn.Module
        Any.

    Returns
    -------
    int

    Example
    -------
    >>> parameters(nn.Linear(3, 4))
    16
    """
    return sum(weight.numel() for weight in network.parameters())


def size_for(make: Callable[[int], nn.Module], budget: int) -> tuple[int, int]:
    """The largest size with which a network has no more than so many parameters.

    Arguments
    ---------
    make : callable
        Makes the network, given the size. Nothing is computed with it, no memory is taken.
    budget : int
        Most parameters.

    Returns
    -------
    size : int
        The size.
    parameters : int
        How many parameters the network then has.

    Raises
    ------
    ValueError
        If the smallest network has more already, or there is none.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> size_for(lambda size: RAN(size, input_size=100, num_layers=2), 500_000)
    (246, 498396)
    """

    def count(size: int) -> int:
        with torch.device("meta"):
            return parameters(make(size))

    low = _smallest(count)
    if count(low) > budget:
        raise ValueError(
            f"{budget:,} parameters are too few: with size {low} there are already {count(low):,}"
        )
    high = 2 * low
    while count(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget else (low, middle)
    return low, count(low)


def _smallest(count: Callable[[int], int]) -> int:
    """A size to begin with: parts that are a fraction of it may need more than 1."""
    for size in (1, 2, 4, 8, 16, 32):
        try:
            count(size)
        except ValueError:
            continue
        return size
    return 64
