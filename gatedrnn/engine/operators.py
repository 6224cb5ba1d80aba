"""The fused runners as PyTorch operators: one for each direction of travel of one layer.

``gatedrnn::infer`` and ``gatedrnn::train`` run a layer over a sequence (``train`` also returns what
the backward needs), ``gatedrnn::backward`` is the gradient. They are opaque to autograd, autocast,
torch.compile, DDP, checkpointing and export, which see ordinary operators. A cell travels as text
from which any process can make it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine import autograd, noise, select
from gatedrnn.engine.autograd import kept
from gatedrnn.engine.naming import cell_from_text
from gatedrnn.engine.plan import plan as make_plan
from gatedrnn.engine.trace import Step, trace
from gatedrnn.engine.types import Result


@dataclass(frozen=True)
class Call:
    """What a fused runner is given. Tensors are contiguous, all of one dtype.

    Arguments
    ---------
    step : Step
        The traced cell.
    x : torch.Tensor
        (T, B, m).
    lengths : torch.Tensor or None
        int64, (B,).
    params : dict
        Packed parameters by name.
    state, below, noise : dict
        Initial states (B, width), sequences of the layer underneath and of noise (T, B, width).
    reverse : bool
        Direction in time.
    seed : int
        Of the draws inside the step.
    """

    step: Step
    x: torch.Tensor
    lengths: torch.Tensor | None
    params: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    below: dict[str, torch.Tensor]
    noise: dict[str, torch.Tensor]
    reverse: bool
    seed: int

    def weight(self, name: str) -> torch.Tensor:
        """A named weight."""
        return self.step.plan.view(self.params, name)


def _call(
    text: str,
    training: bool,
    keep: str,
    gradients: bool,
    x: torch.Tensor,
    lengths: torch.Tensor | None,
    params: Sequence[torch.Tensor],
    state: Sequence[torch.Tensor],
    below: Sequence[torch.Tensor],
    noise: Sequence[torch.Tensor],
    reverse: bool,
    seed: int,
) -> Call:
    cell = cell_from_text(text)
    step = trace(cell, training, _names(keep), gradients)
    planned = make_plan(cell, training)

    def named(names, tensors):
        # Autograd is not at work here, below it: a tensor that needs gradients is but its numbers.
        return {n: t.contiguous() for n, t in zip(names, tensors, strict=True)}

    return Call(
        step,
        x.contiguous(),
        None if lengths is None else lengths.to(torch.int64).contiguous(),
        named(planned.parameters, params),
        named(cell.states(), state),
        named(cell.below(), below),
        named(cell.noise(training), noise),
        reverse,
        seed,
    )


def _names(keep: str) -> tuple[str, ...]:
    return tuple(keep.split()) if keep else ()


_FORWARD = (
    "(str runner, str cell, bool training, str keep, Tensor x, Tensor? lengths, Tensor[] params, "
    "Tensor[] state, Tensor[] below, Tensor[] noise, bool reverse, Tensor? seed) -> Tensor[]"
)
_BACKWARD = (
    "(str runner, str cell, bool training, str keep, Tensor x, Tensor? lengths, Tensor[] params, "
    "Tensor[] state, Tensor[] below, Tensor[] noise, bool reverse, Tensor h, Tensor[] sequences, "
    "Tensor? dh, Tensor?[] dkept, Tensor?[] dstate, bool want_x) -> Tensor[]"
)
torch.library.define("gatedrnn::infer", "(" + _FORWARD[1:])
torch.library.define("gatedrnn::train", "(" + _FORWARD[1:])
torch.library.define("gatedrnn::backward", "(" + _BACKWARD[1:])
_KERNELS = "CompositeExplicitAutograd"


def _forward(gradients, runner, cell, training, keep, x, lengths, params, state, below, noise,
             reverse, seed):  # fmt: skip
    number = 0 if seed is None else int(seed)
    call = _call(cell, training, keep, gradients, x, lengths, params, state, below, noise, reverse,
                 number)  # fmt: skip
    return select.find(runner).forward(call)


@torch.library.impl("gatedrnn::infer", _KERNELS)
def _infer(*args):
    return _forward(False, *args)


@torch.library.impl("gatedrnn::train", _KERNELS)
def _train(*args):
    return _forward(True, *args)


@torch.library.impl("gatedrnn::backward", _KERNELS)
def _backward(runner, cell, training, keep, x, lengths, params, state, below, noise, reverse, h,
              sequences, dh, dkept, dstate, want_x):  # fmt: skip
    call = _call(cell, training, keep, True, x, lengths, params, state, below, noise, reverse, 0)

    types = select.find(runner).types

    def whole(tensor):
        if tensor is None:
            return None
        return (tensor.detach() if types else tensor.detach().to(x.dtype)).contiguous()

    stored = dict(zip(call.step.sequences, (s.contiguous() for s in sequences), strict=True))
    stored["h"] = h.contiguous()
    gradients = {"h": whole(dh)}
    gradients |= {n: whole(g) for n, g in zip(call.step.keep, dkept, strict=True)}
    finals = {n: whole(g) for n, g in zip(call.state, dstate, strict=True)}
    return select.find(runner).backward(call, stored, gradients, finals, want_x)


def _shapes(runner, cell, training, keep, gradients, x):
    step = trace(cell_from_text(cell), training, _names(keep), gradients)
    frames, batch = x.shape[:2]
    names, types = ["h", *step.sequences], select.find(runner).types
    dtypes = types(step, x.dtype) if types else [x.dtype] * len(names)
    found = [
        x.new_empty((frames, batch, step.widths[n]), dtype=d)
        for n, d in zip(names, dtypes, strict=True)
    ]
    return found + [x.new_empty((batch, n)) for n in step.plan.cell.states().values()]


autograd.register()


@torch.library.register_fake("gatedrnn::infer")
def _infer_fake(runner, cell, training, keep, x, *rest):
    return _shapes(runner, cell, training, keep, False, x)


@torch.library.register_fake("gatedrnn::train")
def _train_fake(runner, cell, training, keep, x, *rest):
    return _shapes(runner, cell, training, keep, True, x)


@torch.library.register_fake("gatedrnn::backward")
def _backward_fake(runner, cell, training, keep, x, lengths, params, state, below, noise, reverse,
                   h, sequences, dh, dkept, dstate, want_x):  # fmt: skip
    tensors = (x if want_x else x.new_empty(0), *params, *state, *below)
    return [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tensors]


@torch.compiler.assume_constant_result
def facts(text: str, training: bool) -> str:
    """What running a cell takes to know, as one constant for torch.compile.

    Arguments
    ---------
    text : str
        The cell, as :func:`gatedrnn.engine.naming.cell_to_text` writes it.
    training : bool
        Mode.

    Returns
    -------
    str
        Names of the packed parameters, ``|``, names of the step's values, ``|``, ``samples`` if it
        draws any.
    """
    return _facts(text, training)


@lru_cache(maxsize=1024)
def _facts(text: str, training: bool) -> str:
    cell = cell_from_text(text)
    planned = make_plan(cell, training)
    samples = "samples" if cell.samples(training) else ""
    return "|".join((" ".join(planned.parameters), " ".join(planned.values), samples))


@torch.compiler.assume_constant_result
def reads_padding(runner: str) -> bool:
    """Whether a runner must be kept from what lies in the input past a sequence's length."""
    return runner == select.REFERENCE or not select.find(runner).padding


