"""What a runner returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Result:
    """What running a cell over a sequence gives.

    Arguments
    ---------
    output : torch.Tensor
        ``h`` of every frame, (T, B, N); zero past a sequence's length.
    state : dict
        State after each sequence's last valid frame (the first one in reverse): name -> (B, width).
    kept : dict
        The asked-for values of every frame: name -> (T, B, width); zero past the length.
    """

    output: torch.Tensor
    state: dict[str, torch.Tensor]
    kept: dict[str, torch.Tensor]
