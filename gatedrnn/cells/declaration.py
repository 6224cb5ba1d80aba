"""What a recurrence declares: its sizes, its named weights and its step.

A step is a short list of *stages*. A stage is "matrix products, then pointwise": it sums some
products of named weight matrices with the layer input ``x``, the previous output ``h'``, the
previous state or a value computed earlier in the same step, and hands the sums to one pointwise
function of ``(batch, units)`` tensors. Nothing here knows about time, devices or packing: that is
the engine's business, which reads these declarations and runs them.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

#: Names a pointwise function may take without any stage computing them.
GENERATOR = "generator"


def previous(state: str) -> str:
    """Name of a state's value at the previous frame, as pointwise functions take it.

    Arguments
    ---------
    state : str
        Name of a state, e.g. ``"c"``.

    Returns
    -------
    str
        ``"c_prev"``, which products write as ``c'``.

    Example
    -------
    >>> previous("c")
    'c_prev'
    """
    return f"{state}_prev"


@dataclass(frozen=True)
class Term:
    """One matrix product ``weight @ source`` inside a sum.

    Arguments
    ---------
    weight : str
        Name of the weight matrix.
    source : str
        Name of the vector it multiplies: ``"x"``, ``"h_prev"``, ``"c_prev"`` or the name of a
        value which an earlier stage of the step returned.
    """

    weight: str
    source: str


def parse_products(text: str) -> tuple[Term, ...]:
    """Reads a sum of matrix products written as in the papers.

    Arguments
    ---------
    text : str
        Terms ``weight source`` joined by ``+``; ``h'`` is the previous frame's ``h``.

    Returns
    -------
    tuple of Term
        The terms, in order.

    Raises
    ------
    ValueError
        If a term is not of the form ``weight source``.

    Example
    -------
    >>> parse_products("W_xi x + W_hi h'")
    (Term(weight='W_xi', source='x'), Term(weight='W_hi', source='h_prev'))
    """
    terms = []
    for part in text.split("+"):
        words = part.split()
        if len(words) != 2:
            raise ValueError(
                f"cannot read the product {part.strip()!r} in {text!r}: write 'weight source', "
                'for example "W_xi x + W_hi h\'"'
            )
        weight, source = words
        terms.append(Term(weight, previous(source[:-1]) if source.endswith("'") else source))
    return tuple(terms)


@dataclass(frozen=True)
class Stage:
    """Matrix products, then one pointwise function.

    Arguments
    ---------
    products : Mapping
        Name of each sum -> the sum as text (see :func:`parse_products`).
    pointwise : callable or None
        A function of ``(batch, units)`` tensors. Its arguments are found by NAME among: the
        sums of this stage, values returned by earlier stages, the previous state (``c_prev``),
        the layer input (``x``), sequences from the layer below (``c_below``), noise sequences,
        weight vectors (``b_i``, ``w_ci``). An argument with a default value may be absent from the
        cell; it then keeps its default (``b_i=0.0``: no bias). ``None``: the sums are the values.
    returns : tuple of str
        Names of what the function returns, in order.
    takes : Mapping
        Argument -> the name to look up for it, where that is not the argument's own name.
    """

    products: Mapping[str, str] = field(default_factory=dict)
    pointwise: Callable[..., Any] | None = None
    returns: tuple[str, ...] = ()
    takes: Mapping[str, str] = field(default_factory=dict)

    @property
    def terms(self) -> dict[str, tuple[Term, ...]]:
        """Name of each sum -> its parsed terms."""
        return {name: parse_products(text) for name, text in self.products.items()}

    @property
    def arguments(self) -> dict[str, tuple[str, bool]]:
        """Argument of the pointwise function -> the name to look up, and whether it must exist."""
        if self.pointwise is None:
            return {}
        parameters = inspect.signature(self.pointwise).parameters.values()
        required = inspect.Parameter.empty
        return {p.name: (self.takes.get(p.name, p.name), p.default is required) for p in parameters}

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the values this stage adds to the step."""
        return self.returns if self.pointwise is not None else tuple(self.products)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recurrence with its sizes and options fixed: the base class of all declarations.

    A subclass states its weights (:meth:`weights`) and its step (:meth:`stages`). Its other
    dataclass fields are its options.

    Arguments
    ---------
    input_size : int
        m, width of the layer input.
    hidden_size : int
        K, width of the memory cell.
    proj_size : int or None
        N, width of the output; ``None`` or 0 for no projection (N = K).
    bias : bool
        Whether the equation's biases exist.
    layer_index : int
        0 for the lowest layer of a stack, which some recurrences treat apart.
    init_range : float or None
        Half-width of the uniform distribution the weights start from; ``None`` for the paper's.

    Raises
    ------
    ValueError
        If a size is not positive, or an option has an unknown value.
    """

    input_size: int
    hidden_size: int
    proj_size: int | None = None
    bias: bool = True
    layer_index: int = 0
    init_range: float | None = None

    #: Key of the registry, title of the paper, and one line on what it is.
    key: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    #: Whether the equation has an output projection.
    has_projection: ClassVar[bool] = False
    #: Options that are worth a line of their own in tables: each is a dict of keyword arguments.
    variants: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{self.label}: {name} must be a positive integer, not {value!r}")
        if self.proj_size is not None and (
            not isinstance(self.proj_size, int)
            or isinstance(self.proj_size, bool)
            or self.proj_size < 0
        ):
            raise ValueError(
                f"{self.label}: proj_size must be a positive integer, or None or 0 for no "
                f"projection, not {self.proj_size!r}"
            )
        if self.proj_size and not self.has_projection:
            raise ValueError(
                f"{self.label}: this recurrence has no output projection, so proj_size must be "
                f"None or 0, not {self.proj_size!r}"
            )
        if self.init_range is not None and not self.init_range >= 0:
            raise ValueError(
                f"{self.label}: init_range must be None or at least 0, not {self.init_range!r}"
            )

    # ---- what a subclass states -------------------------------------------------------------

    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name of every weight -> its shape, in the order of the equations."""
        raise NotImplementedError(f"{type(self).__name__} does not declare its weights()")

    def stages(self, training: bool = False) -> tuple[Stage, ...]:
        """The step, stage by stage. It must come to a value for every state.

        Arguments
        ---------
        training : bool
            Whether the recurrence runs in training mode (only stochastic gates care).

        Returns
        -------
        tuple of Stage
        """
        raise NotImplementedError(f"{type(self).__name__} does not declare its stages()")

    def states(self) -> dict[str, int]:
        """Name of every state -> its width; the first one is ``h``, the output."""
        return {"h": self.output_size, "c": self.hidden_size}

    def below(self) -> dict[str, int]:
        """Sequences read from the layer underneath at the same frame -> their widths."""
        return {}

    def noise(self, training: bool) -> dict[str, Callable[..., torch.Tensor]]:
        """Noise sequences that do not depend on the state: name -> how to draw them.

        Each function takes ``(shape, generator=, dtype=, device=)`` and is called once for the
        whole sequence.
        """
        return {}

    def samples(self, training: bool) -> bool:
        """Whether a pointwise function draws samples inside the step (takes ``generator``)."""
        return any(GENERATOR in stage.arguments for stage in self.stages(training))

    def auxiliary(self) -> tuple[str, ...]:
        """Values of the step whose whole sequence :meth:`auxiliary_loss` needs in training."""
        return ()

    def auxiliary_loss(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """A loss term per frame and unit, summed over valid frames by the layer; or ``None``."""
        return None

    def default_range(self) -> float:
        """Half-width of the uniform distribution the paper starts its weights from."""
        return 1.0 / math.sqrt(self.hidden_size)

    def initialise(self, name: str, weight: torch.Tensor, bound: float) -> None:
        """Fills one named weight with its initial value, in place.

        Arguments
        ---------
        name : str
            The weight's name.
        weight : torch.Tensor
            Filled in place.
        bound : float
            Half-width of the uniform distribution.
        """
        weight.uniform_(-bound, bound)

    # ---- what follows from it ---------------------------------------------------------------

    @property
    def label(self) -> str:
        """Name of the recurrence, for messages."""
        return type(self).__name__

    @property
    def output_size(self) -> int:
        """N, the width of the output ``h``."""
        return self.proj_size or self.hidden_size

    @property
    def is_first_layer(self) -> bool:
        """Whether this is the lowest layer of its stack."""
        return self.layer_index == 0

    def num_parameters(self) -> int:
        """Number of weights of one layer in one direction."""
        return sum(math.prod(shape) for shape in self.weights().values())

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The recurrence's own options -> their defaults.

        Example
        -------
        >>> from gatedrnn.cells import RAN
        >>> RAN.options()
        {'output': 'tanh'}
        """
        common = {f.name for f in dataclasses.fields(Cell)}
        return {f.name: f.default for f in dataclasses.fields(cls) if f.name not in common}

    def _check_choice(self, name: str, choices: tuple[Any, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            listed = ", ".join(repr(choice) for choice in choices)
            raise ValueError(f"{self.label}: {name} must be one of {listed}, not {value!r}")

    def _with_bias(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Drops the biases ``b_*`` when the cell was declared with ``bias=False``."""
        if self.bias:
            return shapes
        return {name: shape for name, shape in shapes.items() if not name.startswith("b_")}
