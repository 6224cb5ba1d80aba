"""Batches of pieces: frames, and the frames that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.music.corpora import Music


@dataclass(frozen=True)
class FrameBatch:
    """Pieces side by side: frames to read and the frames after them, (batch, time, size), zeros
    past the end of a piece; relative lengths, (batch,), float64; and names."""

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor
    id: tuple[str, ...]

    @property
    def counts(self) -> torch.Tensor:
        """Number of predicted frames of each sequence."""
        return torch.round(self.lengths * self.inputs.shape[1]).long()

    def to(self, device: torch.device | str) -> FrameBatch:
        """The batch on a device."""
        names = ("inputs", "targets", "lengths")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class PieceDataset(Dataset):
    """Pieces of music, each with the frames to read and the frames to predict.

    With ``first_frame`` the first frame of a piece is predicted, too, from silence before it."""

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
    """A batch of names, frames to read and frames to predict."""
    names, inputs, targets = zip(*items, strict=True)
    longest = max(map(len, inputs))
    lengths = torch.tensor([len(part) / longest for part in inputs], dtype=torch.float64)
    padded = [torch.nn.utils.rnn.pad_sequence(p, batch_first=True) for p in (inputs, targets)]
    return FrameBatch(*padded, lengths, tuple(names))
