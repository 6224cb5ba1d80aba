"""Noise that is drawn before the loop, for a whole sequence.

torch.compile can trace no generator, but it can trace a seed that is a tensor: an operator makes of
it what a generator of that seed would have drawn.
"""

from __future__ import annotations

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.naming import cell_from_text

Source = torch.Generator | torch.Tensor | None


def generator_of(source: Source, device: torch.device) -> torch.Generator | None:
    """A generator: the one given, or one with the seed that was given.

    Arguments
    ---------
    source : torch.Generator or torch.Tensor or None
        A tensor is a seed: a scalar, int64.
    device : torch.device
        Where it draws.

    Returns
    -------
    torch.Generator or None

    Example
    -------
    >>> generator_of(torch.tensor(3), torch.device("cpu")).initial_seed()
    3
    """
    if not isinstance(source, torch.Tensor):
        return source
    return torch.Generator(device).manual_seed(int(source))


def draw(text: str, cell: Cell, training: bool, x: torch.Tensor, source: Source):
    """The noise sequences of a cell.

    Arguments
    ---------
    text : str
        The cell as text.
    cell : Cell
        The cell itself.
    training : bool
        Mode.
    x : torch.Tensor
        Input, (T, B, m): its sizes and its device count.
    source : torch.Generator or torch.Tensor or None
        See :func:`generator_of`.

    Returns
    -------
    list of torch.Tensor
        (T, B, K), float32 at least, in the order of the cell's names.
    """
    if not cell.noise(training):
        return []
    if isinstance(source, torch.Tensor):
        return torch.ops.gatedrnn.noise(text, x.detach(), source)
    return _draw(cell, x, source)


def _draw(cell: Cell, x: torch.Tensor, generator: torch.Generator | None) -> list[torch.Tensor]:
    wide = torch.promote_types(x.dtype, torch.float32)
    shape = (*x.shape[:2], cell.hidden_size)
    return [
        one(shape, generator=generator, dtype=wide, device=x.device)
        for one in cell.noise(True).values()
    ]


torch.library.define("gatedrnn::noise", "(str cell, Tensor x, Tensor seed) -> Tensor[]")


@torch.library.impl("gatedrnn::noise", "CompositeExplicitAutograd")
def _noise(text, x, seed):
    return _draw(cell_from_text(text), x, generator_of(seed, x.device))


@torch.library.register_fake("gatedrnn::noise")
def _noise_fake(text, x, seed):
    cell = cell_from_text(text)
    wide = torch.promote_types(x.dtype, torch.float32)
    shape = (*x.shape[:2], cell.hidden_size)
    return [x.new_empty(shape, dtype=wide) for _ in cell.noise(True)]
