"""Depth-gated LSTM: the cell of the layer below enters through a gate; no projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.depth_gate import link
from gatedrnn.cells.lstmp import cell, output

#: The authors' released code, as options.
PRESETS: dict[str, dict[str, Any]] = {
    "cnn": {"coupled_forget": True, "peephole": "full", "first_layer": "input"}
}


@dataclass(frozen=True, kw_only=True)
class DepthGatedLSTM(Cell):
    """LSTM whose cell also receives the cell of the layer below through a depth gate.

    K. Yao, T. Cohn, K. Vylomova, K. Duh, C. Dyer, "Depth-gated recurrent neural networks",
    arXiv 1508.03790::

        d = s(W_xd x + w_cd*c' + w_ld*c_below + b_d)                     above the first layer
        c = d*c_below + f*c' + i*tanh(W_xc x + W_hc h' + b_c)
        h = o*tanh(c)

    with i, f and o of the LSTM with diagonal peepholes.

    Arguments
    ---------
    coupled_forget : bool
        f = 1 - i, without parameters of its own.
    peephole : str
        ``"none"``; ``"diag"``: w_ci, w_cf on c' and w_co on the new c; ``"full"``: the matrices
        W_ci, W_cf on c' and W_co on the new c.
    first_layer : str
        ``"plain"``: the first layer has no depth gate; ``"input"``: it has
        ``d1 = s(W_xd x + w_cd*c' + b_d)`` and adds ``d1*(W_x0 x)`` to the cell.
    preset : str or None
        ``"cnn"`` sets the three options above to the authors' released code: coupled, full,
        input.

    Raises
    ------
    ValueError
        If an option has an unknown value, or contradicts the preset.

    Example
    -------
    >>> cell = DepthGatedLSTM(input_size=100, hidden_size=200, preset="cnn")
    >>> cell.coupled_forget, cell.peephole, cell.first_layer
    (True, 'full', 'input')
    """

    coupled_forget: bool = False
    peephole: str = "diag"
    first_layer: str = "plain"
    preset: str | None = None

    key = "depth_gated"
    paper = "Yao et al. 2015, arXiv 1508.03790"
    summary = "LSTM with a depth gate on the cell of the layer below"
    variants = (
        {},
        {"peephole": "none"},
        {"peephole": "full"},
        {"coupled_forget": True},
        {"coupled_forget": True, "peephole": "none"},
        {"first_layer": "input"},
        {"preset": "cnn"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("preset", (None, *PRESETS))
        defaults = self.options()
        for name, value in PRESETS.get(self.preset or "", {}).items():
            if getattr(self, name) not in (defaults[name], value):
                raise ValueError(
                    f"{self.label}: preset={self.preset!r} means {name}={value!r}, so {name} "
                    f"cannot be {getattr(self, name)!r}; leave one of the two out"
                )
            object.__setattr__(self, name, value)
        self._check_choice("coupled_forget", (False, True))
        self._check_choice("peephole", ("none", "diag", "full"))
        self._check_choice("first_layer", ("plain", "input"))

    @property
    def _links(self) -> bool:
        return not self.is_first_layer

    @property
    def _input_link(self) -> bool:
        return self.is_first_layer and self.first_layer == "input"

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n = self.input_size, self.hidden_size
        gates = "ico" if self.coupled_forget else "ifco"
        shapes = {f"W_x{g}": (n, m) for g in gates} | {f"W_h{g}": (n, n) for g in gates}
        peeping = [g for g in gates if g != "c"]
        if self.peephole == "diag":
            shapes |= {f"w_c{g}": (n,) for g in peeping}
        elif self.peephole == "full":
            shapes |= {f"W_c{g}": (n, n) for g in peeping}
        shapes |= {f"b_{g}": (n,) for g in gates}
        if self._links:
            shapes |= {"W_xd": (n, m), "w_cd": (n,), "w_ld": (n,), "b_d": (n,)}
        elif self._input_link:
            shapes |= {"W_x0": (n, m), "W_xd": (n, m), "w_cd": (n,), "b_d": (n,)}
        return self._with_bias(shapes)

    def below(self) -> dict[str, int]:
        return {"c_below": self.hidden_size} if self._links else {}

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        names = self.weights()

        def total(g: str) -> str:
            peep = {"i": " + W_ci c'", "f": " + W_cf c'", "o": " + W_co c"}
            return f"W_x{g} x + W_h{g} h'" + (peep[g] if f"W_c{g}" in names else "")

        own = "c_own" if "W_xd" in names else "c"
        if self.coupled_forget:
            stages = [Stage({f"z_{g}": total(g) for g in "ic"}, coupled_cell, ("i", "f", own))]
        else:
            stages = [Stage({f"z_{g}": total(g) for g in "ifc"}, cell, ("i", "f", own))]
        if self._links:
            stages.append(Stage({"z_d": "W_xd x"}, link, ("d", "c")))
        elif self._input_link:
            stages.append(Stage({"z_d": "W_xd x", "x_0": "W_x0 x"}, input_link, ("d", "c")))
        return (*stages, Stage({"z_o": total("o")}, output, ("o", "h")))


def coupled_cell(z_i, z_c, c_prev, w_ci=0.0, b_i=0.0, b_c=0.0):
    """The input gate, the forget gate f = 1 - i and the cell."""
    i = torch.sigmoid(z_i + w_ci * c_prev + b_i)
    f = 1.0 - i
    return i, f, f * c_prev + i * torch.tanh(z_c + b_c)


def input_link(z_d, x_0, c_own, c_prev, w_cd, b_d=0.0):
    """The first layer's link: its linear input stands in the place of the cell below."""
    d = torch.sigmoid(z_d + w_cd * c_prev + b_d)
    return d, d * x_0 + c_own
