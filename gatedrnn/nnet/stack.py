"""Stacks of recurrent layers in SpeechBrain's shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from gatedrnn.cells.declaration import Cell
from gatedrnn.nnet.layer import RecurrentLayer
from gatedrnn.nnet.lengths import frame_counts

Hidden = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class RecurrentStack(nn.Module):
    """A stack of layers of one recurrence, in the place of any SpeechBrain RNN.

    Subclasses name their recurrence in ``cell_class``; its options are further keyword arguments
    here.

    Arguments
    ---------
    hidden_size : int
        K, width of the memory cells of every layer.
    input_shape : tuple or None
        Shape of an example input, (batch, time, features) or (batch, time, features, channels).
    input_size : int or None
        Width of the input, instead of ``input_shape``.
    num_layers : int
        Number of layers.
    bias : bool
        Whether the equations' biases exist.
    dropout : float
        Dropout between layers (on the outputs of all layers but the last).
    re_init : bool
        Orthogonal recurrent matrices, as in SpeechBrain; ``False``: the paper's distribution.
    bidirectional : bool
        Run a second stack of weights from the last valid frame to the first.
    recompute : bool
        Keep for the backward each layer's input and output only, and run its forward once more
        there: less memory in deep stacks, more time, the same gradients (the noise
        of stochastic gates is the same again).
    locked_dropout : bool
        Whether ``dropout`` draws one mask for all frames of a call (variational dropout) instead
        of one for each frame.
    **options
        The recurrence's options; also ``proj_size`` (N, ``None`` or 0 for none) and ``init_range``.

    Raises
    ------
    ValueError
        If a size or an option has an impossible value.
    TypeError
        If there is no such option; the message lists those there are.

    Example
    -------
    >>> from gatedrnn.nnet import ResidualLSTM
    >>> net = ResidualLSTM(16, input_size=8, num_layers=3, proj_size=8)
    >>> x = torch.rand(4, 50, 8)
    >>> output, (h, c) = net(x, lengths=torch.tensor([1.0, 0.5, 0.2, 0.9]))
    >>> output.shape, h.shape, c.shape
    (torch.Size([4, 50, 8]), torch.Size([3, 4, 8]), torch.Size([3, 4, 16]))
    """

    cell_class: ClassVar[type[Cell]]

    def __init__(
        self,
        hidden_size: int,
        input_shape: Sequence[int | None] | None = None,
        input_size: int | None = None,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        re_init: bool = True,
        bidirectional: bool = False,
        *,
        recompute: bool = False,
        locked_dropout: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.input_size = self._input_width(input_shape, input_size)
        if not isinstance(num_layers, int) or num_layers < 1:
            raise ValueError(f"{self.label}: num_layers must be at least 1, not {num_layers!r}")
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"{self.label}: dropout must be in [0, 1], not {dropout!r}")
        known = {"proj_size": None, "init_range": None, **self.cell_class.options()}
        unknown = sorted(options.keys() - known.keys())
        if unknown:
            raise TypeError(
                f"{self.label} has no option {', '.join(unknown)}; its options are: "
                f"{', '.join(known)}"
            )
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.locked_dropout = locked_dropout
        self.bidirectional = bidirectional
        self.num_directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList()
        width = self.input_size
        for index in range(num_layers):
            cell = self.cell_class(
                input_size=width,
                hidden_size=hidden_size,
                bias=bias,
                layer_index=index,
                **options,
            )
            self.layers.append(
                nn.ModuleList(
                    RecurrentLayer(cell, bool(d), re_init, recompute)
                    for d in range(self.num_directions)
                )
            )
            width = cell.output_size * self.num_directions
        #: Width of the output, D*N.
        self.output_size = width

    @property
    def label(self) -> str:
        """Name of the class, for messages."""
        return type(self).__name__

    def layer(self, index: int, reverse: bool = False) -> RecurrentLayer:
        """One layer in one direction.

        Arguments
        ---------
        index : int
            0 for the lowest layer.
        reverse : bool
            The backward direction of a bidirectional stack.

        Returns
        -------
        RecurrentLayer

        Raises
        ------
        IndexError
            If there is no such layer or direction.
        """
        if not -self.num_layers <= index < self.num_layers:
            raise IndexError(f"{self.label} has {self.num_layers} layers, no layer {index}")
        if reverse and not self.bidirectional:
            raise IndexError(f"{self.label} is not bidirectional: it has no reverse layer")
        return self.layers[index][int(reverse)]

    def forward(
        self,
        x: torch.Tensor,
        hx: Hidden | None = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Hidden]:
        """Runs the stack over a batch of sequences.

        Arguments
        ---------
        x : torch.Tensor
            (batch, time, features) or (batch, time, features, channels).
        hx : torch.Tensor or tuple or None
            State to begin with, as returned; ``None`` for zeros.
        lengths : torch.Tensor or None
            Relative lengths in (0, 1], (batch,). Past its length a sequence's state is frozen
            and its output is zero; the reverse direction begins at the last valid frame.

        Returns
        -------
        output : torch.Tensor
            (batch, time, D*N), forward then backward direction.
        hn : torch.Tensor or tuple of two
            Each (L*D, batch, width), layer by layer, directions interleaved, as torch's: for
            recurrences with a cell the pair (h, c). Handed in again it continues the sequence.

        Raises
        ------
        ValueError
            If a shape does not fit, or a length is out of its range.
        """
        output, hidden, _ = self.run(x, hx, lengths)
        return output, hidden

    def run(
        self,
        x: torch.Tensor,
        hx: Hidden | None = None,
        lengths: torch.Tensor | None = None,
        keep: Sequence[str] = (),
    ) -> tuple[torch.Tensor, Hidden, list[list[dict[str, torch.Tensor]]]]:
        """:meth:`forward` that also returns values from inside the step, such as gates.

        Arguments
        ---------
        x : torch.Tensor
            As in :meth:`forward`.
        hx : torch.Tensor or tuple or None
            As in :meth:`forward`.
        lengths : torch.Tensor or None
            As in :meth:`forward`.
        keep : sequence of str
            Names of values of the step, e.g. ``("c", "i", "f")``.

        Returns
        -------
        output, hn
            As in :meth:`forward`.
        kept : list of list of dict
            ``kept[layer][direction][name]``: (batch, time, width), zero past the length.

        Example
        -------
        >>> from gatedrnn.nnet import RAN
        >>> _, _, kept = RAN(4, input_size=3, num_layers=2).run(torch.rand(1, 9, 3), keep=["c"])
        >>> kept[1][0]["c"].shape
        torch.Size([1, 9, 4])
        """
        x = self._frames_first(x)
        frames, batch = x.shape[:2]
        counts = None if lengths is None else frame_counts(lengths, frames, batch).to(x.device)
        states = self._split_hidden(hx, batch)
        finals: list[dict[str, torch.Tensor]] = []
        kept: list[list[dict[str, torch.Tensor]]] = []
        under: list[dict[str, torch.Tensor]] = [{} for _ in range(self.num_directions)]
        for index, directions in enumerate(self.layers):
            links = self._links_above(index)
            outputs, current = [], []
            for d, layer in enumerate(directions):
                result = layer(
                    x,
                    states[index * self.num_directions + d],
                    counts,
                    below=self._vertical(layer.cell, under[d]),
                    keep=tuple(dict.fromkeys((*keep, *links))),
                )
                outputs.append(result.output)
                finals.append(result.state)
                current.append(result.kept)
            under = current
            kept.append([{n: r[n].transpose(0, 1) for n in keep} for r in current])
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
            if index + 1 < self.num_layers:
                x = self._drop(x)
        return x.transpose(0, 1), self._join_hidden(finals), kept

    def auxiliary_loss(self) -> torch.Tensor | None:
        """Sum of the layers' loss terms of the last forward (the Beta gates' prior), or ``None``.

        Returns
        -------
        torch.Tensor or None
            Scalar: lambda * sum of the KL over valid frames, layers, directions, units and k.

        Example
        -------
        >>> from gatedrnn.nnet import BetaLSTM
        >>> net = BetaLSTM(4, input_size=3, prior_weight=0.01)
        >>> _ = net(torch.rand(1, 5, 3))
        >>> net.auxiliary_loss().requires_grad
        True
        """
        losses = [layer.auxiliary_loss() for pair in self.layers for layer in pair]
        losses = [loss for loss in losses if loss is not None]
        return torch.stack(losses).sum() if losses else None

    # ---- details ----------------------------------------------------------------------------

    def _input_width(self, shape: Sequence[int | None] | None, size: int | None) -> int:
        if shape is None and size is None:
            raise ValueError(f"{self.label}: give input_shape or input_size")
        if size is None:
            if len(shape) not in (3, 4):
                raise ValueError(
                    f"{self.label}: input_shape must be (batch, time, features) or (batch, time, "
                    f"features, channels), not {tuple(shape)}"
                )
            size = math.prod(int(n) for n in shape[2:])
        return int(size)

    def _frames_first(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 4:
            x = x.flatten(2)
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(
                f"{self.label}: the input must be (batch, time, {self.input_size}), "
                f"not {tuple(x.shape)}"
            )
        return x.transpose(0, 1)

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout on what a layer hands up, frames first."""
        if not self.locked_dropout:
            return nn.functional.dropout(x, self.dropout, self.training)
        return x * nn.functional.dropout(torch.ones_like(x[:1]), self.dropout, self.training)

    def _links_above(self, index: int) -> tuple[str, ...]:
        """Values of this layer that the next one reads."""
        if index + 1 == self.num_layers:
            return ()
        return tuple(n.removesuffix("_below") for n in self.layers[index + 1][0].cell.below())

    def _vertical(self, cell: Cell, under: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What a layer reads of the one underneath, after the dropout of the vertical path."""
        drop = getattr(cell, "drop", 0.0)
        return {
            name: nn.functional.dropout(under[name.removesuffix("_below")], drop, self.training)
            for name in cell.below()
        }

    def _state_names(self) -> list[str]:
        names = list(self.layers[0][0].cell.states())
        if len(names) > 2:
            raise ValueError(
                f"{self.label}: SpeechBrain's recurrent networks have one or two states, "
                f"not {len(names)}"
            )
        return names

    def _split_hidden(self, hx: Hidden | None, batch: int) -> list[dict[str, torch.Tensor] | None]:
        count = self.num_layers * self.num_directions
        if hx is None:
            return [None] * count
        names = self._state_names()
        parts = (hx,) if isinstance(hx, torch.Tensor) else tuple(hx)
        widths = self.layers[0][0].cell.states()
        if len(parts) != len(names):
            raise ValueError(
                f"{self.label}: hx must be {len(names)} tensor(s) ({', '.join(names)}), "
                f"not {len(parts)}"
            )
        for name, part in zip(names, parts, strict=True):
            if tuple(part.shape) != (count, batch, widths[name]):
                raise ValueError(
                    f"{self.label}: hx's {name} must be {(count, batch, widths[name])} (layers * "
                    f"directions, batch, width), not {tuple(part.shape)}"
                )
        return [{n: p[i] for n, p in zip(names, parts, strict=True)} for i in range(count)]

    def _join_hidden(self, finals: list[dict[str, torch.Tensor]]) -> Hidden:
        joined = tuple(torch.stack([f[n] for f in finals]) for n in self._state_names())
        return joined[0] if len(joined) == 1 else joined
