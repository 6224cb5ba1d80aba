"""G2-LSTM: Gumbel gates pushed towards 0 and 1 in training, a baseline of the Beta paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.functional import binary_logistic_noise
from gatedrnn.cells.lstmp import cell, output


@dataclass(frozen=True, kw_only=True)
class G2LSTM(Cell):
    """LSTM without peepholes whose input and forget gates are Gumbel-softmax samples in training.

    Z. Li, D. He, F. Tian, W. Chen, T. Qin, L. Wang, T.-Y. Liu, "Towards binary-valued gates for
    robust LSTM training", ICML 2018, arXiv 1806.02988::

        training:    gate = s((z + B*(log(U+e) - log(1-U+e))) / tau)     for i and f, own noise
                     U ~ Uniform(0, 1), B ~ Bernoulli(p), e = 1e-3
        evaluation:  gate = s(z)

    Arguments
    ---------
    p : float
        Probability that a gate gets noise.
    tau : float
        Temperature.

    Raises
    ------
    ValueError
        If an option is out of its range.

    Example
    -------
    >>> G2LSTM(input_size=10, hidden_size=20, tau=0.5).options()
    {'p': 0.2, 'tau': 0.9}
    """

    p: float = 0.2
    tau: float = 0.9

    key = "g2"
    paper = "Li et al. 2018, arXiv 1806.02988"
    summary = "LSTM with binary-leaning Gumbel gates in training"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"{self.label}: p must be a probability, not {self.p!r}")
        if not self.tau > 0.0:
            raise ValueError(f"{self.label}: tau must be above 0, not {self.tau!r}")

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n = self.input_size, self.hidden_size
        shapes = {f"W_x{g}": (n, m) for g in "ifco"} | {f"W_h{g}": (n, n) for g in "ifco"}
        return self._with_bias(shapes | {f"b_{g}": (n,) for g in "ifco"})

    def noise(self, training: bool) -> dict[str, Callable[..., torch.Tensor]]:
        if not training:
            return {}
        return {f"noise_{g}": partial(binary_logistic_noise, p=self.p) for g in "if"}

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sums = {f"z_{g}": f"W_x{g} x + W_h{g} h'" for g in "ifc"}
        z_o = {"z_o": "W_xo x + W_ho h'"}
        return (
            Stage(sums, self._noisy_cell() if training else cell, ("i", "f", "c")),
            Stage(z_o, output, ("o", "h")),
        )

    def _noisy_cell(self):
        tau = self.tau

        def noisy_cell(z_i, z_f, z_c, c_prev, noise_i, noise_f, b_i=0.0, b_f=0.0, b_c=0.0):
            i = torch.sigmoid((z_i + b_i + noise_i) / tau)
            f = torch.sigmoid((z_f + b_f + noise_f) / tau)
            return i, f, f * c_prev + i * torch.tanh(z_c + b_c)

        return noisy_cell
