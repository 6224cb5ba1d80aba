"""The largest size of a network within a parameter budget, for comparisons at equal cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import nn


def parameters(network: nn.Module) -> int:
    """Number of parameters; shared ones count once."""
    return sum(weight.numel() for weight in network.parameters())


def size_for(make: Callable[[int], nn.Module], budget: int) -> tuple[int, int]:
    """The largest size at which a network is within a parameter budget.

    Arguments
    ---------
    make : callable
        Makes the network of a size, on the meta device.
    budget : int
        Maximum number of parameters.

    Returns
    -------
    size : int
        The size.
    parameters : int
        Number of parameters at that size.

    Raises
    ------
    ValueError
        If the smallest network exceeds the budget, or there is none.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> size_for(lambda size: RAN(size, input_size=100, num_layers=2), 500_000)
    (246, 498396)
    """

    @functools.cache
    def count(size: int) -> int:
        with torch.device("meta"):
            return parameters(make(size))

    low = _smallest(count)
    if count(low) > budget:
        raise ValueError(
            f"{budget:,} parameters are too few: with size {low} there are already {count(low):,}"
        )
    # Mostly the number of parameters is a polynomial of degree two in the size, and the guess is
    # exact: making a network takes time, also without memory.
    guess = max(low, _guess(count, budget))
    high, step = guess, 1
    while count(high) <= budget:
        low, high, step = high, high + step, 2 * step
    while high - step > low and step <= guess and count(high - step) > budget:
        high, step = high - step, 2 * step
    low = max(low, high - step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget else (low, middle)
    return low, count(low)


def _smallest(count: Callable[[int], int]) -> int:
    """The smallest valid size: modules with a fraction of it may need more than 1."""
    for size in (1, 2, 4, 8, 16, 32):
        try:
            count(size)
        except ValueError:
            continue
        return size
    return 64


def _guess(count: Callable[[int], int], budget: int) -> int:
    """The size at which a parabola through three sizes meets the budget."""
    unit = 64
    first, second, third = (count(unit * i) for i in (1, 2, 3))
    a = (third - 2 * second + first) / 2
    b = second - first - 3 * a
    c = first - a - b
    if a <= 0:
        return int(unit * (budget - c) / b) if b > 0 else unit
    return int(unit * (-b + math.sqrt(max(0.0, b * b - 4 * a * (c - budget)))) / (2 * a))
