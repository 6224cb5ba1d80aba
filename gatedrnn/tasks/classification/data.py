"""Labelled sequences as batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.classification.model import PADDING

#: Brightness of a white pixel.
_WHITE = 255.0


class SequenceBatch:
    """Some labelled sequences together.

    Arguments
    ---------
    id : sequence of str
        Their names.
    inputs : torch.Tensor
        Frames (batch, time, width), or tokens (batch, time).
    lengths : torch.Tensor or None
        Relative lengths, (batch,); ``None`` if all are equally long.
    labels : torch.Tensor
        Numbers of the classes, (batch,).
    """

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
        """Moves the tensors.

        Arguments
        ---------
        device : torch.device or str
            Where to.

        Returns
        -------
        SequenceBatch
            This one.
        """
        for name in self._TENSORS:
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.to(device))
        return self

    def pin_memory(self) -> SequenceBatch:
        """Has the tensors lie where a GPU can fetch them.

        Returns
        -------
        SequenceBatch
            This one.
        """
        for name in self._TENSORS:
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.pin_memory())
        return self


class SequenceDataset(Dataset):
    """Labelled sequences, given out by the batch: one at a time would take longer than training.

    Arguments
    ---------
    name : str
        What their names begin with.
    inputs : torch.Tensor or sequence of torch.Tensor
        Frames of bytes, (number, time, width), which become numbers from 0 to 1; or the tokens of
        each sequence.
    labels : torch.Tensor
        Numbers of the classes, (number,).

    Example
    -------
    >>> tokens = [torch.tensor([5, 6, 7]), torch.tensor([8])]
    >>> batch = SequenceDataset("dev", tokens, torch.tensor([0, 1])).__getitems__([1, 0])
    >>> batch.id, batch.inputs.tolist(), batch.labels.tolist()
    (('dev-1', 'dev-0'), [[8, 0, 0], [5, 6, 7]], [1, 0])
    >>> SequenceDataset("dev", torch.full((1, 2, 1), 255), torch.tensor([0])).sizes
    [2]
    """

    def __init__(
        self, name: str, inputs: torch.Tensor | Sequence[torch.Tensor], labels: torch.Tensor
    ) -> None:
        self.inputs, self.labels = inputs, labels
        # As many digits for all, so that the order of names is that of numbers.
        digits = len(str(len(labels) - 1))
        self.names = [f"{name}-{number:0{digits}d}" for number in range(len(labels))]
        self.sizes = [len(one) for one in inputs]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> SequenceBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> SequenceBatch:
        """A batch.

        Arguments
        ---------
        indices : sequence of int
            Which sequences.

        Returns
        -------
        SequenceBatch
        """
        names = [self.names[index] for index in indices]
        labels = self.labels[torch.as_tensor(indices)]
        if isinstance(self.inputs, torch.Tensor):
            frames = self.inputs[torch.as_tensor(indices)].float() / _WHITE
            return SequenceBatch(names, frames, None, labels)
        chosen = [self.inputs[index] for index in indices]
        tokens = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=PADDING)
        lengths = torch.tensor([len(one) for one in chosen]) / tokens.shape[1]
        return SequenceBatch(names, tokens.long(), lengths, labels)


def together(batch: SequenceBatch) -> SequenceBatch:
    """Collates what is a batch already: for loaders.

    Arguments
    ---------
    batch : SequenceBatch
        From :class:`SequenceDataset`.

    Returns
    -------
    SequenceBatch
    """
    return batch
