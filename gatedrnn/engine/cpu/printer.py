"""Prints a traced step as C++: the cell's tables, and one function for each segment."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from gatedrnn.cells.declaration import previous
from gatedrnn.engine.cpu.tables import Layout
from gatedrnn.engine.ir import CONDITIONS, Instruction, Operand, Program
from gatedrnn.engine.segments import (
    BELOW,
    EARLIER,
    GAMMA_GRAD,
    GRADIENT,
    INPUT,
    NOISE,
    PREVIOUS,
    SAVED,
    TOTAL,
    VECTOR,
    grad,
)

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|"}
_INFIX |= {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
#: Sequences and buffers are read and written at these places of a row.
_AT = "at"


@lru_cache
def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def source(layout: Layout, real: str) -> str:
    """The whole C++ source of one direction of travel of one cell.

    Arguments
    ---------
    layout : Layout
        The numbered step.
    real : str
        ``"float"`` or ``"double"``.

    Returns
    -------
    str
    """
    count = len(layout.step.segments)
    arguments = "Job&, Local&, long, long, long, int"
    direction = "backward" if layout.backward else "forward"
    declarations = [f"static void segment{i}({arguments});" for i in range(count)]
    names = ", ".join(f"segment{i}" for i in range(count))
    return "\n".join(
        [
            f"typedef {real} R;",
            _part("runtime.h"),
            *([_part("draws.h")] if layout.step.draws or layout.samples else []),
            _part("product.h"),
            layout.tables(),
            "struct Job; struct Local;",
            *declarations,
            f"typedef void (*RowFunction)({arguments});",
            f"static const RowFunction SEGMENTS[] = {{{names}}};",
            _part("driver.h"),
            *(_Segment(layout, i).text() for i in range(count)),
            _part(f"{direction}.h"),
            f"#define THREAD {direction}_thread",
            _part("entry.h"),
        ]
    )


def kernels(real: str) -> str:
    """The C++ source of the matrix products that all cells of a type share."""
    return "\n".join([f"typedef {real} R;", _part("runtime.h"), _part("kernels.h")])


def expression(instruction: Instruction, names: dict[str, str], draw: int = 0) -> str:
    """One instruction as a C++ expression on vectors."""
    op, args = instruction.op, instruction.args
    if op in _INFIX:
        return f" {_INFIX[op]} ".join(_number(a, names) for a in args)
    if op == "neg":
        return f"-{names[args[0]]}"
    if op == "not":
        return f"~{names[args[0]]}"
    whole = [vector(a, names) for a in args]
    if op == "where":
        return f"{whole[0]} ? {whole[1]} : {whole[2]}"
    if op == "gamma":
        return f"gamma_({whole[0]}, j.seed, t, b, u0 + u, {draw}, k)"
    return f"{op}_({', '.join(whole)})"


def _literal(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "(R)INFINITY", "-inf": "(-(R)INFINITY)"}.get(str(value), "(R)NAN")
    return f"(R){float(value)!r}" if value >= 0 else f"((R){float(value)!r})"


def _number(operand: Operand, names: dict[str, str]) -> str:
    return names[operand] if isinstance(operand, str) else _literal(operand)


def vector(operand: Operand, names: dict[str, str]) -> str:
    """An operand as a C++ vector."""
    return names[operand] if isinstance(operand, str) else f"all({_literal(operand)})"


class _Segment:
    """Prints the function that runs a segment for one row (one sequence at one frame)."""

    def __init__(self, layout: Layout, index: int) -> None:
        self.layout, self.index = layout, index
        self.step, self.segment = layout.step, layout.step.segments[index]
        self.program: Program = layout.program(index)
        self.setup: list[str] = []
        self.invalid: list[str] = []
        self.body: list[str] = []
        self.after: list[str] = []
        self.count = 0

    def text(self) -> str:
        names: dict[str, str] = {}
        for one in self.program.inputs:
            names[one.name] = f"x{len(names)}"
            self.body.append(f"V {names[one.name]} = {self._load(one.name, one.kind)};")
        # Numbered through the step: two draws of one number would be one draw.
        before = (s.forward.body for s in self.step.segments[: self.index])
        draws = sum(one.op == "gamma" for body in before for one in body)
        for number, one in enumerate(self.program.body):
            kind = "auto" if one.op in CONDITIONS else "V"
            self.body.append(f"{kind} y{number} = {expression(one, names, draws)};")
            draws += one.op == "gamma"
            names[one.result] = f"y{number}"
        if self.layout.backward:
            self._gradients(names)
        else:
            self._values(names)
        i = self.index
        lines = [
            f"static void segment{i}(Job& j, Local& l, long t, long b, long row, int parity) {{",
            f"  const long u0 = l.u0[{i}], un = l.un[{i}], ow = l.ow[{i}], w = j.width({i});",
            f"  const long {_AT} = (t * j.B + b) * w + u0, own = b * ow;",
            "  (void)row; (void)parity; (void)own; (void)at;",
            *(f"  {line}" for line in self.setup),
            "  if (!j.valid(t, b)) {",
            "    for (long u = 0; u < un; u++) {",
            *(f"      {line}" for line in self.invalid),
            "    }",
            "    return;",
            "  }",
            "  auto body = [&](long u, auto k) __attribute__((always_inline)) {",
            *(f"    {line}" for line in self.body),
            *(f"    {line}" for line in self.after),
            "  };",
            "  long u = 0;",
            "  for (; u + VL <= un; u += VL) body(u, Full());",
            "  if (u < un) body(u, Part{un - u});",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _pointer(self, where: str, constant: bool = True) -> str:
        name = f"p{self.count}"
        self.count += 1
        self.setup.append(f"{'const R*' if constant else 'R*'} {name} = {where};")
        return name

    def _read(self, where: str) -> str:
        return f"ld({self._pointer(where)} + u, k)"

    def _sequence(self, group: str, name: str) -> str:
        return f"j.in({self.layout.place(group, name)}) + {_AT}"

    def _optional(self, group: str, name: str) -> str:
        place = self.layout.place(group, name)
        return f"j.p[{place}] ? j.in({place}) + {_AT} : j.zeros"

    def _load(self, name: str, kind: str) -> str:
        layout = self.layout
        if kind == TOTAL:
            g = self.segment.totals.index(name)
            return self._read(f"l.z + row * l.ldz + l.zoff[{self.index}] + {g} * ow")
        if kind == PREVIOUS:
            k = [previous(s) for s in layout.states].index(name)
            if layout.backward:
                return self._read(f"j.previous({k}, t, b) + u0")
            return self._read(f"l.state[{k}][parity ^ 1] + own")
        if kind == INPUT:
            return self._read(self._sequence("X", "x"))
        if kind in (BELOW, NOISE):
            return self._read(self._sequence("BELOW" if kind == BELOW else "NOISE", name))
        if kind == VECTOR:
            return self._read(f"j.in({layout.place('VECTOR', name)}) + u0")
        if kind == EARLIER:
            return self._read(f"l.value[{layout.values.index(name)}] + own")
        if kind == SAVED:
            return self._read(f"j.in({layout.sequence(name)}) + {_AT}")
        if kind == GAMMA_GRAD:
            draw = next(d for d in self.step.draws if d.gradient == name)
            both = (
                self._read(f"j.in({layout.sequence(n)}) + {_AT}") for n in (draw.shape, draw.draw)
            )
            return f"gamma_grad_({', '.join(both)})"
        if kind == GRADIENT:
            return self._incoming(name.removeprefix("grad:"))
        raise AssertionError(kind)

    def _incoming(self, value: str) -> str:
        """The gradient of a value: the sum of what came back from its uses."""
        parts = []
        if value == "h":
            parts.append(self._read(self._optional("D_H", "h")))
        if value in self.step.keep:
            parts.append(self._read(self._optional("D_KEEP", value)))
        return " + ".join(parts + [self._read(w) for w in self._inside(value)]) or "(V){}"

    def _inside(self, value: str) -> list[str]:
        layout = self.layout
        places = []
        number = layout.values.index(value)
        if value in layout.states:
            places.append(f"l.carry[{layout.states.index(value)}][parity ^ 1] + own")
        if value in {self._source_value(p.source) for _, p in layout.products}:
            places.append(f"l.product[{number}] + own")
        if value in layout.passed:
            places.append(f"l.pass[{number}] + own")
        return places

    def _source_value(self, source: str) -> str:
        for state in self.layout.states:
            if source == previous(state):
                return state
        return source

    def _write(self, where: str, value: str, invalid: str | None = "0", add: bool = False) -> None:
        pointer = self._pointer(where, constant=False)
        if add:
            self.after.append(f"st({pointer} + u, ld({pointer} + u, k) + ({value}), k);")
        else:
            self.after.append(f"st({pointer} + u, {value}, k);")
        if invalid is not None:
            self.invalid.append(f"{pointer}[u] {'+=' if add else '='} {invalid};")

    def _values(self, names: dict[str, str]) -> None:
        layout = self.layout
        for name, operand in self.program.outputs.items():
            value = vector(operand, names)
            if layout.sequence(name) >= 0:
                self._write(f"j.out({layout.sequence(name)}) + {_AT}", value)
            if name in layout.states:
                k = layout.states.index(name)
                old = self._pointer(f"l.state[{k}][parity ^ 1] + own")
                self._write(f"l.state[{k}][parity] + own", value, f"{old}[u]")
            if name in layout.passed:
                self._write(f"l.value[{layout.values.index(name)}] + own", value)

    def _gradients(self, names: dict[str, str]) -> None:
        layout = self.layout
        outputs = dict(self.program.outputs)
        for total in self.segment.totals:
            value = vector(outputs.pop(grad(total), 0.0), names)
            number = layout.totals.index(total)
            self._write(f"j.dz + row * j.lddz + j.dzoff[{number}] + u0", value)
        for number, state in enumerate(layout.states):
            self._carry(number, state, outputs.pop(grad(previous(state)), None), names)
        for name, operand in outputs.items():
            value = vector(operand, names)
            if name.startswith("value:"):
                inner = layout.inner.index(name.removeprefix("value:"))
                self._write(f"j.again[{inner}] + row * w + u0", value)
                continue
            name = name.removeprefix("grad:")
            if name in layout.vectors:
                self._write(f"l.vec[{layout.vectors.index(name)}]", value, None, add=True)
                continue
            add = self._written(grad(name))
            if name == "x":
                where = f"j.out({layout.place('D_X', 'x')}) + {_AT}"
            elif name in layout.below:
                where = f"j.out({layout.place('D_BELOW', name)}) + {_AT}"
            else:
                where = f"l.pass[{layout.values.index(name)}] + own"
            self._write(where, value, None if add else "0", add)

    def _written(self, output: str) -> bool:
        """Whether a later segment, which the backward runs first, already wrote this gradient."""
        return any(output in s.backward.outputs for s in self.step.segments[self.index + 1 :])

    def _carry(self, number: int, state: str, operand: Operand | None, names) -> None:
        """The gradient a state hands to the frame before: on padding it passes through."""
        home = self.step.home[state]
        if operand is None and home != self.index:
            return
        later = self.step.segments[self.index + 1 :]
        add = any(grad(previous(state)) in s.backward.outputs for s in later) or home > self.index
        through = "0"
        if home == self.index:
            through = " + ".join(f"{self._pointer(w)}[u]" for w in self._inside(state))
        where = f"l.carry[{number}][parity] + own"
        if operand is None and add:
            pointer = self._pointer(where, constant=False)
            self.invalid.append(f"{pointer}[u] += {through};")
            return
        value = vector(0.0 if operand is None else operand, names)
        self._write(where, value, None if add and through == "0" else through, add)
