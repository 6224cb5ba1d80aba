"""Makes the stack and the ``*Cell`` class for single frames of every recurrence in a list."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from gatedrnn.cells.declaration import Cell
from gatedrnn.nnet.stack import RecurrentStack
from gatedrnn.nnet.stack_cell import RecurrentStackCell


def make_classes(cells: Iterable[type[Cell]], module: str) -> dict[str, type[RecurrentStack]]:
    """Makes the classes.

    Arguments
    ---------
    cells : iterable of type
        Declared recurrences.
    module : str
        Dotted name of the module that will hold the classes (pickles name it).

    Returns
    -------
    dict
        Class name -> class: ``"RAN"`` and ``"RANCell"`` for the cell ``RAN``.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> sorted(make_classes([RAN], "nowhere"))
    ['RAN', 'RANCell']
    """
    classes: dict[str, type[RecurrentStack]] = {}
    for cell in cells:
        for base, suffix in ((RecurrentStack, ""), (RecurrentStackCell, "Cell")):
            name = cell.__name__ + suffix
            body = {
                "cell_class": cell,
                "__module__": module,
                "__doc__": _documentation(cell, name, one_frame=bool(suffix)),
            }
            classes[name] = type(name, (base,), body)
    return classes


def _documentation(cell: type[Cell], name: str, one_frame: bool) -> str:
    """The equations and options, as the cell's own docstring has them, with an example."""
    text = inspect.cleandoc(cell.__doc__ or "")
    described, _, _ = text.partition("\nExample\n")
    common = (
        "The other arguments are those of :class:`gatedrnn.nnet."
        f"{'RecurrentStackCell' if one_frame else 'RecurrentStack'}`."
    )
    shape, result = ("4, 10", "4, 20") if one_frame else ("4, 50, 10", "4, 50, 20")
    return f"""{described}
{common}

Example
-------
>>> import torch
>>> net = {name}(20, input_size=10, num_layers=2)
>>> output, hidden = net(torch.rand({shape}))
>>> output.shape
torch.Size([{result}])
"""
