"""What data-parallel processes tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def rank_and_world() -> tuple[int, int]:
    """Number of this process, and of all processes; (0, 1) without data parallelism.

    Returns
    -------
    tuple of int

    Example
    -------
    >>> rank_and_world()
    (0, 1)
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def gather(item: Item) -> list[Item]:
    """Collects an object of every rank, on every rank.

    Arguments
    ---------
    item : Any
        This rank's; anything that can be pickled.

    Returns
    -------
    list
        One per rank, in their order.

    Example
    -------
    >>> gather("here")
    ['here']
    """
    _, world = rank_and_world()
    if world == 1:
        return [item]
    items: list[Item | None] = [None] * world
    torch.distributed.all_gather_object(items, item)
    return items


def sum_over_ranks(values: Sequence[float], device: torch.device | str) -> list[float]:
    """Adds numbers up over the ranks.

    Arguments
    ---------
    values : sequence of float
        This rank's.
    device : torch.device or str
        Where the ranks' backend communicates.

    Returns
    -------
    list of float

    Example
    -------
    >>> sum_over_ranks([1.0, 2.5], "cpu")
    [1.0, 2.5]
    """
    _, world = rank_and_world()
    if world == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    return tensor.tolist()
