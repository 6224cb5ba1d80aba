"""Highway LSTM: a gated linear path between the cells of adjacent layers."""

from __future__ import annotations

from dataclasses import dataclass

from gatedrnn.cells.declaration import Stage
from gatedrnn.cells.depth_gate import link
from gatedrnn.cells.lstmp import LSTMP, cell


@dataclass(frozen=True, kw_only=True)
class HighwayLSTM(LSTMP):
    """LSTMP whose cell also receives, through a depth gate, the cell of the layer below.

    Y. Zhang, G. Chen, D. Yu, K. Yao, S. Khudanpur, J. Glass, "Highway long short-term memory RNNs
    for distant speech recognition", ICASSP 2016, arXiv 1510.08983. Layer 1 is LSTMP; above it::

        d = s(W_xd x + w_cd*c' + w_ld*drop(c_below) + b_d)                no h' term
        c = d*drop(c_below) + f*c' + i*tanh(W_xc x + W_hc h' + b_c)       i, f, o, h as LSTMP

    Arguments
    ---------
    drop : float
        Probability of dropout on the vertical cell path only, feeding both places.
    peephole : bool
        Whether the gates i, f and o see the cell.

    Raises
    ------
    ValueError
        If ``drop`` is not a probability.

    Example
    -------
    >>> low = HighwayLSTM(input_size=512, hidden_size=1024, proj_size=512)
    >>> high = HighwayLSTM(input_size=512, hidden_size=1024, proj_size=512, layer_index=1)
    >>> high.num_parameters() - low.num_parameters() == 1024 * 512 + 3 * 1024
    True
    """

    drop: float = 0.0

    key = "highway"
    paper = "Zhang et al. 2016, arXiv 1510.08983"
    summary = "LSTMP with a gated path from the cell of the layer below"
    variants = ({}, {"peephole": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.drop < 1.0:
            raise ValueError(f"{self.label}: drop must be in [0, 1), not {self.drop!r}")

    def weights(self) -> dict[str, tuple[int, ...]]:
        shapes = super().weights()
        if self.is_first_layer:
            return shapes
        m, K = self.input_size, self.hidden_size
        return self._with_bias(shapes | {"W_xd": (K, m), "w_cd": (K,), "w_ld": (K,), "b_d": (K,)})

    def below(self) -> dict[str, int]:
        return {} if self.is_first_layer else {"c_below": self.hidden_size}

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        if self.is_first_layer:
            return super().stages(training)
        return (
            Stage(self._sums("ifc"), cell, ("i", "f", "c_own")),
            Stage({"z_d": "W_xd x"}, link, ("d", "c")),
            *self._output_stages(),
        )
