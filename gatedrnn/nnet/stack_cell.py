"""Stacks that advance by one frame at a call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from gatedrnn.nnet.stack import Hidden, RecurrentStack


class RecurrentStackCell(RecurrentStack):
    """A stack that advances by one frame at a call, for autoregressive decoders.

    It has the parameters of the stack of the same recurrence: their state dicts are the same.

    Arguments
    ---------
    hidden_size, input_size, num_layers, bias, dropout, re_init, **options
        As in :class:`RecurrentStack`.
    input_shape : tuple or None
        Shape of an example input, (batch, features).

    Example
    -------
    >>> from gatedrnn.nnet import RANCell
    >>> cell = RANCell(5, input_size=3, num_layers=2)
    >>> output, hidden = cell(torch.rand(4, 3))
    >>> output, hidden = cell(torch.rand(4, 3), hidden)
    >>> output.shape, hidden[0].shape
    (torch.Size([4, 5]), torch.Size([2, 4, 5]))
    """

    def __init__(
        self,
        hidden_size: int,
        input_shape: Sequence[int | None] | None = None,
        input_size: int | None = None,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        re_init: bool = True,
        **options: Any,
    ) -> None:
        if input_size is None and input_shape is not None:
            input_size = math.prod(int(n) for n in input_shape[1:])
        super().__init__(
            hidden_size,
            input_size=input_size,
            num_layers=num_layers,
            bias=bias,
            dropout=dropout,
            re_init=re_init,
            **options,
        )

    def forward(self, x: torch.Tensor, hx: Hidden | None = None) -> tuple[torch.Tensor, Hidden]:
        """Advances by one frame.

        Arguments
        ---------
        x : torch.Tensor
            (batch, features).
        hx : torch.Tensor or tuple or None
            State, as returned; ``None`` for zeros.

        Returns
        -------
        output : torch.Tensor
            (batch, N).
        hn : torch.Tensor or tuple of two
            Each (L, batch, width).
        """
        if x.dim() != 2:
            raise ValueError(
                f"{self.label}: the input must be (batch, {self.input_size}), not {tuple(x.shape)}"
            )
        output, hidden, _ = self.run(x.unsqueeze(1), hx)
        return output.squeeze(1), hidden
