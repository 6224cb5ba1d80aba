"""Batches of labelled sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.classification.model import PADDING
from gatedrnn.training.batching import Batch, pad

#: Brightness of a white pixel.
_WHITE = 255.0


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
