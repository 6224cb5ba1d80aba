"""Residual LSTM: a spatial shortcut from the layer input to the output, behind the output gate."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.lstmp import cell


@dataclass(frozen=True, kw_only=True)
class ResidualLSTM(Cell):
    """LSTM with a projected output and a shortcut from the layer input to the layer output.

    J. Kim, M. El-Khamy, J. Lee, "Residual LSTM: design of a deep recurrent architecture for
    distant speech recognition", Interspeech 2017, arXiv 1701.03360::

        i = s(W_xi x + W_hi h' + w_ci*c' + b_i)          (K)
        f = s(W_xf x + W_hf h' + w_cf*c' + b_f)          (K)
        c = f*c' + i*tanh(W_xc x + W_hc h' + b_c)        (K)
        o = s(W_xo x + W_ho h' + W_co c + b_o)           (N)  acts after the projection
        h = o * (W_p tanh(c) + W_h x)                    (N)  W_h x is x itself when m == N

    Without ``proj_size``, K = N and W_p is absent: ``h = o * (tanh(c) + x)``.

    Arguments
    ---------
    output_peephole : str or None
        ``"full"``: the matrix W_co (N, K); ``"diag"``: w_co (K), where K == N; ``"none"``. The
        default ``None`` takes ``"full"`` where K != N and ``"diag"`` where K == N.
    first_layer_shortcut : str
        ``"project"``: the first layer has a bias-free W_h where m != N; ``"none"``: it has no
        shortcut.

    Raises
    ------
    ValueError
        If an option has an unknown value, or a diagonal peephole is asked for where K != N.

    Example
    -------
    >>> cell = ResidualLSTM(input_size=512, hidden_size=1024, proj_size=512, layer_index=1)
    >>> cell.weights()["W_co"], "W_h" in cell.weights()
    ((512, 1024), False)
    """

    output_peephole: str | None = None
    first_layer_shortcut: str = "project"

    key = "residual"
    paper = "Kim, El-Khamy, Lee 2017, arXiv 1701.03360"
    summary = "LSTM with a shortcut from input to output behind the output gate"
    has_projection = True
    variants = (
        {},
        {"output_peephole": "full"},
        {"output_peephole": "none"},
        {"first_layer_shortcut": "none"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("output_peephole", (None, "full", "diag", "none"))
        self._check_choice("first_layer_shortcut", ("project", "none"))
        if self.output_peephole == "diag" and self.output_size != self.hidden_size:
            raise ValueError(
                f"{self.label}: output_peephole='diag' needs proj_size == hidden_size, but the "
                f"output has {self.output_size} units and the cell {self.hidden_size}; use 'full'"
            )

    @property
    def _peephole(self) -> str:
        if self.output_peephole is not None:
            return self.output_peephole
        return "diag" if self.output_size == self.hidden_size else "full"

    @property
    def _shortcut(self) -> str:
        if self.is_first_layer and self.first_layer_shortcut == "none":
            return "none"
        return "identity" if self.input_size == self.output_size else "project"

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, K, N = self.input_size, self.hidden_size, self.output_size
        rows = {"i": K, "f": K, "c": K, "o": N}
        shapes = {f"W_x{g}": (rows[g], m) for g in rows}
        shapes |= {f"W_h{g}": (rows[g], N) for g in rows}
        shapes |= {"w_ci": (K,), "w_cf": (K,)}
        if self._peephole == "full":
            shapes["W_co"] = (N, K)
        elif self._peephole == "diag":
            shapes["w_co"] = (K,)
        shapes |= {f"b_{g}": (rows[g],) for g in rows}
        if self.proj_size:
            shapes["W_p"] = (N, K)
        if self._shortcut == "project":
            shapes["W_h"] = (N, m)
        return self._with_bias(shapes)

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sums = {f"z_{g}": f"W_x{g} x + W_h{g} h'" for g in "ifc"}
        peep = " + W_co c" if self._peephole == "full" else ""
        gate = diagonal_gate if self._peephole == "diag" else output_gate
        products, takes = {}, {}
        if self.proj_size:
            products["p"] = "W_p tanh_c"
        else:
            takes["p"] = "tanh_c"
        if self._shortcut == "project":
            products["shortcut"] = "W_h x"
        elif self._shortcut == "identity":
            takes["shortcut"] = "x"
        return (
            Stage(sums, cell, ("i", "f", "c")),
            Stage({}, squash, ("tanh_c",)),
            Stage({"z_o": f"W_xo x + W_ho h'{peep}"}, gate, ("o",)),
            Stage(products, output, ("h",), takes=takes),
        )

    def default_range(self) -> float:
        return 0.05

    def initialise(self, name: str, weight: torch.Tensor, bound: float) -> None:
        if name.startswith("b_"):
            weight.zero_()
        else:
            weight.uniform_(-bound, bound)


def squash(c):
    """``tanh(c)``, which the projection reads."""
    return (torch.tanh(c),)


def output_gate(z_o, b_o=0.0):
    """``o``; a full peephole ``W_co c`` is already in ``z_o``."""
    return (torch.sigmoid(z_o + b_o),)


def diagonal_gate(z_o, c, w_co, b_o=0.0):
    """``o`` with the diagonal peephole of K == N."""
    return (torch.sigmoid(z_o + w_co * c + b_o),)


def output(o, p, shortcut=0.0):
    """``h = o * (W_p tanh(c) + W_h x)``; a first layer may have no shortcut."""
    return (o * (p + shortcut),)
