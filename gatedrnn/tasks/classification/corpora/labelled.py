"""Sequences of which each belongs to one class: what classifiers learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Labelled:
    """Sequences with their classes.

    Arguments
    ---------
    name : str
        What results call them.
    inputs : torch.Tensor or sequence of str
        Frames of bytes, (number, time, width), or sentences.
    labels : torch.Tensor
        Numbers of the classes, (number,), int64.

    Raises
    ------
    ValueError
        If there are not as many labels as sequences, or none.

    Example
    -------
    >>> len(Labelled("dev", ["so good", "so bad"], torch.tensor([1, 0])))
    2
    """

    name: str
    inputs: Any
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(
                f"{self.name}: {len(self.inputs)} sequences with {len(self.labels)} labels"
            )
        if not len(self.labels):
            raise ValueError(f"{self.name}: there is not one sequence")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: torch.Tensor, name: str) -> Labelled:
        """Some of them.

        Arguments
        ---------
        places : torch.Tensor
            Which, in the order wanted.
        name : str
            What results call them.

        Returns
        -------
        Labelled
        """
        if isinstance(self.inputs, torch.Tensor):
            return Labelled(name, self.inputs[places], self.labels[places])
        inputs = [self.inputs[place] for place in places.tolist()]
        return Labelled(name, inputs, self.labels[places])


@dataclass(frozen=True)
class LabelledSets:
    """What a classifier is trained and tested on.

    Arguments
    ---------
    classes : sequence of str
        Their names; a label is the place of one.
    train, valid : Labelled
        For training, and for the choice of everything that is chosen.
    tests : tuple of Labelled
        What figures are reported on, once.

    Raises
    ------
    ValueError
        If a label is no class's.
    """

    classes: Sequence[str]
    train: Labelled
    valid: Labelled
    tests: tuple[Labelled, ...] = ()

    def __post_init__(self) -> None:
        for part in (self.train, self.valid, *self.tests):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(
                    f"{part.name}: labels go from {low} to {high}, but the {len(self.classes)} "
                    f"classes have the numbers 0 to {len(self.classes) - 1}"
                )


def hold_out(whole: Labelled, count: int, seed: int | None = None) -> tuple[Labelled, Labelled]:
    """Divides what is for training, where a corpus has no part for validation.

    Arguments
    ---------
    whole : Labelled
        What is for training.
    count : int
        How many to hold out.
    seed : int or None
        Draws them; ``None``: the last ones.

    Returns
    -------
    train, valid : Labelled
        The rest in its order, and what is held out.

    Raises
    ------
    ValueError
        If nothing would be left of one of them.

    Example
    -------
    >>> whole = Labelled("all", list("abcde"), torch.tensor([0, 1, 0, 1, 0]))
    >>> [part.inputs for part in hold_out(whole, 2)]
    [['a', 'b', 'c'], ['d', 'e']]
    """
    if not 0 < count < len(whole):
        raise ValueError(
            f"{whole.name}: {count} of {len(whole)} cannot be held out for validation; both parts "
            "need at least one"
        )
    order = torch.arange(len(whole))
    if seed is not None:
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    held = order[len(whole) - count :].sort().values
    rest = order[: len(whole) - count].sort().values
    return whole.take(rest, "train"), whole.take(held, "valid")
