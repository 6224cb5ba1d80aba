"""Cuts a step into segments and traces the pointwise functions of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import _disable_current_modes

from gatedrnn.cells.declaration import GENERATOR, Term, previous
from gatedrnn.engine import aten
from gatedrnn.engine.ir import Builder, Operand
from gatedrnn.engine.plan import Plan, PlannedStage

TOTAL, PREVIOUS, INPUT, BELOW, NOISE = "total", "previous", "input", "below", "noise"
VECTOR, EARLIER, SAVED, GRADIENT, GAMMA_GRAD = (
    "vector",
    "earlier",
    "saved",
    "gradient",
    "gamma_grad",
)
#: Batch and units while tracing: two numbers that no pointwise function has in it.
_ROWS, _UNITS = 11, 13


class UnsupportedOperation(NotImplementedError):
    """A pointwise function does something the fused runners cannot print."""


def grad(name: str) -> str:
    """Name of a value's gradient in a program."""
    return f"grad:{name}"


@dataclass
class Draft:
    """A segment while it is being put together.

    Arguments
    ---------
    width : int
        Units of every value in it.
    stages : list of PlannedStage
        Its stages.
    totals : dict
        Name of each sum it makes -> terms.
    inputs : dict
        Name of each input, sums first -> kind.
    values : list of str
        Names of all values it makes, sums included.
    """

    width: int
    stages: list[PlannedStage] = field(default_factory=list)
    totals: dict[str, tuple[Term, ...]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)


def _error(plan: Plan, what: str) -> UnsupportedOperation:
    cell = f"{type(plan.cell).__module__}.{type(plan.cell).__qualname__}"
    return UnsupportedOperation(
        f"{cell}: {what}. The fused runners cannot run this cell; runner='reference' (or "
        "GATEDRNN_RUNNER=reference) can"
    )


def split(plan: Plan) -> list[Draft]:
    """Merges a plan's stages into segments.

    A new segment begins only where a product multiplies a value made in the segment before, or
    where the number of units changes.

    Arguments
    ---------
    plan : Plan
        The laid-out cell.

    Returns
    -------
    list of Draft

    Raises
    ------
    UnsupportedOperation
        If a pointwise function mixes values of different widths, or a name is made twice.
    """
    cell = plan.cell
    shapes = cell.weights()
    widths = {"x": cell.input_size, **cell.below()}
    widths |= {previous(s): n for s, n in cell.states().items()}
    widths |= dict.fromkeys(cell.noise(plan.training), cell.hidden_size)
    widths |= {n: s[0] for n, s in shapes.items() if len(s) == 1}
    kinds = {"x": INPUT, **dict.fromkeys(cell.below(), BELOW)}
    kinds |= {previous(s): PREVIOUS for s in cell.states()}
    kinds |= dict.fromkeys(cell.noise(plan.training), NOISE)
    kinds |= {n: VECTOR for n, s in shapes.items() if len(s) == 1}
    made: dict[str, int] = {}
    drafts: list[Draft] = []

    for planned in _single(plan):
        for total, terms in planned.terms.items():
            widths[total] = shapes[terms[0].weight][0]
        taken = [n for n in planned.arguments.values() if n != GENERATOR]
        sizes = {widths[n] for n in (*planned.terms, *taken)}
        if len(sizes) != 1:
            named = ", ".join(f"{n} ({widths[n]})" for n in (*planned.terms, *taken))
            raise _error(plan, f"a stage mixes values of different widths: {named or 'none'}")
        (width,) = sizes
        inner = [made[t.source] for ts in planned.terms.values() for t in ts if t.source in made]
        first = max(inner) + 1 if inner else 0
        if not drafts or drafts[-1].width != width or first > len(drafts) - 1:
            drafts.append(Draft(width))
        draft, index = drafts[-1], len(drafts) - 1
        draft.stages.append(planned)
        draft.totals |= planned.terms
        for name in taken:
            if name not in planned.terms and made.get(name, index) != index:
                draft.inputs.setdefault(name, EARLIER)
            elif name in kinds:
                draft.inputs.setdefault(name, kinds[name])
        for name in dict.fromkeys([*planned.terms, *planned.stage.values]):
            if name in made or name in kinds:
                raise _error(plan, f"the value {name!r} is made twice in one step")
            made[name], widths[name] = index, width
            draft.values.append(name)
    for draft in drafts:
        draft.inputs = dict.fromkeys(draft.totals, TOTAL) | draft.inputs
    return drafts


def _single(plan: Plan) -> Iterator[PlannedStage]:
    """The stages; one without a function, whose sums are independent, sum by sum."""
    for planned in plan.stages:
        if planned.stage.pointwise is not None:
            yield planned
            continue
        for total, terms in planned.terms.items():
            stage = type(planned.stage)({total: planned.stage.products[total]})
            yield PlannedStage(stage, {total: terms}, (), {})


#: What the dispatcher adds and leaves out on its own account, with no mode around it.
_INCLUDED = torch._C._dispatch_tls_local_include_set()
_EXCLUDED = torch._C._dispatch_tls_local_exclude_set()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The first use of a cell may fall inside any mode: torch.compile's tracing, for one."""
    with torch._C._ForceDispatchKeyGuard(_INCLUDED, _EXCLUDED), _disable_current_modes():
        with torch.autocast("cpu", enabled=False), torch.inference_mode(False), torch.enable_grad():
            yield


