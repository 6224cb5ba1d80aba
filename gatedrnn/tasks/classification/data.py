"""Labelled sequences: sets, splits, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch.utils.data import Dataset

from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.tasks.classification.model import PADDING
from gatedrnn.training.batching import Batch, pad

#: Brightness of a white pixel.
_WHITE = 255.0
#: Frames of images: rows of pixels, or single pixels.
ORDERS = ("rows", "pixels")


class SequenceDataset(Dataset):
    """Labelled sequences by the batch, since one at a time would take longer than training.

    Inputs are frames of bytes, (number, time, width), which become numbers from 0 to 1, or the
    tokens of each sequence.
    """

    def __init__(
        self, name: str, inputs: torch.Tensor | Sequence[torch.Tensor], labels: torch.Tensor
    ) -> None:
        self.inputs, self.labels = inputs, labels
        # As many digits for all, so that the order of names is that of numbers.
        digits = len(str(len(labels) - 1))
        self.names = [f"{name}-{number:0{digits}d}" for number in range(len(labels))]
        self.sizes = [len(sequence) for sequence in inputs]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch of frames (batch, time, width) or tokens (batch, time), with labels (batch,)."""
        names = [self.names[index] for index in indices]
        labels = self.labels[torch.as_tensor(indices)]
        if isinstance(self.inputs, torch.Tensor):
            frames = self.inputs[torch.as_tensor(indices)].float() / _WHITE
            return Batch(names, inputs=frames, lengths=None, labels=labels)
        tokens, lengths = pad([self.inputs[index] for index in indices], PADDING)
        return Batch(names, inputs=tokens.long(), lengths=lengths, labels=labels)


def collate(batch: Batch) -> Batch:
    """Collates what is a batch already: for loaders."""
    return batch


@dataclass(frozen=True)
class LabelledSet:
    """Sequences with their classes.

    inputs: Frames of bytes, (number, time, width); images, (number, height, width, channels);
        or sentences.
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
class ImageFrames(Config):
    """How images become frames: their size, the order of pixels, and the seed of a permutation.

    See :func:`~gatedrnn.tasks.classification.corpora.images.as_sequences`.
    """

    height: Annotated[int, Range(1, 16384)]
    width: Annotated[int, Range(1, 16384)]
    channels: Annotated[int, Range(1, 4)]
    order: Annotated[str, Choices(*ORDERS)] = "rows"
    permutation: int | None = None

    @property
    def frame_width(self) -> int:
        """Width of a frame."""
        return self.channels * (self.width if self.order == "rows" else 1)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test sets of a classifier."""

    classes: Sequence[str]
    train: LabelledSet
    valid: LabelledSet
    tests: tuple[LabelledSet, ...] = ()
    images: ImageFrames | None = None

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
