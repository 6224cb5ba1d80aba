"""Gated recurrent unit, a baseline: an output that is its own memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage


@dataclass(frozen=True, kw_only=True)
class ChoGRU(Cell):
    """Gated recurrent unit.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", 2014, arXiv 1406.1078::

        r = s(W_xr x + W_hr h' + b_r);  z = s(W_xz x + W_hz h' + b_z)
        n = tanh(W_xn x + r*(W_hn h' + b_hn) + b_n)     reset "after", as torch.nn.GRU
        n = tanh(W_xn x + W_hn (r*h') + b_n)            reset "before", as in the paper
        h = (1 - z)*n + z*h'

    There is no cell beside the output: the state of a stack is one tensor.

    Arguments
    ---------
    reset : str
        ``"after"`` or ``"before"``: where the reset gate acts, with the matrix on the recurrent
        path as the landmark.

    Raises
    ------
    ValueError
        If ``reset`` is something else.

    Example
    -------
    >>> m, n = 10, 20
    >>> ChoGRU(input_size=m, hidden_size=n).num_parameters() == 3 * (m * n + n * n) + 4 * n
    True
    """

    reset: str = "after"

    key = "gru"
    paper = "Cho et al. 2014, arXiv 1406.1078"
    summary = "gated recurrent unit: reset and update gates, no cell beside the output"
    variants = ({}, {"reset": "before"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("reset", ("after", "before"))

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n = self.input_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {f"W_x{g}": (n, m) for g in "rzn"}
        shapes |= {f"W_h{g}": (n, n) for g in "rzn"} | {f"b_{g}": (n,) for g in "rzn"}
        if self.reset == "after":
            shapes["b_hn"] = (n,)
        return self._with_bias(shapes)

    def states(self) -> dict[str, int]:
        return {"h": self.output_size}

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sums = {f"a_{g}": f"W_x{g} x + W_h{g} h'" for g in "rz"}
        if self.reset == "after":
            sums |= {"a_n": "W_xn x", "a_h": "W_hn h'"}
            return (Stage(sums, reset_after, ("r", "z", "n", "h")),)
        return (
            Stage(sums, gates, ("r", "z", "kept")),
            Stage({"a_n": "W_xn x + W_hn kept"}, reset_before, ("n", "h")),
        )


def gates(a_r, a_z, h_prev, b_r=0.0, b_z=0.0):
    """The gates, and what the reset gate leaves of the output before."""
    r = torch.sigmoid(a_r + b_r)
    return r, torch.sigmoid(a_z + b_z), r * h_prev


def reset_before(a_n, z, h_prev, b_n=0.0):
    """What is new, and the output between it and the one before."""
    n = torch.tanh(a_n + b_n)
    return n, (1.0 - z) * n + z * h_prev


def reset_after(a_r, a_z, a_n, a_h, h_prev, b_r=0.0, b_z=0.0, b_n=0.0, b_hn=0.0):
    """The gates, what is new, and the output."""
    r, z, _ = gates(a_r, a_z, h_prev, b_r, b_z)
    n, h = reset_before(a_n + r * (a_h + b_hn), z, h_prev, b_n)
    return r, z, n, h
