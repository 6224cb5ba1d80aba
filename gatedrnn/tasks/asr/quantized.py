"""A unidirectional stack with 8-bit weights, where the float32 stack of a model would stand."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gatedrnn.nnet import RecurrentStack, StreamingStack, frame_counts


class QuantizedStack(nn.Module):
    """Runs sequences through a stack with 8-bit weights, on the CPU, in evaluation only.

    Arguments
    ---------
    stack : RecurrentStack
        The stack; unidirectional.

    Raises
    ------
    ValueError
        If the stack is bidirectional, is not ours, or cannot be compiled here.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> stack = RAN(8, input_size=3, num_layers=2).eval()
    >>> x = torch.rand(2, 5, 3)
    >>> output, _ = QuantizedStack(stack)(x, lengths=torch.tensor([1.0, 0.6]))
    >>> bool((output[0] - stack(x)[0][0]).abs().max() < 0.05), bool(output[1, 3:].any())
    (True, False)
    """

    bidirectional = False

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        if not isinstance(stack, RecurrentStack):
            raise ValueError(f"int8 is for the recurrences of gatedrnn, not {type(stack).__name__}")
        self.stream = StreamingStack(stack, quantize="int8")
        self.output_size = stack.output_size

    def forward(
        self, x: torch.Tensor, hx: Any = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, None]:
        """Runs a batch, one sequence after the other.

        Arguments
        ---------
        x : torch.Tensor
            (batch, frames, input_size).
        hx : None
            Only for the sake of the signature: each sequence begins with zeros.
        lengths : torch.Tensor or None
            Relative lengths.

        Returns
        -------
        output : torch.Tensor
            (batch, frames, output_size), zero past a sequence's end.
        state : None
            Not kept.
        """
        if hx is not None:
            raise ValueError("a quantised stack begins each sequence anew: hx must be None")
        counts = frame_counts(lengths, x.shape[1], x.shape[0])
        output = x.new_zeros(*x.shape[:2], self.output_size)
        for sequence, (frames, count) in enumerate(zip(x, counts.tolist(), strict=True)):
            self.stream.reset()
            for t in range(count):
                output[sequence, t] = self.stream(frames[t : t + 1])[0]
        return output, None
