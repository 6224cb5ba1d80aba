"""Sequences that belong to one class each: training, validation and test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class LabelledSet:
    """Sequences with their classes.

    Arguments
    ---------
    name : str
        Name in results.
    inputs : torch.Tensor or sequence of str
        Frames of bytes, (number, time, width); images, (number, height, width, channels); or
        sentences.
    labels : torch.Tensor
        Indices of the classes, (number,), int64.
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

    def take(self, places: torch.Tensor, name: str) -> LabelledSet:
        """The sequences at some places, (number,), in this order."""
        if isinstance(self.inputs, torch.Tensor):
            return LabelledSet(name, self.inputs[places], self.labels[places])
        inputs = [self.inputs[place] for place in places.tolist()]
        return LabelledSet(name, inputs, self.labels[places])


@dataclass(frozen=True)
class Splits:
    """Training, validation and test sets of a classifier.

    Arguments
    ---------
    classes : sequence of str
        Names of the classes; a label is an index into them.
    train, valid : LabelledSet
        For training, and for the choice of the checkpoint.
    tests : tuple of LabelledSet
        For reported results.
    """

    classes: Sequence[str]
    train: LabelledSet
    valid: LabelledSet
    tests: tuple[LabelledSet, ...] = ()

    def __post_init__(self) -> None:
        for part in (self.train, self.valid, *self.tests):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise ValueError(
                    f"{part.name}: labels go from {low} to {high}, but the {len(self.classes)} "
                    f"classes have the numbers 0 to {len(self.classes) - 1}"
                )


def hold_out(
    whole: LabelledSet, count: int, seed: int | None = None
) -> tuple[LabelledSet, LabelledSet]:
    """Divides a training set into the rest, in its order, and ``count`` sequences for validation:
    random ones of a seed, or the last ones.

    Example
    -------
    >>> whole = LabelledSet("all", list("abcde"), torch.tensor([0, 1, 0, 1, 0]))
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
