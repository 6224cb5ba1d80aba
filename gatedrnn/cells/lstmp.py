"""LSTM with peepholes and an output projection, the baseline of the distant-speech papers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage


@dataclass(frozen=True, kw_only=True)
class LSTMP(Cell):
    """LSTM with diagonal peepholes and an optional linear output projection.

    H. Sak, A. Senior, F. Beaufays, "Long short-term memory recurrent neural network architectures
    for large scale acoustic modeling", Interspeech 2014::

        i = s(W_xi x + W_hi h' + w_ci*c' + b_i)
        f = s(W_xf x + W_hf h' + w_cf*c' + b_f)
        c = f*c' + i*tanh(W_xc x + W_hc h' + b_c)
        o = s(W_xo x + W_ho h' + w_co*c + b_o)          peeks at the new cell
        h = W_p (o*tanh(c))                             without projection h = o*tanh(c)

    Arguments
    ---------
    peephole : bool
        Whether the gates see the cell. Without, this is ``torch.nn.LSTM``.

    Example
    -------
    >>> LSTMP(input_size=80, hidden_size=1024, proj_size=512).num_parameters()
    2956288
    """

    peephole: bool = True

    key = "lstmp"
    paper = "Sak et al. 2014, Interspeech"
    summary = "LSTM with peepholes and a linear output projection"
    has_projection = True
    variants = ({}, {"peephole": False})

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, K, N = self.input_size, self.hidden_size, self.output_size
        shapes = {f"W_x{g}": (K, m) for g in "ifco"} | {f"W_h{g}": (K, N) for g in "ifco"}
        if self.peephole:
            shapes |= {f"w_c{g}": (K,) for g in "ifo"}
        shapes |= {f"b_{g}": (K,) for g in "ifco"}
        if self.proj_size:
            shapes["W_p"] = (N, K)
        return self._with_bias(shapes)

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        cell_stage = Stage(self._sums("ifc"), cell, ("i", "f", "c"))
        return (cell_stage, *self._output_stages())

    def _sums(self, gates: str) -> dict[str, str]:
        return {f"z_{g}": f"W_x{g} x + W_h{g} h'" for g in gates}

    def _output_stages(self) -> tuple[Stage, ...]:
        if not self.proj_size:
            return (Stage(self._sums("o"), output, ("o", "h")),)
        return (Stage(self._sums("o"), output, ("o", "m")), Stage({"h": "W_p m"}))

    def default_range(self) -> float:
        return 0.05

    def initialise(self, name: str, weight: torch.Tensor, bound: float) -> None:
        if name.startswith("b_"):
            weight.zero_()
        else:
            weight.uniform_(-bound, bound)


def cell(z_i, z_f, z_c, c_prev, w_ci=0.0, w_cf=0.0, b_i=0.0, b_f=0.0, b_c=0.0):
    """The input gate, the forget gate and the cell."""
    i = torch.sigmoid(z_i + w_ci * c_prev + b_i)
    f = torch.sigmoid(z_f + w_cf * c_prev + b_f)
    return i, f, f * c_prev + i * torch.tanh(z_c + b_c)


def output(z_o, c, w_co=0.0, b_o=0.0):
    """The output gate, and the output before any projection."""
    o = torch.sigmoid(z_o + w_co * c + b_o)
    return o, o * torch.tanh(c)
