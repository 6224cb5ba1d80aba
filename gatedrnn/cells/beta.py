"""Bivariate Beta LSTM: input and forget gates are correlated Beta variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.functional import softplus, standard_gamma
from gatedrnn.cells.lstmp import output

#: Keeps the Gamma shapes, and the samples, away from zero.
EPSILON = 1e-3


def beta(u_1, u_2, u_3, u_4):
    """Independent gates: ``i = u1/(u1+u2)``, ``f = u3/(u3+u4)``."""
    return u_1 / (u_1 + u_2), u_3 / (u_3 + u_4)


def three_gammas(u_1, u_2, u_3):
    """Positively correlated gates: ``i = u2/(u2+u3)``, ``f = u1/(u1+u3)``."""
    return u_2 / (u_2 + u_3), u_1 / (u_1 + u_3)


def five_gammas(u_1, u_2, u_3, u_4, u_5):
    """Correlation of both signs: ``i = (u1+u3)/(u1+u3+u4+u5)``, ``f = (u2+u4)/(u2+u3+u4+u5)``."""
    return (u_1 + u_3) / (u_1 + u_3 + u_4 + u_5), (u_2 + u_4) / (u_2 + u_3 + u_4 + u_5)


#: Variant -> number of Gamma variables, and the gates made of them.
VARIANTS = {"beta": (4, beta), "3g": (3, three_gammas), "5g": (5, five_gammas)}


@dataclass(frozen=True, kw_only=True)
class BetaLSTM(Cell):
    """LSTM whose input and forget gates are Beta variables made of Gamma variables.

    K. Song, J. Jang, S. Shin, I.-C. Moon, "Bivariate Beta-LSTM", AAAI 2020, arXiv 1905.10521::

        a_k = softplus(W_xa{k} x + W_ha{k} h' + b_a{k}) + 1e-3        Gamma shapes, k = 1..G
        training:    u_k = a sample of Gamma(a_k, rate 1), reparameterised, + 1e-3
        evaluation:  u_k = a_k
        c = f*c' + i*tanh(W_xc x + W_hc h' + b_c)
        o = s(W_xo x + W_ho h' + b_o);  h = o*tanh(c)

    =======  =  ========================  =========================  ====================
    variant  G  i                         f                          correlation
    =======  =  ========================  =========================  ====================
    beta     4  u1/(u1+u2)                u3/(u3+u4)                 none
    3g       3  u2/(u2+u3)                u1/(u1+u3)                 positive
    5g       5  (u1+u3)/(u1+u3+u4+u5)     (u2+u4)/(u2+u3+u4+u5)      both signs
    =======  =  ========================  =========================  ====================

    Arguments
    ---------
    variant : str
        A row of the table.
    prior_weight : float
        lambda of the prior (the paper's "5G+p" where it is above 0): the stack's
        ``auxiliary_loss()`` is then lambda times the sum over valid frames, layers, units and k
        of KL(Gamma(a_k, 1) || Gamma(a0, 1)).
    prior_shape : float or tuple of float
        a0, one number or one for each k.

    Raises
    ------
    ValueError
        If an option is out of its range.

    Example
    -------
    >>> n, m = 20, 10
    >>> BetaLSTM(input_size=m, hidden_size=n).num_parameters() == 7 * (m * n + n * n + n)
    True
    """

    variant: str = "5g"
    prior_weight: float = 0.0
    prior_shape: float | tuple[float, ...] = 0.5

    key = "beta"
    paper = "Song et al. 2019, arXiv 1905.10521 (AAAI 2020)"
    summary = "LSTM with correlated Beta-distributed input and forget gates"
    variants = ({"variant": "beta"}, {"variant": "3g"}, {"variant": "5g"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("variant", tuple(VARIANTS))
        if not (math.isfinite(self.prior_weight) and self.prior_weight >= 0.0):
            raise ValueError(
                f"{self.label}: prior_weight must be a number of at least 0, "
                f"not {self.prior_weight!r}"
            )
        if isinstance(self.prior_shape, list):
            object.__setattr__(self, "prior_shape", tuple(self.prior_shape))
        shapes = self._prior_shapes
        if len(shapes) != self.num_gammas or not all(a > 0.0 for a in shapes):
            raise ValueError(
                f"{self.label}: prior_shape must be one positive number, or one for each of the "
                f"{self.num_gammas} Gamma variables of variant {self.variant!r}, "
                f"not {self.prior_shape!r}"
            )

    @property
    def num_gammas(self) -> int:
        """G, the number of Gamma variables."""
        return VARIANTS[self.variant][0]

    @property
    def _prior_shapes(self) -> tuple[float, ...]:
        if isinstance(self.prior_shape, tuple):
            return self.prior_shape
        return (self.prior_shape,) * self.num_gammas

    @property
    def _ks(self) -> range:
        return range(1, self.num_gammas + 1)

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n = self.input_size, self.hidden_size
        sums = [*(f"a{k}" for k in self._ks), "c", "o"]
        shapes = {f"W_x{g}": (n, m) for g in sums} | {f"W_h{g}": (n, n) for g in sums}
        return self._with_bias(shapes | {f"b_{g}": (n,) for g in sums})

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        shapes = tuple(
            Stage(
                {f"z_{k}": f"W_xa{k} x + W_ha{k} h'"},
                gamma_shape,
                (f"a_{k}",),
                takes={"z": f"z_{k}", "b": f"b_a{k}"},
            )
            for k in self._ks
        )
        samples = tuple(
            Stage({}, gamma_sample, (f"u_{k}",), takes={"a": f"a_{k}"}) for k in self._ks
        )
        gates = VARIANTS[self.variant][1]
        # In evaluation the shapes stand in the samples' places: each gate is then its mean.
        means = {f"u_{k}": f"a_{k}" for k in self._ks}
        return (
            *shapes,
            *(samples if training else ()),
            Stage({}, gates, ("i", "f"), takes={} if training else means),
            Stage({"z_c": "W_xc x + W_hc h'"}, gated_cell, ("c",)),
            Stage({"z_o": "W_xo x + W_ho h'"}, output, ("o", "h")),
        )

    def auxiliary(self) -> tuple[str, ...]:
        return tuple(f"a_{k}" for k in self._ks) if self.prior_weight > 0.0 else ()

    def auxiliary_loss(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        if not self.prior_weight > 0.0:
            return None
        terms = (
            gamma_kl(values[f"a_{k}"], a0)
            for k, a0 in zip(self._ks, self._prior_shapes, strict=True)
        )
        return self.prior_weight * sum(terms)


def gamma_shape(z, b=0.0):
    """``a = softplus(z + b) + 1e-3``."""
    return (softplus(z + b) + EPSILON,)


def gamma_sample(a, generator):
    """A sample of Gamma(a, 1), kept away from zero."""
    return (standard_gamma(a, generator) + EPSILON,)


def gated_cell(i, f, z_c, c_prev, b_c=0.0):
    """The cell under given gates."""
    return (f * c_prev + i * torch.tanh(z_c + b_c),)


def gamma_kl(a: torch.Tensor, a0: float) -> torch.Tensor:
    """KL(Gamma(a, 1) || Gamma(a0, 1)), elementwise, in float32 at least.

    Arguments
    ---------
    a : torch.Tensor
        Shapes, positive.
    a0 : float
        Shape of the prior, positive.

    Returns
    -------
    torch.Tensor
        ``(a-a0)*digamma(a) - lgamma(a) + lgamma(a0)``.

    Example
    -------
    >>> gamma_kl(torch.tensor([0.5]), 0.5)
    tensor([0.])
    """
    return _GammaKL.apply(a.to(torch.promote_types(a.dtype, torch.float32)), a0)


class _GammaKL(torch.autograd.Function):
    """Its derivative is ``(a-a0)*trigamma(a)``: the digamma terms, which autograd would compute
    again and subtract, cancel."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a, a0):
        return (a - a0) * torch.digamma(a) - torch.lgamma(a) + math.lgamma(a0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        a, ctx.a0 = inputs
        ctx.save_for_backward(a)

    @staticmethod
    def backward(ctx, grad):
        (a,) = ctx.saved_tensors
        return grad * (a - ctx.a0) * torch.polygamma(1, a), None