def joint(plan: Plan, draft: Draft) -> tuple[Builder, dict[str, Operand], dict[str, Operand]]:
    """Traces a segment's functions together with their gradient.

    Arguments
    ---------
    plan : Plan
        The cell.
    draft : Draft
        The segment.

    Returns
    -------
    builder : Builder
        All instructions.
    values : dict
        Name of each value the segment makes -> operand.
    gradients : dict
        Name of each differentiable input -> operand of its gradient, given the gradients of all
        values as inputs ``grad:NAME``.

    Raises
    ------
    UnsupportedOperation
        If a function uses an operator that has no scalar form here.
    """
    constants: dict[str, float] = {}

    def functions(given: dict[str, torch.Tensor]) -> dict[str, Any]:
        values = dict(given) | {GENERATOR: None}
        for planned in draft.stages:
            if planned.stage.pointwise is not None:
                arguments = {a: values[n] for a, n in planned.arguments.items()}
                returned = planned.stage.pointwise(**arguments)
                values |= zip(planned.stage.returns, returned, strict=True)
        made = {name: values[name] for name in draft.values}
        constants.update({n: float(v) for n, v in made.items() if not torch.is_tensor(v)})
        return {n: v.expand(_ROWS, _UNITS) for n, v in made.items() if torch.is_tensor(v)}

    free = [n for n, kind in draft.inputs.items() if kind != NOISE]
    fixed = [n for n, kind in draft.inputs.items() if kind == NOISE]

    def forward(*tensors: torch.Tensor) -> list[torch.Tensor]:
        made = functions(dict(zip((*free, *fixed), tensors, strict=True)))
        names.extend(made)
        return list(made.values())

    def both(*tensors: torch.Tensor) -> list[torch.Tensor]:
        count, total = len(free), len(free) + len(fixed)
        noise = dict(zip(fixed, tensors[count:total], strict=True))

        def differentiable(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(functions(dict(zip(free, given, strict=True)) | noise).values())

        outputs, pull = torch.func.vjp(differentiable, *tensors[:count])
        return [*outputs, *pull(tuple(tensors[total:]))]

    names: list[str] = []
    shapes = [(_UNITS,) if draft.inputs[n] == VECTOR else (_ROWS, _UNITS) for n in (*free, *fixed)]
    # The forward by itself first: there a sum over the batch is an error.
    _translate(plan, _graph(plan, forward, shapes), list(range(len(shapes))), False)
    labels = [(n, draft.inputs[n]) for n in (*free, *fixed)]
    labels += [(grad(n), GRADIENT) for n in names]
    graph = _graph(plan, both, shapes + [(_ROWS, _UNITS)] * len(names))
    builder, results = _translate(plan, graph, labels, True)
    values = constants | dict(zip(names, results[: len(names)], strict=True))
    return builder, values, dict(zip(free, results[len(names) :], strict=True))


def _graph(plan: Plan, function: Any, shapes: list[tuple[int, ...]]) -> torch.fx.Graph:
    try:
        with _undisturbed():
            examples = [torch.full(shape, 0.5, dtype=torch.float64) for shape in shapes]
            traced = make_fx(
                torch.func.functionalize(function),
                decomposition_table=dict(aten.DECOMPOSITIONS),
                tracing_mode="fake",
                _allow_non_fake_inputs=True,
            )(*examples)
    except Exception as error:
        raise _error(plan, f"tracing its pointwise functions failed: {error}") from error
    traced.graph.eliminate_dead_code()
    for node in traced.graph.nodes:
        if node.op == "get_attr":
            node.meta["constant"] = getattr(traced, node.target)
    return traced.graph


def _translate(
    plan: Plan, graph: torch.fx.Graph, labels: list, backward: bool
) -> tuple[Builder, list[Operand]]:
    builder = Builder()
    operands: dict[torch.fx.Node, Operand] = {}
    waiting = iter(labels)
    results: list[Operand] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            label = next(waiting)
            named = label if isinstance(label, tuple) else (f"in{label}", INPUT)
            operands[node] = builder.input(*named)
        elif node.op == "get_attr":
            constant = node.meta["constant"]
            if not torch.is_tensor(constant) or constant.numel() != 1:
                raise _error(plan, "a pointwise function reads a tensor that is no argument")
            operands[node] = float(constant)
        elif node.op == "output":
            found = node.args[0]
            results = [operands[n] if n is not None else 0.0 for n in found]
        else:
            operands[node] = _operator(plan, builder, node, operands, backward)
    return builder, results


def _operator(plan: Plan, builder: Builder, node: Any, operands: dict, backward: bool) -> Operand:
    target = node.target
    value = node.meta.get("val")
    shape = tuple(value.shape) if torch.is_tensor(value) else None
    pointwise = shape is not None and (
        value.numel() == 1 or (shape[-1] == _UNITS and set(shape[:-1]) <= {1, _ROWS})
    )
    sums = target in aten.SUMS
    if not pointwise or (sums and not (backward and _over_batch(node))):
        raise _error(plan, f"the operator {target} does not work unit by unit")
    if target is torch.ops.aten._to_copy.default and not value.dtype.is_floating_point:
        raise _error(plan, f"the operator {target} converts to {value.dtype}")
    args = torch.fx.node.map_arg(node.args, lambda n: operands[n])
    kwargs = {
        k: v for k, v in node.kwargs.items() if k in ("alpha", "beta", "threshold", "min", "max")
    }
    if target is torch.ops.aten.clamp.default:
        args = (*args, *(kwargs.pop(k, None) for k in ("min", "max")[len(args) - 1 :]))
    try:
        return aten.lower(builder, target, args, kwargs)
    except (KeyError, TypeError) as error:
        raise _error(plan, f"the operator {target} is not one the printers know") from error


def _over_batch(node: Any) -> bool:
    source = node.args[0].meta["val"]
    return source.dim() - 1 not in [d % source.dim() for d in node.args[1]]
