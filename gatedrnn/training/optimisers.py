"""Optimisers and the fall of their rate by one key each, for YAML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from gatedrnn.training.schedule import EpochDecay, PlateauDecay, WorseDecay

OPTIMISERS = ("sgd", "adam", "adamw")
DECAYS = ("epochs", "plateau", "worse", "none")


def make_optimiser(
    parameters: Iterable[Any],
    name: str,
    lr: float,
    momentum: float = 0.0,
    betas: Sequence[float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Makes an optimiser.

    Arguments
    ---------
    parameters : iterable
        What it trains.
    name : str
        ``"sgd"``, ``"adam"`` or ``"adamw"``.
    lr : float
        Learning rate.
    momentum : float
        Of ``"sgd"``.
    betas : sequence of float
        Of the others.
    weight_decay : float
        Of all; ``"adamw"`` keeps it apart from the gradient.

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    ValueError
        If there is no such optimiser.

    Example
    -------
    >>> weights = [torch.nn.Parameter(torch.zeros(1))]
    >>> type(make_optimiser(weights, "sgd", lr=1.0)).__name__
    'SGD'
    """
    if name == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)
    if name not in OPTIMISERS:
        raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {name!r}")
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    # One pass over each weight instead of ten: with batches of one piece a tenth of a step's time.
    return kind(parameters, lr, betas=tuple(betas), weight_decay=weight_decay, fused=True)


def make_decay(
    name: str, factor: float = 0.5, after: int = 0, patience: int = 0
) -> EpochDecay | PlateauDecay | WorseDecay | None:
    """Makes what lets the learning rate fall from epoch to epoch.

    Arguments
    ---------
    name : str
        ``"epochs"``: in every epoch after some. ``"plateau"``: when validation no longer improves.
        ``"worse"``: when it is worse than in each of the last epochs. ``"none"``: never.
    factor : float
        What is left of the rate.
    after : int
        Epochs with the full rate, of ``"epochs"`` and ``"worse"``.
    patience : int
        Epochs without improvement that change nothing, of ``"plateau"``; the last epochs, of
        ``"worse"``.

    Returns
    -------
    EpochDecay or PlateauDecay or WorseDecay or None

    Raises
    ------
    ValueError
        If there is no such way.

    Example
    -------
    >>> make_decay("epochs", factor=0.8, after=6)
    EpochDecay(factor=0.8, after=6)
    """
    if name not in DECAYS:
        raise ValueError(f"rate_decay must be one of {', '.join(DECAYS)}, not {name!r}")
    if name == "epochs":
        return EpochDecay(factor, after)
    if name == "worse":
        return WorseDecay(factor, after, patience)
    return PlateauDecay(factor, patience) if name == "plateau" else None
