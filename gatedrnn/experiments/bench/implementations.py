"""Who is timed: our networks, torch's, SpeechBrain's, and the bare matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.cells import find
from gatedrnn.engine.plan import INPUT


@dataclass(frozen=True)
class Shape:
    """Sizes of one piece of work.

    Arguments
    ---------
    batch : int
        B, sequences.
    frames : int
        T.
    hidden : int
        K.
    layers : int
        L.
    proj : int
        N; 0 for no projection.
    inputs : int
        m; 0 for the output width, as above the first layer.

    Example
    -------
    >>> str(Shape(8, 200, 1024, layers=10, proj=512))
    'B8 T200 K1024 N512 L10'
    """

    batch: int
    frames: int
    hidden: int
    layers: int = 1
    proj: int = 0
    inputs: int = 0

    @property
    def input_size(self) -> int:
        """m."""
        return self.inputs or self.proj or self.hidden

    def __str__(self) -> str:
        proj = f" N{self.proj}" if self.proj else ""
        return f"B{self.batch} T{self.frames} K{self.hidden}{proj} L{self.layers}"


@dataclass(frozen=True)
class Contender:
    """A network that can be timed.

    Arguments
    ---------
    name : str
        As the tables print it.
    build : callable
        Shape -> module that takes (batch, time, features) and returns (output, state) or an output.
    options : dict
        What was asked for, for the record.
    carries_state : bool
        Whether it can be called frame by frame with its state.
    """

    name: str
    build: Callable[[Shape], nn.Module]
    options: dict[str, Any] = field(default_factory=dict)
    carries_state: bool = True


def ours(key: str, **options: Any) -> Contender:
    """One of our recurrences.

    Arguments
    ---------
    key : str
        As ``gatedrnn list`` prints it.
    **options : Any
        Its options.

    Returns
    -------
    Contender

    Example
    -------
    >>> ours("slim", variant="10").name
    'slim variant=10'
    """
    cell = find(key)
    label = " ".join([cell.key, *(f"{n}={v}" for n, v in options.items())])

    def build(shape: Shape) -> nn.Module:
        return nnet.build(
            key,
            hidden_size=shape.hidden,
            input_size=shape.input_size,
            num_layers=shape.layers,
            proj_size=shape.proj,
            re_init=False,
            **options,
        )

    return Contender(label, build, {"recurrence": cell.key, **options})


class Streamed(nn.Module):
    """A compiled stream in the place of a stack that carries its state.

    Arguments
    ---------
    stack : nnet.RecurrentStack
        What is streamed.
    quantize : str or None
        As :class:`gatedrnn.nnet.StreamingStack` takes it.

    Example
    -------
    >>> Streamed(nnet.RAN(4, input_size=3), None)(torch.rand(1, 1, 3))[0].shape
    torch.Size([1, 1, 4])
    """

    def __init__(self, stack: nnet.RecurrentStack, quantize: str | None) -> None:
        super().__init__()
        self._stream = nnet.StreamingStack(stack, quantize)

    def forward(self, x: torch.Tensor, state: None = None) -> tuple[torch.Tensor, None]:
        """One frame, (1, 1, features); the stream keeps its state itself."""
        return self._stream(x[:, 0]).unsqueeze(1), None


def streamed(key: str, quantize: str | None = None, **options: Any) -> Contender:
    """One of our recurrences as a compiled stream.

    Arguments
    ---------
    key : str
        As ``gatedrnn list`` prints it.
    quantize : str or None
        ``"int8"`` for 8-bit weights.
    **options : Any
        The recurrence's options.

    Returns
    -------
    Contender

    Example
    -------
    >>> streamed("ran", "int8").name
    'ran streamed int8'
    """
    whole = ours(key, **options)
    label = f"{whole.name} streamed" + (f" {quantize}" if quantize else "")
    return Contender(
        label, lambda s: Streamed(whole.build(s), quantize), whole.options | {"quantize": quantize}
    )


def torch_lstm() -> Contender:
    """``torch.nn.LSTM``, without projection whatever the shape."""
    return Contender(
        "nn.LSTM",
        lambda s: nn.LSTM(s.input_size, s.hidden, s.layers, batch_first=True),
    )


def torch_lstm_proj() -> Contender:
    """``torch.nn.LSTM(proj_size=N)``."""
    return Contender(
        "nn.LSTM(proj_size)",
        lambda s: nn.LSTM(s.input_size, s.hidden, s.layers, batch_first=True, proj_size=s.proj),
    )


def torch_gru() -> Contender:
    """``torch.nn.GRU``."""
    return Contender("nn.GRU", lambda s: nn.GRU(s.input_size, s.hidden, s.layers, batch_first=True))


def ligru(scripted: bool) -> Contender:
    """SpeechBrain's LiGRU, eager or compiled by TorchScript."""

    def build(shape: Shape) -> nn.Module:
        from speechbrain.nnet.RNN import LiGRU

        net = LiGRU(
            shape.hidden,
            (shape.batch, shape.frames, shape.input_size),
            num_layers=shape.layers,
            bidirectional=False,
            re_init=False,
        )
        return torch.jit.script(net) if scripted else net

    name = "LiGRU scripted" if scripted else "LiGRU"
    return Contender(f"speechbrain {name}", build, carries_state=False)


class Products(nn.Module):
    """The matrix products of a stack and nothing else, each over all frames at once.

    Arguments
    ---------
    stack : nnet.RecurrentStack
        Whose matrices.

    Example
    -------
    >>> Products(nnet.RAN(4, input_size=3))(torch.rand(2, 5, 3)).shape
    torch.Size([])
    """

    def __init__(self, stack: nnet.RecurrentStack) -> None:
        super().__init__()
        matrices = [
            (name == INPUT, p.detach())
            for pair in stack.layers
            for name, p in pair[0].named_parameters()
            if p.dim() == 2
        ]
        self.from_input = [flag for flag, _ in matrices]
        self.weights = nn.ParameterList([nn.Parameter(w) for _, w in matrices])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of the first elements of all products (so that none is left out)."""
        rows = x.shape[0] * x.shape[1]
        total = x.new_zeros(())
        for weight in self.weights:
            source = torch.empty(rows, weight.shape[1], dtype=x.dtype, device=x.device).fill_(0.5)
            source.requires_grad_(torch.is_grad_enabled())
            total = total + nn.functional.linear(source, weight)[:, ::97].sum()
        return total


def products(key: str, **options: Any) -> Contender:
    """The matrix products of one of our recurrences: a floor, as torch multiplies here.

    Arguments
    ---------
    key : str
        As ``gatedrnn list`` prints it.
    **options : Any
        Its options.

    Returns
    -------
    Contender

    Example
    -------
    >>> products("ran").name
    'products of ran'
    """
    whole = ours(key, **options)
    return Contender(
        f"products of {whole.name}",
        lambda shape: Products(whole.build(shape)),
        whole.options,
        carries_state=False,
    )
