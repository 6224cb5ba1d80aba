"""A trained stack as a stream: one frame at a call, compiled, optionally with 8-bit weights."""

from __future__ import annotations

import torch

from gatedrnn.engine.cpu.step import CompiledStep, obstacle
from gatedrnn.nnet.stack import Hidden, RecurrentStack

QUANTIZATIONS = (None, "int8")


class StreamingStack:
    """Advances a unidirectional stack by one frame at a call, all layers in one compiled call.

    For a recogniser that listens: evaluation only, on the CPU, with a copy of the stack's weights
    (train on, and make it anew). The state is kept here between calls.

    Arguments
    ---------
    stack : RecurrentStack
        Unidirectional, float32 or float64, on the CPU.
    quantize : str or None
        ``"int8"``: weights as 8-bit integers, a scale for each row, and sources rounded to 8 bits
        as they come: a quarter of the bytes to read, at the price of some 1e-2 of precision.
    batch_size : int
        Sequences advanced at once.

    Raises
    ------
    ValueError
        If the stack is bidirectional, an argument is out of its range, or the stack cannot be
        compiled here; the message says why.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> net = RAN(8, input_size=3, num_layers=4).eval()
    >>> stream = StreamingStack(net)
    >>> x = torch.rand(1, 5, 3)
    >>> outputs = torch.stack([stream(x[:, t]) for t in range(5)], 1)
    >>> torch.allclose(outputs, net(x)[0], atol=1e-5)
    True
    """

    def __init__(
        self, stack: RecurrentStack, quantize: str | None = None, batch_size: int = 1
    ) -> None:
        label = f"StreamingStack({stack.label})"
        if stack.bidirectional:
            raise ValueError(
                f"{label}: a bidirectional stack needs the end of a sequence before its start, "
                "so it cannot stream; train one with bidirectional=False"
            )
        if quantize not in QUANTIZATIONS:
            raise ValueError(f"{label}: quantize must be None or 'int8', not {quantize!r}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"{label}: batch_size must be at least 1, not {batch_size!r}")
        weights = [dict(stack.layer(i).named_parameters()) for i in range(stack.num_layers)]
        weight = next(iter(weights[0].values()))
        if weight.device.type != "cpu":
            raise ValueError(f"{label}: it runs on the CPU, but the stack is on {weight.device}")
        cells = [stack.layer(i).cell for i in range(stack.num_layers)]
        reason = obstacle(cells, weight.dtype, quantize is not None)
        if reason:
            raise ValueError(f"{label}: {reason}")
        self.input_size, self.output_size = stack.input_size, stack.output_size
        self.batch_size = batch_size
        self._label = label
        self._step = CompiledStep(
            list(zip(cells, weights, strict=True)), batch_size, quantize is not None
        )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Advances by one frame.

        Arguments
        ---------
        x : torch.Tensor
            (batch_size, features).

        Returns
        -------
        torch.Tensor
            (batch_size, N).

        Raises
        ------
        ValueError
            If the shape is another.
        """
        if tuple(x.shape) != (self.batch_size, self.input_size):
            raise ValueError(
                f"{self._label}: a frame must be {(self.batch_size, self.input_size)} "
                f"(batch_size, features), not {tuple(x.shape)}"
            )
        with torch.inference_mode():
            return self._step.advance(x).clone()

    @property
    def hidden(self) -> Hidden:
        """The state, as the stack itself returns it: each (L, batch_size, width)."""
        half = 1 - self._step.parity
        parts = tuple(buffer[half].clone() for buffer in self._step.states.values())
        return parts[0] if len(parts) == 1 else parts

    def reset(self, hx: Hidden | None = None) -> None:
        """Begins a new sequence.

        Arguments
        ---------
        hx : torch.Tensor or tuple or None
            State to begin with, as :attr:`hidden` or the stack gives it; ``None`` for zeros.

        Raises
        ------
        ValueError
            If its shape is another.
        """
        half = 1 - self._step.parity
        buffers = self._step.states.values()
        if hx is None:
            for buffer in buffers:
                buffer.zero_()
            return
        parts = (hx,) if isinstance(hx, torch.Tensor) else tuple(hx)
        shapes = [tuple(buffer[half].shape) for buffer in buffers]
        if [tuple(part.shape) for part in parts] != shapes:
            raise ValueError(
                f"{self._label}: the state must be {shapes} (layers, batch_size, width), not "
                f"{[tuple(part.shape) for part in parts]}"
            )
        for buffer, part in zip(buffers, parts, strict=True):
            buffer[half].copy_(part.detach())
