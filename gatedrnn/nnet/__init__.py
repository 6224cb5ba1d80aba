"""Recurrent stacks in SpeechBrain's shape: a class per recurrence and, for frames, its ``*Cell``.

The classes are made from the registry of recurrences, so a new row there appears here by itself.
"""

from __future__ import annotations

from typing import Any

from gatedrnn.cells.registry import CELLS, find
from gatedrnn.nnet.classes import make_classes
from gatedrnn.nnet.layer import RecurrentLayer
from gatedrnn.nnet.lengths import frame_counts
from gatedrnn.nnet.stack import RecurrentStack
from gatedrnn.nnet.stack_cell import RecurrentStackCell
from gatedrnn.nnet.streaming import StreamingStack

#: Name -> class, of every stack and every ``*Cell`` class for single frames.
CLASSES = make_classes(CELLS, module=__name__)
globals().update(CLASSES)


def build(network: str, *, proj_size: int | None = None, **arguments: Any) -> RecurrentStack:
    """Builds the stack of the recurrence with a given name: for YAML, where one key swaps it.

    Arguments
    ---------
    network : str
        A key or class name that ``gatedrnn list`` prints, e.g. ``"residual"``.
    proj_size : int or None
        N; left out for a recurrence that has no projection, so that recurrences can be swapped.
    **arguments : Any
        Of the stack: ``hidden_size``, ``input_size``, ``num_layers``, options, ...

    Returns
    -------
    RecurrentStack

    Raises
    ------
    ValueError
        If there is no such recurrence.

    Example
    -------
    >>> type(build("ran", input_size=3, hidden_size=4, num_layers=2)).__name__
    'RAN'
    """
    cell = find(network)
    projection = {"proj_size": proj_size} if cell.has_projection else {}
    return CLASSES[cell.__name__](**arguments, **projection)


__all__ = [
    "CLASSES",
    "RecurrentLayer",
    "RecurrentStack",
    "RecurrentStackCell",
    "StreamingStack",
    "build",
    "frame_counts",
    *CLASSES,
]
