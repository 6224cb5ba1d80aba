"""Recurrent additive network: the cell is a gated sum of linear inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage


@dataclass(frozen=True, kw_only=True)
class RAN(Cell):
    """Recurrent additive network.

    K. Lee, O. Levy, L. Zettlemoyer, "Recurrent additive networks", 2017, arXiv 1705.07393::

        ctil = W_cx x                                   no bias, no nonlinearity, no h'
        i = s(W_ix x + W_ih h' + b_i);  f = s(W_fx x + W_fh h' + b_f)
        c = i*ctil + f*c'
        h = tanh(c)  or  h = c                          optional projection W_p h + b_p

    With a projection, the projected output is the recurrent input.

    Arguments
    ---------
    output : str
        ``"tanh"`` or ``"identity"``.

    Raises
    ------
    ValueError
        If ``output`` is something else.

    Example
    -------
    >>> m, n = 10, 20
    >>> RAN(input_size=m, hidden_size=n).num_parameters() == m * n + 2 * (n * (m + n) + n)
    True
    """

    output: str = "tanh"

    key = "ran"
    paper = "Lee, Levy, Zettlemoyer 2017, arXiv 1705.07393"
    summary = "gated weighted sum of linear inputs"
    has_projection = True
    variants = ({}, {"output": "identity"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("output", ("tanh", "identity"))

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n, N = self.input_size, self.hidden_size, self.output_size
        shapes: dict[str, tuple[int, ...]] = {"W_cx": (n, m)}
        for g in "if":
            shapes |= {f"W_{g}x": (n, m), f"W_{g}h": (n, N), f"b_{g}": (n,)}
        if self.proj_size:
            shapes |= {"W_p": (N, n), "b_p": (N,)}
        return self._with_bias(shapes)

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sums = {"ctil": "W_cx x"} | {f"z_{g}": f"W_{g}x x + W_{g}h h'" for g in "if"}
        step = tanh_step if self.output == "tanh" else identity_step
        if not self.proj_size:
            return (Stage(sums, step, ("i", "f", "c", "h")),)
        return (
            Stage(sums, step, ("i", "f", "c", "m")),
            Stage({"y": "W_p m"}, projection, ("h",)),
        )

    def default_range(self) -> float:
        return 0.05


def identity_step(ctil, z_i, z_f, c_prev, b_i=0.0, b_f=0.0):
    """The gates, the cell and the output, which is the cell."""
    i = torch.sigmoid(z_i + b_i)
    f = torch.sigmoid(z_f + b_f)
    c = i * ctil + f * c_prev
    return i, f, c, c


def tanh_step(ctil, z_i, z_f, c_prev, b_i=0.0, b_f=0.0):
    """The gates, the cell and the output, which is its tanh."""
    i, f, c, _ = identity_step(ctil, z_i, z_f, c_prev, b_i, b_f)
    return i, f, c, torch.tanh(c)


def projection(y, b_p=0.0):
    """``W_p h + b_p``."""
    return (y + b_p,)
