"""Relative lengths at SpeechBrain's boundary, frame counts inside."""

from __future__ import annotations

import torch


def frame_counts(lengths: torch.Tensor, frames: int, batch: int) -> torch.Tensor:
    """Turns relative lengths into numbers of valid frames, by rounding as CTC does.

    Arguments
    ---------
    lengths : torch.Tensor
        Relative lengths in (0, 1], shape (batch,).
    frames : int
        T, frames of the padded batch.
    batch : int
        B, sequences of the batch.

    Returns
    -------
    torch.Tensor
        Whole numbers from 1 to T, int64, (batch,).

    Raises
    ------
    ValueError
        If a length is NaN, not above 0 or above 1, or their number is not the batch's. (On a GPU
        a wrong value raises at the next synchronisation: looking at it here would stall.)

    Example
    -------
    >>> frame_counts(torch.tensor([1.0, 13 / 22, 0.001]), frames=22, batch=3)
    tensor([22, 13,  1])
    """
    if not isinstance(lengths, torch.Tensor):
        lengths = torch.as_tensor(lengths)
    if tuple(lengths.shape) != (batch,):
        raise ValueError(
            f"lengths must hold one relative length per sequence, shape ({batch},), "
            f"not {tuple(lengths.shape)}"
        )
    lengths = lengths.detach().to(torch.float64)
    # Lengths made by a division in float32 may end an ulp above 1.
    good = (lengths > 0.0) & (lengths <= 1.0 + 1e-4)
    rule = "lengths must be relative to the padded length, above 0 and at most 1"
    if torch.compiler.is_compiling() or lengths.device.type == "cuda":
        torch._assert_async(good.all(), rule)
    elif not bool(good.all()):
        index = int((~good).nonzero()[0])
        raise ValueError(
            f"{rule}; lengths[{index}] is {float(lengths[index])}"
            + (" (divide frame counts by the number of frames)" if lengths[index] > 1 else "")
        )
    return torch.round(lengths * frames).clamp(1, frames).to(torch.int64)
