"""LSTM with coupled gates, a baseline of the Beta paper."""

from __future__ import annotations

from dataclasses import dataclass

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.depth_gated import coupled_cell
from gatedrnn.cells.lstmp import output


@dataclass(frozen=True, kw_only=True)
class CoupledLSTM(Cell):
    """LSTM without peepholes whose forget gate is what the input gate leaves.

    K. Greff, R. K. Srivastava, J. Koutnik, B. R. Steunebrink, J. Schmidhuber, "LSTM: a search
    space odyssey", 2015, arXiv 1503.04069 (its variant CIFG)::

        i = s(W_xi x + W_hi h' + b_i);  f = 1 - i
        c = f*c' + i*tanh(W_xc x + W_hc h' + b_c)
        o = s(W_xo x + W_ho h' + b_o);  h = o*tanh(c)

    Example
    -------
    >>> CoupledLSTM(input_size=10, hidden_size=20).num_parameters()
    1860
    """

    key = "coupled"
    paper = "Greff et al. 2015, arXiv 1503.04069"
    summary = "LSTM with f = 1 - i"

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n = self.input_size, self.hidden_size
        shapes = {f"W_x{g}": (n, m) for g in "ico"} | {f"W_h{g}": (n, n) for g in "ico"}
        return self._with_bias(shapes | {f"b_{g}": (n,) for g in "ico"})

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sums = {f"z_{g}": f"W_x{g} x + W_h{g} h'" for g in "ico"}
        z_o = {"z_o": sums.pop("z_o")}
        return (
            Stage(sums, coupled_cell, ("i", "f", "c")),
            Stage(z_o, output, ("o", "h")),
        )
