"""Likelihood of pieces, and continuations: keys sampled frame by frame."""

from __future__ import annotations

import torch

from gatedrnn.tasks.music.model import SequenceModel


@torch.no_grad()
def frame_losses(
    model: SequenceModel, roll: torch.Tensor, first_frame: bool = False
) -> torch.Tensor:
    """Negative log-likelihood of the frames of a piece, in nats: the sum over the keys.

    roll: Piano roll (frames, keys) of zeros and ones.
    """
    frames = roll.float().to(model.output.weight.device).unsqueeze(0)
    if first_frame:
        frames = torch.cat([torch.zeros_like(frames[:, :1]), frames], dim=1)
    if frames.shape[1] < 2:
        return torch.zeros(0)
    return model(frames[:, :-1], targets=frames[:, 1:]).losses[0].cpu()


@torch.no_grad()
def continue_piece(
    model: SequenceModel,
    roll: torch.Tensor,
    frames: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> torch.Tensor:
    """Continues a piece: each key of each frame is sampled given the frames before.

    ``temperature`` divides the logits; 0 takes each key whose probability is above 0.5.

    roll: The start of the piece, (time, keys), at least one frame; zeros for silence.
    Returns: The sampled frames, (frames, keys), uint8, on the CPU.
    """
    if len(roll) < 1:
        raise ValueError("a continuation needs at least one frame before it")
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, not {temperature}")
    # On the CPU, so that a seed gives the same piece on every device.
    generator = torch.Generator().manual_seed(seed)
    device = model.output.weight.device
    scores, hidden = model(roll.float().to(device).unsqueeze(0))
    sampled = []
    for _ in range(frames):
        logits = scores[0, -1].float().cpu()
        if temperature == 0:
            frame = (logits > 0).float()
        else:
            frame = torch.bernoulli((logits / temperature).sigmoid(), generator=generator)
        sampled.append(frame)
        scores, hidden = model(frame.to(device).view(1, 1, -1), hidden)
    size = roll.shape[1]
    return torch.stack(sampled).to(torch.uint8) if sampled else torch.zeros(0, size).byte()
