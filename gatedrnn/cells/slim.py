"""SLIM LSTMs: gates with fewer parameters, as one table of variants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.cells.functional import hard_sigmoid


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Arguments
    ---------
    gate : str
        Terms of a gate's pre-activation: ``W`` for W x, ``U`` for U h', ``u`` for u*h', ``b``.
    gates : str
        The gates that are computed: the others are constant (i = 1, f = ``forget``, o = 1).
    recurrent : str
        Recurrent term of the cell input: ``U`` for U_c h', ``u`` for u_c*h'.
    forget : float or None
        Default of the constant forget gate, where it is one.
    """

    gate: str
    gates: str = "ifo"
    recurrent: str = "U"
    forget: float | None = None


VARIANTS = {
    "base": Variant("WUb"),
    "1": Variant("Ub"),
    "2": Variant("U"),
    "3": Variant("b"),
    "4": Variant("u"),
    "4a": Variant("u", gates="i", forget=0.96),
    "5": Variant("ub"),
    "5a": Variant("ub", gates="i", forget=0.96),
    "6": Variant("", gates="", forget=0.59),
    "10": Variant("u", recurrent="u"),
    "11": Variant("ub", recurrent="u"),
    "C6": Variant("", gates="", recurrent="u", forget=0.59),
}
GATE_ACTIVATIONS: dict[str, Callable] = {"sigmoid": torch.sigmoid, "hard_sigmoid": hard_sigmoid}
ACTIVATIONS: dict[str, Callable] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


@dataclass(frozen=True, kw_only=True)
class SlimLSTM(Cell):
    """LSTM with slimmed gates.

    F. M. Salem, "SLIM LSTMs", arXiv 1812.11391; A. Akandeh, F. M. Salem, "Simplified long
    short-term memory recurrent neural networks", parts I-III, 2017; D. Kent, F. M. Salem, 2019;
    A. Akandeh, F. M. Salem, 2019. All variants are::

        c = f*c' + i*act(W_xc x + R_c + b_c)
        h = o*act(c)

    where R_c is W_hc h' (10, 11, C6: u_c*h') and the gates are ``gate_activation`` of

    ===========  =====================================================
    ``variant``  pre-activation, parameters of its own for each gate
    ===========  =====================================================
    base         W x + W_h h' + b (the LSTM without peepholes)
    1            W_h h' + b
    2            W_h h'
    3            b
    4, 10        u*h'
    4a           i: u_i*h'; f = ``forget_const``; o = 1
    5, 11        u*h' + b
    5a           i: u_i*h' + b_i; f = ``forget_const``; o = 1
    6, C6        i = 1; f = ``forget_const``; o = 1
    ===========  =====================================================

    Arguments
    ---------
    variant : str or int
        A row of the table.
    forget_const : float or None
        The constant forget gate, absolute value below 1; default 0.96 for 4a and 5a, 0.59 for 6
        and C6 (the authors' code has 0.4 for 6).
    gate_activation : str
        ``"sigmoid"`` or ``"hard_sigmoid"`` = clip(0.2 z + 0.5, 0, 1).
    activation : str
        act: ``"tanh"``, ``"sigmoid"`` or ``"relu"``.

    Raises
    ------
    ValueError
        If an option has an unknown value or does not apply to the variant.

    Example
    -------
    >>> [SlimLSTM(input_size=28, hidden_size=100, variant=v).num_parameters() for v in (3, "10")]
    [13200, 3300]
    """

    variant: str | int = "base"
    forget_const: float | None = None
    gate_activation: str = "sigmoid"
    activation: str = "tanh"

    key = "slim"
    paper = "Salem 2018, arXiv 1812.11391; Akandeh, Salem 2017-2019; Kent, Salem 2019"
    summary = "LSTM with slimmed gates: 12 variants, three of them elementwise recurrences"
    variants = tuple({"variant": name} for name in VARIANTS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.variant, int) and not isinstance(self.variant, bool):
            object.__setattr__(self, "variant", str(self.variant))
        self._check_choice("variant", tuple(VARIANTS))
        self._check_choice("gate_activation", tuple(GATE_ACTIVATIONS))
        self._check_choice("activation", tuple(ACTIVATIONS))
        default = self._row.forget
        if self.forget_const is None:
            object.__setattr__(self, "forget_const", default)
        elif default is None:
            raise ValueError(
                f"{self.label}: forget_const applies to variants 4a, 5a, 6 and C6; variant "
                f"{self.variant!r} computes its forget gate, so leave forget_const out"
            )
        elif not abs(self.forget_const) < 1.0:
            raise ValueError(
                f"{self.label}: forget_const must be below 1 in absolute value for the cell to "
                f"stay bounded, not {self.forget_const!r}"
            )
        if not self.bias and self._row.gate == "b":
            raise ValueError(
                f"{self.label}: the gates of variant {self.variant!r} are nothing but their "
                "biases, so bias=False is not possible"
            )

    @property
    def _row(self) -> Variant:
        return VARIANTS[str(self.variant)]

    def weights(self) -> dict[str, tuple[int, ...]]:
        m, n, row = self.input_size, self.hidden_size, self._row
        shapes = {}
        for g in "ifco":
            terms = f"W{row.recurrent}b" if g == "c" else row.gate if g in row.gates else ""
            if "W" in terms:
                shapes[f"W_x{g}"] = (n, m)
            if "U" in terms:
                shapes[f"W_h{g}"] = (n, n)
            if "u" in terms:
                shapes[f"u_{g}"] = (n,)
            if "b" in terms:
                shapes[f"b_{g}"] = (n,)
        return self._with_bias(shapes)

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        sigma, act = GATE_ACTIVATIONS[self.gate_activation], ACTIVATIONS[self.activation]
        forget = self.forget_const

        def gate(h_prev, z=0.0, u=0.0, b=0.0):
            return (sigma(z + u * h_prev + b),)

        def cell(z_c, h_prev, c_prev, i=1.0, f=forget, u_c=0.0, b_c=0.0):
            return (f * c_prev + i * act(z_c + u_c * h_prev + b_c),)

        def output(c, o=1.0):
            return (o * act(c),)

        gates = tuple(
            Stage(
                self._sum(g),
                gate,
                (g,),
                takes={"z": f"z_{g}", "u": f"u_{g}", "b": f"b_{g}"},
            )
            for g in self._row.gates
        )
        return (*gates, Stage(self._sum("c"), cell, ("c",)), Stage({}, output, ("h",)))

    def _sum(self, g: str) -> dict[str, str]:
        """The matrix products of one gate or of the cell input, where it has any."""
        candidates = {f"W_x{g}": "x", f"W_h{g}": "h'"}
        names = self.weights()
        terms = [f"{weight} {source}" for weight, source in candidates.items() if weight in names]
        return {f"z_{g}": " + ".join(terms)} if terms else {}
