"""Options of networks: dropout rates, initial values of weights, a parameter budget."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.nnet import RecurrentStack

#: Initial value of a matrix that passes its input on.
IDENTITY = "identity"


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
        """Sets all rates to what they were, or to zero."""
        for module, name, rate in self.rates:
            setattr(module, name, rate if on else 0.0)


def build_stack(
    network: str,
    network_options: Mapping[str, Any] | None = None,
    init: Mapping[str, float | str] | None = None,
    **arguments: Any,
) -> RecurrentStack:
    """Builds a stack with the arguments that the models of all tasks share.

    Arguments
    ---------
    network : str
        Name of the recurrence, a key that ``gatedrnn list`` prints.
    network_options : Mapping or None
        Further options of the recurrence, such as ``{"variant": "5g"}``.
    init : Mapping or None
        Initial values of weights, see :func:`init_weights`.
    **arguments : Any
        ``num_layers``; ``hidden_size``: K, memory cells of a layer; ``proj_size``: N, width of a
        layer's output, ignored by recurrences without projection; and the others of
        :func:`gatedrnn.nnet.build`.

    Example
    -------
    >>> build_stack("ran", init={"b_i": 1.0}, input_size=3, hidden_size=4, num_layers=2).num_layers
    2
    """
    stack = nnet.build(network, **arguments, **(network_options or {}))
    if init:
        init_weights(stack, init)
    return stack


@torch.no_grad()
def init_weights(stack: RecurrentStack, values: Mapping[str, float | str]) -> None:
    """Sets initial values of weights; the others keep theirs.

    Names that the recurrence does not have are ignored, so that recurrences can be exchanged
    without changing the list.

    Arguments
    ---------
    stack : RecurrentStack
        The stack; changed in place.
    values : Mapping
        Name in the equations -> a number for all elements; or ``"identity"`` for a matrix, which
        then passes on the output of the layer below in the same direction (a matrix of the first
        layer keeps its value).

    Raises
    ------
    ValueError
        If a value is neither, or the weight for ``"identity"`` is not a matrix of layer outputs.

    Example
    -------
    >>> from gatedrnn.nnet import ResidualLSTM
    >>> stack = ResidualLSTM(4, input_size=3, num_layers=2, proj_size=2, bidirectional=True)
    >>> init_weights(stack, {"b_o": 1.0, "W_h": "identity"})
    >>> stack.layer(1, reverse=True).equation_weights()["W_h"]
    tensor([[0., 0., 1., 0.],
            [0., 0., 0., 1.]])
    """
    for index in range(stack.num_layers):
        for direction in range(stack.num_directions):
            weights = stack.layer(index, reverse=bool(direction)).equation_weights()
            for name in values.keys() & weights.keys():
                value = values[name]
                if value == IDENTITY:
                    if index:
                        _pass_on(name, weights[name], direction, stack.num_directions)
                elif isinstance(value, str):
                    raise ValueError(f"{name} starts from a number or {IDENTITY!r}, not {value!r}")
                else:
                    weights[name].fill_(value)


def _pass_on(name: str, weight: torch.Tensor, direction: int, directions: int) -> None:
    size = weight.shape[0]
    if weight.ndim != 2 or weight.shape[1] != size * directions:
        raise ValueError(
            f"{name} has shape {tuple(weight.shape)}: only a matrix from a layer's output to the "
            f"next one's can start as the {IDENTITY}"
        )
    weight.zero_()
    weight[:, direction * size : (direction + 1) * size].fill_diagonal_(1.0)


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
