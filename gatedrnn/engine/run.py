"""The engine's door: checks the inputs and hands them to a runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine import naming, noise, operators, reference
from gatedrnn.engine.plan import plan
from gatedrnn.engine.select import REFERENCE
from gatedrnn.engine.types import Result


def run(
    cell: Cell,
    params: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    state: Mapping[str, torch.Tensor] | None = None,
    *,
    below: Mapping[str, torch.Tensor] | None = None,
    lengths: torch.Tensor | None = None,
    reverse: bool = False,
    training: bool = False,
    keep: Sequence[str] = (),
    generator: noise.Source = None,
    runner: str | None = None,
    recompute: bool = False,
) -> Result:
    """Runs a cell over a batch of sequences.

    Arguments
    ---------
    cell : Cell
        The recurrence.
    params : Mapping
        The packed parameters of :func:`gatedrnn.engine.plan.plan`.
    x : torch.Tensor
        Input, (T, B, m): frames first.
    state : Mapping or None
        State before the first frame: name -> (B, width); ``None`` for zeros.
    below : Mapping or None
        Sequences of the layer underneath that the cell reads: name -> (T, B, width).
    lengths : torch.Tensor or None
        Number of valid frames of each sequence, (B,), integer, 1 to T. Past it the state is
        frozen and outputs are zero. ``None``: all T.
    reverse : bool
        Run from each sequence's last valid frame to its first.
    training : bool
        Whether stochastic gates draw noise.
    keep : sequence of str
        Values of the step to return for every frame, e.g. ``("c", "i")``.
    generator : torch.Generator or torch.Tensor or None
        Source of the noise, on x's device. A tensor is a seed, which torch.compile can trace where
        it could trace no generator.
    runner : str or None
        Name of a runner, see :mod:`gatedrnn.engine.select`; ``None``: as GATEDRNN_RUNNER says, or
        the best there is.
    recompute : bool
        Keep for the backward the layer's input and output only, and run its forward once more
        there: less memory, more time, the same gradients. The reference ignores it.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a shape, a dtype or a name does not fit; the message says which.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> from gatedrnn.engine import plan
    >>> cell = RAN(input_size=3, hidden_size=4)
    >>> params = {n: torch.zeros(s) for n, s in plan(cell).parameters.items()}
    >>> run(cell, params, torch.ones(5, 2, 3)).output.shape
    torch.Size([5, 2, 4])
    """
    text = getattr(cell, "_text", None)
    if not torch.compiler.is_compiling() and not naming.knows(text, cell):
        text = naming.cell_to_text(cell)
    if x.dim() != 3 or x.shape[2] != cell.input_size:
        raise ValueError(
            f"{cell.label}: the input must be (frames, batch, {cell.input_size}), "
            f"not {tuple(x.shape)}"
        )
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"{cell.label}: the input has no frames or no sequences: {tuple(x.shape)}")
    frames, batch = x.shape[:2]
    below = dict(below or {})
    expected = cell.below()
    if set(below) != set(expected):
        raise ValueError(
            f"{cell.label}: this layer reads {sorted(expected) or 'nothing'} from the layer below, "
            f"but was given {sorted(below) or 'nothing'}"
        )
    for name, width in expected.items():
        if tuple(below[name].shape) != (frames, batch, width):
            raise ValueError(
                f"{cell.label}: {name} must be {(frames, batch, width)} (frames, batch, "
                f"hidden_size): the layer below must have as many cells; not "
                f"{tuple(below[name].shape)}"
            )
    values = operators.facts(text, training).split("|")[1].split()
    unknown = [name for name in keep if name not in values]
    if unknown:
        raise ValueError(
            f"{cell.label}: no value is called {', '.join(unknown)}; there are: {', '.join(values)}"
        )
    if state is None:
        state = {n: x.new_zeros(batch, width) for n, width in cell.states().items()}
    for name, width in cell.states().items():
        if name not in state or tuple(state[name].shape) != (batch, width):
            shape = tuple(state[name].shape) if name in state else "nothing"
            raise ValueError(
                f"{cell.label}: the initial state {name} must be {(batch, width)}, not {shape}"
            )
    arguments = {
        "below": below,
        "lengths": None if lengths is None else lengths.to(x.device),
        "reverse": reverse,
        "keep": tuple(keep),
        "generator": generator,
    }
    name = operators.choose(text, x.device.type, x.dtype, training, runner)
    if lengths is not None and operators.reads_padding(name):
        # Garbage in the padding, even a NaN, must not reach the weights' gradients.
        past = torch.arange(frames, device=x.device).unsqueeze(1) >= arguments["lengths"]
        x = x.masked_fill(past.unsqueeze(2), 0.0)
    if name == REFERENCE:
        arguments["generator"] = noise.generator_of(generator, x.device)
        return reference.run(plan(cell, training), params, x, state, **arguments)
    arguments |= {"training": training, "recompute": recompute}
    return operators.run(name, text, cell, params, x, state, **arguments)
