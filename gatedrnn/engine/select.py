"""Which runner a call takes, why, and how another is forced.

A runner other than the reference registers itself with :func:`register`; nothing else has to know.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gatedrnn.cells.declaration import Cell

REFERENCE = "reference"
AUTO = "auto"
#: Environment variable that forces a runner.
VARIABLE = "GATEDRNN_RUNNER"


@dataclass(frozen=True)
class Runner:
    """A way to run a layer over a sequence.

    Arguments
    ---------
    name : str
        By which it is forced.
    rank : int
        Of the runners that can, the one of the lowest rank is taken.
    obstacle : callable
        ``(cell, device, dtype, training)`` -> why it cannot run this, or ``None`` if it can.
    forward, backward : callable
        See :mod:`gatedrnn.engine.cpu.runner`.
    reason : str
        Why it is worth taking, for ``explain``.
    slow : str
        Where it is a fallback: the cure, which a warning names.
    types : callable or None
        Where it computes half precisions itself: ``(step, dtype)`` -> dtypes of ``h`` and of the
        sequences that its forward returns. ``None``: it is given float32 in their place.
    padding : bool
        Whether it never reads the input past a length; otherwise it is given zeros there.
    """

    name: str
    rank: int
    obstacle: Callable[[Cell, torch.device, torch.dtype, bool], str | None]
    forward: Callable
    backward: Callable
    reason: str
    slow: str = ""
    types: Callable[[Any, torch.dtype], list[torch.dtype]] | None = None
    padding: bool = False


_RUNNERS: dict[str, Runner] = {}
_WARNED: set[tuple] = set()
_CHOSEN: dict[tuple, tuple[str, str]] = {}


def register(runner: Runner) -> None:
    """Adds a runner, or replaces the one of its name.

    Arguments
    ---------
    runner : Runner
        The runner.
    """
    _RUNNERS[runner.name] = runner
    _CHOSEN.clear()


def names() -> list[str]:
    """Names of all runners, in the order in which they are tried.

    Example
    -------
    >>> names()[0], names()[-1]
    ('auto', 'reference')
    """
    return [AUTO, *(r.name for r in sorted(_RUNNERS.values(), key=lambda r: r.rank)), REFERENCE]


def find(name: str) -> Runner:
    """A registered runner by its name."""
    return _RUNNERS[name]


def explain(
    cell: Cell,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    training: bool = False,
    runner: str | None = None,
) -> tuple[str, str]:
    """Which runner a cell takes here, and why.

    Arguments
    ---------
    cell : Cell
        The recurrence.
    device : torch.device or str
        Where its tensors are.
    dtype : torch.dtype
        Of its weights.
    training : bool
        Mode.
    runner : str or None
        Force this one; ``None``: as the environment variable GATEDRNN_RUNNER says, or ``"auto"``.

    Returns
    -------
    name : str
        Of the runner.
    reason : str
        One sentence.

    Raises
    ------
    ValueError
        If there is no such runner, or a forced one cannot run this.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> explain(RAN(input_size=3, hidden_size=4), runner="reference")
    ('reference', 'forced by argument')
    """
    # Asked once per call of a layer: as little as possible when the answer is known.
    forced = runner or os.environ.get(VARIABLE) or AUTO
    key = (cell, str(device), dtype, training, forced, runner is None)
    if key not in _CHOSEN:
        _CHOSEN[key] = _decide(cell, torch.device(device), dtype, training, forced, runner)
    return _CHOSEN[key]


def _decide(cell, device, dtype, training, forced, runner) -> tuple[str, str]:
    if forced not in names():
        raise ValueError(f"there is no runner {forced!r}; there are: {', '.join(names())}")
    if forced != AUTO:
        how = "by argument" if runner else f"by {VARIABLE}"
        if forced != REFERENCE:
            obstacle = _RUNNERS[forced].obstacle(cell, device, dtype, training)
            if obstacle:
                raise ValueError(f"{cell.label}: runner {forced!r}, forced {how}: {obstacle}")
        return forced, f"forced {how}"
    reasons = []
    for candidate in sorted(_RUNNERS.values(), key=lambda r: r.rank):
        obstacle = candidate.obstacle(cell, device, dtype, training)
        if obstacle is None:
            return candidate.name, "; ".join([*reasons, candidate.reason])
        reasons.append(f"not {candidate.name}: {obstacle}")
    return REFERENCE, "; ".join([*reasons, "the reference runs everything"])


def choose(
    cell: Cell, device: torch.device, dtype: torch.dtype, training: bool, runner: str | None
) -> str:
    """:func:`explain` for a run: warns once where the choice is a slow fallback.

    Arguments
    ---------
    cell : Cell
        The recurrence.
    device : torch.device
        Of the input.
    dtype : torch.dtype
        Of the weights.
    training : bool
        Mode.
    runner : str or None
        As in :func:`explain`.

    Returns
    -------
    str
        The runner's name.
    """
    name, reason = explain(cell, device, dtype, training, runner)
    slow = name == REFERENCE or bool(_RUNNERS[name].slow)
    if slow and not reason.startswith("forced"):
        cure = _RUNNERS[name].slow if name != REFERENCE else ""
        key = (type(cell), device.type, name)
        if key not in _WARNED:
            _WARNED.add(key)
            warnings.warn(
                f"{cell.label} runs on the slow runner {name!r} ({reason})"
                + (f"; {cure}" if cure else "")
                + f". Set {VARIABLE}={name} to choose it without this warning",
                UserWarning,
                stacklevel=4,
            )
    return name
