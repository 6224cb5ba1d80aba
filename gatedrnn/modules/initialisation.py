"""Initial values of a stack's weights, by their names in the equations.

In a deep stack of few units the initial values of the papers attenuate the signal: a gate that
starts at 0.5 halves it in every layer, and between bidirectional layers the shortcut of the
residual network is a random matrix, since a layer has the outputs of both directions as its input.
With open gates and the identity as the shortcut the signal passes from the first step on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gatedrnn.nnet import RecurrentStack

#: Initial value of a matrix that passes its input on.
IDENTITY = "identity"


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
