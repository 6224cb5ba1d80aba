"""How a declared cell is laid out for running: packed weights, hoisted products, checks.

The declaration speaks of many small named weights; a runner wants few large ones. A plan stacks
all matrices that multiply the same vector into one, all biases into one vector, all diagonal
weights into another, and says where each named weight lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch

from gatedrnn.cells.declaration import GENERATOR, Cell, Stage, Term, previous

#: Packed parameter of the matrices that multiply the layer input and the previous output. The
#: names are torch.nn.LSTM's, by which initialisers and optimisers know recurrent networks.
INPUT, RECURRENT = "weight_ih", "weight_hh"
BIAS, DIAGONAL = "bias", "diagonal"


class DeclarationError(ValueError):
    """A cell's declaration contradicts itself."""


@dataclass(frozen=True)
class Slot:
    """Where one named weight lies: rows ``start:stop`` of a packed parameter.

    Arguments
    ---------
    parameter : str
        Name of the packed parameter.
    start, stop : int
        Rows.
    shape : tuple of int
        Shape of the named weight.
    """

    parameter: str
    start: int
    stop: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its products resolved.

    Arguments
    ---------
    stage : Stage
        The declaration.
    terms : dict
        Name of each sum -> its terms.
    sources : tuple of str
        Vectors whose packed product is made at this stage (the input's is hoisted: not here).
    arguments : dict
        Argument of the pointwise function -> name of the value, for those that exist.
    """

    stage: Stage
    terms: dict[str, tuple[Term, ...]]
    sources: tuple[str, ...]
    arguments: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """A cell, laid out.

    Arguments
    ---------
    cell : Cell
        The declaration.
    training : bool
        Whether this is the plan of the training mode.
    slots : dict
        Name of each weight -> where it lies.
    parameters : dict
        Name of each packed parameter -> its shape.
    matrices : dict
        Source vector -> name of the packed parameter that multiplies it.
    stages : tuple of PlannedStage
        The step.
    values : tuple of str
        Names of all values of a step.
    """

    cell: Cell
    training: bool
    slots: dict[str, Slot]
    parameters: dict[str, tuple[int, ...]]
    matrices: dict[str, str]
    stages: tuple[PlannedStage, ...]
    values: tuple[str, ...]

    def view(self, params: Mapping[str, torch.Tensor], weight: str) -> torch.Tensor:
        """A named weight, as a view into its packed parameter."""
        slot = self.slots[weight]
        return params[slot.parameter][slot.start : slot.stop]

    def views(self, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """All named weights, as views."""
        return {name: self.view(params, name) for name in self.slots}


def _packed_name(source: str) -> str:
    return {"x": INPUT, "h_prev": RECURRENT}.get(source, f"weight_{source}")


@lru_cache(maxsize=1024)
def plan(cell: Cell, training: bool = False) -> Plan:
    """Lays a cell out, after checking that its declaration is whole.

    Arguments
    ---------
    cell : Cell
        The declaration, sizes and options included.
    training : bool
        Mode; the layout of the weights is the same in both.

    Returns
    -------
    Plan

    Raises
    ------
    DeclarationError
        If a product names an undeclared weight or a value that does not exist yet, a weight is
        used twice or never, an argument is unknown, or a state gets no value.

    Example
    -------
    >>> from gatedrnn.cells import LSTMP
    >>> plan(LSTMP(input_size=3, hidden_size=4)).parameters["weight_ih"]
    (16, 3)
    """
    where = f"{type(cell).__module__}.{type(cell).__qualname__}"
    shapes = cell.weights()
    states = cell.states()
    if next(iter(states), None) != "h" or states["h"] != cell.output_size:
        raise DeclarationError(
            f"{where}: states() must begin with 'h', of output_size={cell.output_size}"
        )
    widths = {"x": cell.input_size} | {previous(s): n for s, n in states.items()}
    outside = {*widths, *cell.below(), *cell.noise(training), GENERATOR}
    vectors = {name for name, shape in shapes.items() if len(shape) == 1}

    source_of: dict[str, str] = {}
    made: dict[str, None] = {}
    done: set[str] = {"x"}
    stages = []
    for number, stage in enumerate(cell.stages(training), 1):
        place = f"{where}: stage {number}"
        terms = stage.terms
        for total, sum_terms in terms.items():
            for term in sum_terms:
                if len(shapes.get(term.weight, ())) != 2:
                    raise DeclarationError(
                        f"{place}: {total} uses {term.weight!r}, which weights() does not declare "
                        "as a matrix"
                    )
                if term.weight in source_of:
                    raise DeclarationError(f"{place}: {term.weight!r} is used twice")
                if term.source not in widths and term.source not in made:
                    raise DeclarationError(
                        f"{place}: {total} multiplies {term.source!r}, which is neither the input, "
                        "a previous state nor a value of an earlier stage"
                    )
                source_of[term.weight] = term.source
        needed = dict.fromkeys(t.source for ts in terms.values() for t in ts)
        sources = tuple(s for s in needed if s not in done)
        done.update(sources)
        arguments = {}
        for argument, (name, required) in stage.arguments.items():
            if name in terms or name in made or name in outside or name in vectors:
                arguments[argument] = name
            elif required:
                raise DeclarationError(
                    f"{place}: nothing is called {name!r}, which {stage.pointwise} takes; there "
                    f"are {', '.join(sorted({*terms, *made, *outside, *vectors}))}"
                )
        stages.append(PlannedStage(stage, terms, sources, arguments))
        made.update(dict.fromkeys([*terms, *stage.values]))

    missing = [s for s in states if s not in made]
    if missing:
        raise DeclarationError(f"{where}: no stage returns the state(s) {', '.join(missing)}")
    used = {n for s in stages for n in s.arguments.values()} | set(source_of)
    unused = [name for name in shapes if name not in used]
    if unused:
        raise DeclarationError(f"{where}: no stage uses the weight(s) {', '.join(unused)}")
    slots, parameters, matrices = _pack(shapes, source_of)
    return Plan(cell, training, slots, parameters, matrices, tuple(stages), tuple(made))


def _pack(shapes: Mapping[str, tuple[int, ...]], source_of: Mapping[str, str]):
    """Stacks the weights by the vector they multiply; see :class:`Plan` for what it returns."""
    slots: dict[str, Slot] = {}
    parameters: dict[str, tuple[int, ...]] = {}
    matrices: dict[str, str] = {}
    for name, shape in shapes.items():
        if len(shape) == 2:
            parameter = matrices.setdefault(source_of[name], _packed_name(source_of[name]))
        else:
            parameter = BIAS if name.startswith("b_") else DIAGONAL
        start = parameters.get(parameter, (0,))[0]
        slots[name] = Slot(parameter, start, start + shape[0], shape)
        parameters[parameter] = (start + shape[0], *shape[1:])
    return slots, parameters, matrices
