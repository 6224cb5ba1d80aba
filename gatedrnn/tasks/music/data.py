"""Pieces of music as batches of frames with the frames that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.music.corpora import Music


@dataclass(frozen=True)
class FrameBatch:
    """Some sequences, side by side.

    Arguments
    ---------
    inputs : torch.Tensor
        What is read, (batch, time, size); zeros past a sequence's end.
    targets : torch.Tensor
        What is predicted: the frame after each of them.
    lengths : torch.Tensor
        Relative lengths, (batch,), float64.
    id : tuple of str
        Names of the sequences.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor
    id: tuple[str, ...]

    @property
    def counts(self) -> torch.Tensor:
        """Number of predicted frames of each sequence."""
        return torch.round(self.lengths * self.inputs.shape[1]).long()

    def to(self, device: torch.device | str) -> FrameBatch:
        """The batch on a device.

        Arguments
        ---------
        device : torch.device or str
            The device.

        Returns
        -------
        FrameBatch
        """
        names = ("inputs", "targets", "lengths")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class PieceDataset(Dataset):
    """Pieces of music, each with the frames to read and the frames to predict.

    Arguments
    ---------
    music : Music
        The pieces.
    first_frame : bool
        Whether the first frame of a piece is predicted, too, from a frame of silence before it;
        otherwise the first prediction is that of the second frame.

    Example
    -------
    >>> piece = torch.eye(88, dtype=torch.uint8)[:5]
    >>> pieces = PieceDataset(Music("valid", ["a", "b"], [piece, piece[:3]]), first_frame=False)
    >>> pieces.sizes
    [4, 2]
    >>> batch = collate([pieces[0], pieces[1]])
    >>> batch.inputs.shape, batch.counts.tolist()
    (torch.Size([2, 4, 88]), [4, 2])
    """

    def __init__(self, music: Music, first_frame: bool) -> None:
        self.music, self.first_frame = music, first_frame
        #: Predicted frames of each piece.
        self.sizes = [len(roll) - (not first_frame) for roll in music.rolls]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        roll = self.music.rolls[index].float()
        before, after = roll[:-1], roll[1:]
        if self.first_frame:
            before, after = torch.cat([torch.zeros_like(roll[:1]), before]), roll
        return self.music.ids[index], before, after


def collate(items: Sequence[tuple[str, torch.Tensor, torch.Tensor]]) -> FrameBatch:
    """Puts sequences side by side.

    Arguments
    ---------
    items : sequence of tuple
        Name, frames to read and frames to predict of each.

    Returns
    -------
    FrameBatch
    """
    names, inputs, targets = zip(*items, strict=True)
    longest = max(map(len, inputs))
    lengths = torch.tensor([len(part) / longest for part in inputs], dtype=torch.float64)
    padded = [torch.nn.utils.rnn.pad_sequence(p, batch_first=True) for p in (inputs, targets)]
    return FrameBatch(*padded, lengths, tuple(names))
