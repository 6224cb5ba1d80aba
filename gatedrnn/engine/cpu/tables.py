"""Numbers the names of a traced step, for the C++ driver's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from gatedrnn.cells.declaration import previous
from gatedrnn.engine.ir import Program
from gatedrnn.engine.segments import EARLIER, UnsupportedOperation, grad
from gatedrnn.engine.trace import Step


@dataclass
class Layout:
    """A step by numbers: the order in which pointers are handed to the printed code.

    Arguments
    ---------
    step : Step
        The traced cell.
    backward : bool
        Which direction of travel.
    """

    step: Step
    backward: bool
    pointers: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        step, cell = self.step, self.step.plan.cell
        self.matrices = tuple(n for n, s in cell.weights().items() if len(s) == 2)
        self.vectors = tuple(n for n, s in cell.weights().items() if len(s) == 1)
        self.states = tuple(cell.states())
        inputs = {i.name: i.kind for seg in step.segments for i in seg.forward.inputs}
        self.below = tuple(cell.below())
        self.noise = tuple(cell.noise(step.plan.training))
        self.samples = any("gamma" in s.forward.operations() for s in step.segments)
        self.earlier = tuple(n for n, kind in inputs.items() if kind == EARLIER)
        self.products = [(i, p) for i, seg in enumerate(step.segments) for p in seg.products]
        sources = dict.fromkeys(p.source for _, p in self.products)
        self.inner = tuple(s for s in sources if s in step.home)
        self.sources = ("x", *(previous(s) for s in self.states), *self.inner)
        self.totals = tuple(t for seg in step.segments for t in seg.totals)
        outside = dict.fromkeys((*self.states, *step.keep, *self.earlier, *self.inner))
        self.values = tuple(outside)
        self.by_weight = {p.weight: p for _, p in self.products}
        pairs = [(p.total, p.source) for _, p in self.products]
        if len(set(pairs)) != len(pairs):
            raise UnsupportedOperation(
                f"{cell.label}: a sum multiplies the same vector by two matrices. The fused "
                "runners cannot run this cell; runner='reference' can"
            )
        groups: dict[str, tuple[str, ...]] = {
            "X": ("x",),
            "LENGTHS": ("lengths",),
            "MATRIX": self.matrices,
            "VECTOR": self.vectors,
            "INIT": self.states,
            "BELOW": self.below,
            "NOISE": self.noise,
            "H": ("h",),
            "SEQ": step.sequences,
        }
        if self.backward:
            groups |= {
                "D_H": ("h",),
                "D_KEEP": step.keep,
                "D_FINAL": self.states,
                "D_X": ("x",),
                "D_MATRIX": self.matrices,
                "D_VECTOR": self.vectors,
                "D_INIT": self.states,
                "D_BELOW": self.below,
            }
        else:
            groups |= {"FINAL": self.states}
        self.pointers = groups | {"WORKSPACE": ("workspace",), "KERNELS": ("kernels",)}

    @cached_property
    def places(self) -> dict[str, int]:
        """Group of pointers -> index of its first."""
        found, count = {}, 0
        for group, names in self.pointers.items():
            found[group] = count
            count += len(names)
        return found

    def place(self, group: str, name: str) -> int:
        """Index of one pointer."""
        return self.places[group] + self.pointers[group].index(name)

    def sequence(self, name: str) -> int:
        """Index of the pointer to a stored sequence, ``h`` included; -1 if it is not stored."""
        if name == "h":
            return self.places["H"]
        return self.place("SEQ", name) if name in self.step.sequences else -1

    def program(self, index: int) -> Program:
        """The program of a segment in this direction."""
        segment = self.step.segments[index]
        return segment.backward if self.backward else segment.forward

    @cached_property
    def passed(self) -> set[str]:
        """Values of which a buffer of the current frame is kept for a later segment."""
        if not self.backward:
            return {*self.earlier, *self.inner}
        made = {n for seg in self.step.segments for n in seg.backward.outputs}
        return {n for n in self.earlier if grad(n) in made}

    def tables(self) -> str:
        """The C++ tables that the driver reads."""
        step, home = self.step, self.step.home
        segment_of = {t: i for i, seg in enumerate(step.segments) for t in seg.totals}
        first = [0]
        for seg in step.segments:
            first.append(first[-1] + len(seg.totals))
        source_id = {s: i for i, s in enumerate(self.sources)}
        used = {p.source for _, p in self.products}
        exchanged = {p.total for _, p in self.products if p.source != "x"}
        has_x = {p.total: p.weight for _, p in self.products if p.source == "x"}
        of_source = {previous(s): s for s in self.states} | {s: s for s in self.inner}
        product_of = {of_source[s] for s in used if s in of_source}
        runs, gathers = self._runs(segment_of), self._gathers()
        widest = max([1, *(len(r[-1]) for r in (*runs, *gathers))])
        x_outputs = any(grad("x") in seg.backward.outputs for seg in step.segments)

        def table(name: str, values) -> str:
            listed = ", ".join(str(int(v)) for v in values)
            return f"static const int {name}[] = {{{listed}{', ' if listed else ''}0}};"

        counts = {
            "S": len(step.segments),
            "NT": len(self.totals),
            "NST": len(self.states),
            "NIN": len(self.inner),
            "NVALUES": len(self.values),
            "NVEC": len(self.vectors),
            "NM": len(self.matrices),
            "NRUNS": len(runs),
            "NGATHERS": len(gathers),
            "RECURRENT": int(bool(exchanged)),
            "ANY_X": int(bool(has_x)),
            "X_POINTWISE": int(x_outputs),
        }
        counts |= {f"P_{group}": at for group, at in self.places.items()}
        names = ("T", "B", "M", "CHUNK", "REVERSE", "SEED", "THREADS", "WANT_X", "BACKWARD")
        counts |= {f"N_{name}": i for i, name in enumerate((*names, "WIDTH"))}
        lines = [f"enum {{ {', '.join(f'{k} = {v}' for k, v in counts.items())} }};"]
        lines += [
            table("FIRST", first),
            table("TOTAL_SEGMENT", (segment_of[t] for t in self.totals)),
            table("TOTAL_EXCHANGED", (t in exchanged for t in self.totals)),
            table("TOTAL_HAS_X", (t in has_x for t in self.totals)),
            table(
                "TOTAL_X_MATRIX",
                (self.matrices.index(has_x[t]) if t in has_x else 0 for t in self.totals),
            ),
            table("SOURCE_SEGMENT", [0, *(home[of_source[s]] for s in self.sources[1:])]),
            table("SOURCE_USED", (s in used for s in self.sources)),
            table("STATE_SEGMENT", (home[s] for s in self.states)),
            table("STATE_VALUE", (self.values.index(s) for s in self.states)),
            table("P_STATE_SEQUENCE", (self.sequence(s) for s in self.states)),
            table("INNER_VALUE", (self.values.index(s) for s in self.inner)),
            table("INNER_AGAIN", (s in step.recomputed for s in self.inner)),
            table("P_INNER_SEQUENCE", (self.sequence(s) for s in self.inner)),
            table("VALUE_SEGMENT", (home[v] for v in self.values)),
            table("VALUE_PASSED", (v in self.passed for v in self.values)),
            table("VALUE_PRODUCT", (v in product_of for v in self.values)),
            table("VECTOR_SEGMENT", (self._vector_segment(v) for v in self.vectors)),
            table("MATRIX_SOURCE", (source_id[self.by_weight[w].source] for w in self.matrices)),
            table(
                "MATRIX_TOTAL", (self.totals.index(self.by_weight[w].total) for w in self.matrices)
            ),
            f"struct Run {{ int segment, source, t0, count, add, matrix[{widest}]; }};",
            self._structs("Run", "RUNS", runs),
            f"struct Gather {{ int value, source, t0, count, matrix[{widest}]; }};",
            self._structs("Gather", "GATHERS", gathers),
        ]
        return "\n".join(lines) + "\n"

    def _structs(self, kind: str, name: str, rows) -> str:
        texts = []
        for *numbers, matrices in rows:
            head = ", ".join(str(int(n)) for n in numbers)
            texts.append(f"{{{head}, {{{', '.join(map(str, matrices))}}}}}")
        return f"static const {kind} {name}[] = {{{', '.join([*texts, '{}'])}}};"

    def _runs(self, segment_of) -> list[tuple]:
        """Neighbouring sums that multiply the same vector: one product."""
        runs: list[list] = []
        begun: set[str] = set()
        for source in self.sources:
            for number, total in enumerate(self.totals):
                found = [p for _, p in self.products if p.total == total and p.source == source]
                if not found:
                    continue
                matrix = self.matrices.index(found[0].weight)
                key = [segment_of[total], self.sources.index(source)]
                last = runs[-1] if runs else None
                add = total in begun
                begun.add(total)
                if last and last[:2] == key and last[2] + last[3] == number and last[4] == add:
                    last[3] += 1
                    last[5].append(matrix)
                else:
                    runs.append([*key, number, 1, add, [matrix]])
        return [tuple(r) for r in runs]

    def _gathers(self) -> list[tuple]:
        """Neighbouring sums whose gradients go back to the same value: one product."""
        gathers: list[list] = []
        exchanged = [
            t
            for t in self.totals
            if any(p.total == t and p.source != "x" for _, p in self.products)
        ]
        for number, source in enumerate(self.sources[1:], 1):
            name = self.states[number - 1] if number <= len(self.states) else source
            for place, total in enumerate(exchanged):
                found = [p for _, p in self.products if p.total == total and p.source == source]
                if not found:
                    continue
                matrix, t = self.matrices.index(found[0].weight), self.totals.index(total)
                last = gathers[-1] if gathers else None
                if last and last[1] == number and last[-1] == place - 1 and last[2] + last[3] == t:
                    last[3] += 1
                    last[4].append(matrix)
                    last[-1] = place
                else:
                    gathers.append([self.values.index(name), number, t, 1, [matrix], place])
        return [tuple(g[:-1]) for g in gathers]

    def _vector_segment(self, vector: str) -> int:
        for index, segment in enumerate(self.step.segments):
            if vector in segment.forward.kinds():
                return index
        width = self.step.widths[vector]
        return next(i for i, seg in enumerate(self.step.segments) if seg.width == width)
