"""Starting values of a stack's weights, by their names in the equations.

In a deep stack of few units the papers' starting values lose the signal on its way up. A gate that
starts at a half halves it in every layer, and between bidirectional layers the residual network's
shortcut is a random matrix, since a layer reads both directions and writes one. Gates that start
open and a shortcut that starts as the identity let it through from the first step on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gatedrnn.nnet import RecurrentStack

#: The starting value of a matrix that passes its input on.
IDENTITY = "identity"


@torch.no_grad()
def init_weights(stack: RecurrentStack, values: Mapping[str, float | str]) -> None:
    """Sets starting values; weights that are not named keep theirs.

    Names that the recurrence does not have are passed over, so that another recurrence can be put
    in its place without another list.

    Arguments
    ---------
    stack : RecurrentStack
        The stack; changed in place.
    values : Mapping
        Name in the equations -> a number for all elements; or ``"identity"`` for a matrix, which
        then passes on what the layer below put out in the same direction (a matrix of the first
        layer, which reads features, keeps its value).

    Raises
    ------
    ValueError
        If a value is neither, or ``"identity"`` is asked of a weight that is not a matrix of
        layer outputs.

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
