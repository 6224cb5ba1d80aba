"""Batches of pieces: frames, and the frames that follow them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from gatedrnn.tasks.music.corpora import Music
from gatedrnn.training.batching import Batch, pad


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


def collate(items: Sequence[tuple[str, torch.Tensor, torch.Tensor]]) -> Batch:
    """Pads pieces: frames to read and frames to predict, (batch, time, size), relative lengths
    (batch,), float64, and numbers of frames, ``counts`` (batch,)."""
    names, inputs, targets = zip(*items, strict=True)
    counts = torch.tensor([len(frames) for frames in inputs])
    return Batch(
        names,
        inputs=pad(inputs)[0],
        targets=pad(targets)[0],
        lengths=counts.double() / counts.max(),
        counts=counts,
    )