@torch.compiler.assume_constant_result
def _working(runner: str) -> bool:
    """Whether a runner computes in half precisions itself."""
    return bool(select.find(runner).types)


@torch.compiler.assume_constant_result
def choose(text: str, device: str, dtype: torch.dtype, training: bool, runner: str | None) -> str:
    """:func:`gatedrnn.engine.select.choose`; a constant to torch.compile."""
    return select.choose(cell_from_text(text), torch.device(device), dtype, training, runner)


def run(
    runner: str,
    text: str,
    cell: Cell,
    params: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    state: Mapping[str, torch.Tensor],
    *,
    below: Mapping[str, torch.Tensor],
    lengths: torch.Tensor | None,
    reverse: bool,
    keep: Sequence[str],
    generator: noise.Source,
    training: bool,
    recompute: bool,
) -> Result:
    """Runs a cell through a fused runner's operators.

    Unless the runner computes in them, half precisions are widened to float32 here and narrowed
    again on the way out: between the two everything, products included, is float32.

    Arguments
    ---------
    runner : str
        Name of a registered runner.
    text : str
        The cell, as :func:`gatedrnn.engine.naming.cell_to_text` writes it.
    cell : Cell
        The cell itself.
    params : Mapping
        Packed parameters.
    x : torch.Tensor
        (T, B, m).
    state : Mapping
        Initial states.
    below : Mapping
        Sequences of the layer underneath.
    lengths : torch.Tensor or None
        Valid frames of each sequence.
    reverse : bool
        Direction in time.
    keep : sequence of str
        Values to return.
    generator : torch.Generator or torch.Tensor or None
        Source of noise; a tensor is a seed.
    training : bool
        Mode.
    recompute : bool
        Run the forward again in the backward instead of storing what it needs.

    Returns
    -------
    Result
    """
    parameters, _, samples = facts(text, training).split("|")
    narrow = x.dtype
    wide = torch.promote_types(narrow, torch.float32)
    noises = noise.draw(text, cell, training, x, generator)
    seed = None
    if samples and isinstance(generator, torch.Tensor):
        seed = generator
    elif samples:
        seed = torch.randint(2**62, (), generator=generator, dtype=torch.int64, device=x.device)
    working = narrow if _working(runner) else wide
    weights = [params[n].to(working) for n in parameters.split()]
    states = [state[n].to(working) for n in cell.states()]
    unders = [below[n].to(working) for n in cell.below()]
    names = " ".join(keep)
    wants = torch.is_grad_enabled() and any(
        t.requires_grad for t in (x, *weights, *states, *unders)
    )
    stores = wants and not recompute
    operator = torch.ops.gatedrnn.train.default if stores else torch.ops.gatedrnn.infer.default
    found = operator(
        runner, text, training, names, x.to(working), lengths, weights, states, unders,
        noises, reverse, seed,
    )  # fmt: skip
    output = found[0].to(narrow)
    values = dict(zip(kept(names), found[1:], strict=False)) | {"h": output}
    finals = found[len(found) - len(states) :]
    return Result(
        output=output,
        state={n: f.to(narrow) for n, f in zip(cell.states(), finals, strict=True)},
        kept={name: values[name] for name in keep},
    )
