"""Batches of labelled sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.classification.model import PADDING

#: Brightness of a white pixel.
_WHITE = 255.0


class SequenceBatch:
    """Labelled sequences: names, frames (batch, time, width) or tokens (batch, time), relative
    lengths (batch,), None if all are equally long, and labels (batch,)."""

    _TENSORS = ("inputs", "lengths", "labels")

    def __init__(
        self,
        id: Sequence[str],
        inputs: torch.Tensor,
        lengths: torch.Tensor | None,
        labels: torch.Tensor,
    ) -> None:
        self.id = tuple(id)
        self.inputs, self.lengths, self.labels = inputs, lengths, labels

    def __len__(self) -> int:
        return len(self.id)

    def to(self, device: torch.device | str) -> SequenceBatch:
        """Moves the tensors to a device; returns itself."""
        for name in self._TENSORS:
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.to(device))
        return self

    def pin_memory(self) -> SequenceBatch:
        """Pins the tensors for transfer to a GPU; returns itself."""
        for name in self._TENSORS:
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.pin_memory())
        return self


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

    def __getitem__(self, index: int) -> SequenceBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> SequenceBatch:
        """The batch of some sequences."""
        names = [self.names[index] for index in indices]
        labels = self.labels[torch.as_tensor(indices)]
        if isinstance(self.inputs, torch.Tensor):
            frames = self.inputs[torch.as_tensor(indices)].float() / _WHITE
            return SequenceBatch(names, frames, None, labels)
        chosen = [self.inputs[index] for index in indices]
        tokens = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=PADDING)
        lengths = torch.tensor([len(sequence) for sequence in chosen]) / tokens.shape[1]
        return SequenceBatch(names, tokens.long(), lengths, labels)


def collate(batch: SequenceBatch) -> SequenceBatch:
    """Collates what is a batch already: for loaders."""
    return batch
