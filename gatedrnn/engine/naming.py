"""Cells as text: how an operator is told which recurrence it runs."""

from __future__ import annotations

import dataclasses
import importlib
import json
from contextlib import suppress
from typing import Any

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.trace import UnsupportedOperation, trace

_CELLS: dict[str, Cell] = {}
_KEYS: dict[Cell, str] = {}


def cell_to_text(cell: Cell) -> str:
    """Writes a cell as text: its class and its fields.

    Arguments
    ---------
    cell : Cell
        The declaration.

    Returns
    -------
    str

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> cell_from_text(cell_to_text(RAN(input_size=3, hidden_size=4)))
    RAN(input_size=3, hidden_size=4, proj_size=None, bias=True, ..., output='tanh')
    """
    if cell not in _KEYS:
        fields = {f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)}
        named = [f"{type(cell).__module__}:{type(cell).__qualname__}", fields]
        try:
            text = json.dumps(named)
        except TypeError:
            text = ""
        if not text or text in _CELLS:
            # Fields that are not JSON-serialisable, or a second class of this name: good here only.
            text = json.dumps([*named, id(type(cell))], default=repr)
        _KEYS[cell] = text
        _CELLS[text] = cell
        for training in (False, True):
            # Now, outside of anything that traces; what cannot be printed is reported when run.
            with suppress(UnsupportedOperation):
                trace(cell, training)
    # torch.compile reads attributes, where it could not follow what is above.
    object.__setattr__(cell, "_text", _KEYS[cell])
    return _KEYS[cell]


def knows(text: str | None, cell: Cell) -> bool:
    """Whether a text stands for this very cell here (it may have come from another process)."""
    return text is not None and _KEYS.get(cell) == text


def cell_from_text(text: str) -> Cell:
    """Makes a cell from its text.

    Arguments
    ---------
    text : str
        As :func:`cell_to_text` writes it.

    Returns
    -------
    Cell

    Raises
    ------
    ValueError
        If its class cannot be imported here (it was made inside a function, say).
    """
    if text not in _CELLS:
        name, fields, *local = json.loads(text)
        module, _, qualified = name.partition(":")
        found: Any = None
        try:
            if local:
                raise ImportError(name)
            found = importlib.import_module(module)
            for part in qualified.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"the recurrence {qualified} cannot be imported from {module}: define it at the "
                "top level of an importable module"
            ) from error
        fields = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
        cell = found(**fields)
        _CELLS[text] = cell
        _KEYS.setdefault(cell, text)
    return _CELLS[text]
