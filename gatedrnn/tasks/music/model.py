"""A model of sequences of binary vectors, such as piano rolls: it predicts the next frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.network_options import build_stack, drop_units
from gatedrnn.nnet.stack import Hidden


class FrameLoss(NamedTuple):
    """Output of a model for frames with targets: the negative log-probability of each target frame,
    (batch, time), the sum over its elements, zero past a sequence's length; logits of the elements,
    (batch, time, size); the state after the last frame; and in training the recurrence's own loss
    term, summed over the frames."""

    losses: torch.Tensor
    scores: torch.Tensor
    hidden: Hidden
    auxiliary: torch.Tensor | None


class SequenceModel(nn.Module):
    """Frames of zeros and ones to the probabilities of ones in the next frame.

    A stack of any recurrence, then a linear layer and a sigmoid for each element: given the frames
    before, the elements of a frame are independent. It is one module and all it computes goes
    through its ``forward``, so that data parallelism wraps it once.

    Arguments
    ---------
    size : int
        Elements of a frame.
    network, num_layers, hidden_size, proj_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`.
    dropout : float
        Probability of dropping units in training, between layers and before the output layer.
    dropout_input : float
        Probability of dropping elements of the input in training.
    locked : bool
        Drop the same units in all frames of a sequence.

    Example
    -------
    >>> model = SequenceModel(88, "ran", hidden_size=8)
    >>> scores, hidden = model(torch.zeros(1, 5, 88))
    >>> scores.shape
    torch.Size([1, 5, 88])
    """

    def __init__(
        self,
        size: int,
        network: str = "lstmp",
        num_layers: int = 2,
        hidden_size: int = 200,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        dropout_input: float = 0.0,
        locked: bool = True,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        for name, part in (("dropout", dropout), ("dropout_input", dropout_input)):
            if not 0.0 <= part < 1.0:
                raise ValueError(f"{name} must be in [0, 1), not {part}")
        self.dropout, self.dropout_input, self.locked = dropout, dropout_input, locked
        self.rnn = build_stack(
            network,
            network_options,
            init,
            proj_size=proj_size,
            input_size=size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            re_init=False,
            locked_dropout=locked,
        )
        self.output = nn.Linear(self.rnn.output_size, size)

    def forward(
        self,
        frames: torch.Tensor,
        hx: Hidden | None = None,
        targets: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Hidden] | FrameLoss:
        """Predicts the frame after every frame.

        Arguments
        ---------
        frames : torch.Tensor
            (batch, time, size).
        hx : torch.Tensor or tuple or None
            State before the first frame, as returned; ``None`` at the start.
        targets : torch.Tensor or None
            The frames that follow, of the same shape: then losses are returned.
        lengths : torch.Tensor or None
            Relative lengths, (batch,); what lies past them is neither read nor counted.

        Returns
        -------
        FrameLoss
            If there are targets. Otherwise:
        scores : torch.Tensor
            Logits, (batch, time, size): their sigmoid is the probability of a one.
        hidden : torch.Tensor or tuple
            State after the last frame.
        """
        x = drop_units(frames, self.dropout_input, self.training, self.locked)
        output, hidden = self.rnn(x, hx, lengths)
        scores = self.output(drop_units(output, self.dropout, self.training, self.locked))
        if targets is None:
            return scores, hidden
        losses = nn.functional.binary_cross_entropy_with_logits(
            scores.float(), targets.float(), reduction="none"
        ).sum(dim=2)
        if lengths is not None:
            counts = nnet.frame_counts(lengths, frames.shape[1], len(frames))
            past = torch.arange(frames.shape[1], device=losses.device) >= counts.unsqueeze(1)
            losses = losses.masked_fill(past, 0.0)
        auxiliary = self.rnn.auxiliary_loss() if self.training else None
        return FrameLoss(losses, scores, hidden, auxiliary)
