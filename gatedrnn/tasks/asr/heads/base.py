"""What the attention and the transducer head have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.tasks.asr.model import CTCModel


class HeadOutput(NamedTuple):
    """What a model with a head computes; the first three are those of :class:`CTCModel`.

    Arguments
    ---------
    log_probs : torch.Tensor or None
        Of connectionist temporal classification, (batch, frames, vocabulary); ``None`` if it has no
        part in the loss.
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    auxiliary : torch.Tensor or None
        The acoustic stack's own loss term, summed over the valid frames.
    encoded : torch.Tensor
        What the head looks at, (batch, frames, width).
    logits : torch.Tensor
        Float32 scores of the head.
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    auxiliary: torch.Tensor | None
    encoded: torch.Tensor
    logits: torch.Tensor


class HeadModel(nn.Module):
    """An acoustic model under a head, trained with both losses.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model; its output layer serves the part of connectionist temporal
        classification in the loss.
    ctc_weight : float
        That part, in [0, 1).

    Raises
    ------
    ValueError
        If the weight is out of its range.
    """

    def __init__(self, acoustic: CTCModel, ctc_weight: float) -> None:
        super().__init__()
        if not 0.0 <= ctc_weight < 1.0:
            raise ValueError(
                f"ctc_weight must be at least 0 and below 1 (head: ctc is for that), not "
                f"{ctc_weight}"
            )
        self.acoustic = acoustic
        self.ctc_weight = ctc_weight
        # Data parallelism waits for the gradient of every parameter that asks for one.
        acoustic.output.requires_grad_(ctc_weight > 0)

    @property
    def encoder(self) -> nn.Module:
        """The recurrent stack."""
        return self.acoustic.encoder

    @property
    def factor(self) -> int:
        """Feature frames that become one frame of the stack."""
        return self.acoustic.factor

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor
    ) -> HeadOutput:
        """Scores the tokens of transcripts, each after those before it.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, features).
        lengths : torch.Tensor
            Relative lengths in (0, 1], (batch,).
        targets : torch.Tensor
            Transcripts, (batch, tokens).

        Returns
        -------
        HeadOutput
        """
        encoded, counts, auxiliary = self.acoustic.encode(features, lengths)
        logits = self.score(encoded, counts, targets)
        return HeadOutput(self.ctc_log_probs(encoded), counts, auxiliary, encoded, logits)

    @abstractmethod
    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """The head's scores of the tokens of transcripts.

        Arguments
        ---------
        encoded : torch.Tensor
            Output of the stack, (batch, frames, width).
        counts : torch.Tensor
            Frames of each utterance, (batch,).
        targets : torch.Tensor
            Transcripts, (batch, tokens).

        Returns
        -------
        torch.Tensor
            Float32.
        """

    def ctc_log_probs(self, encoded: torch.Tensor) -> torch.Tensor | None:
        """Scores of connectionist temporal classification, if it has a part in the loss.

        Arguments
        ---------
        encoded : torch.Tensor
            Output of the stack, (batch, frames, width).

        Returns
        -------
        torch.Tensor or None
            (batch, frames, vocabulary).
        """
        return self.acoustic.score(encoded) if self.ctc_weight else None


def shifted(targets: torch.Tensor, first: int) -> torch.Tensor:
    """What a head has read before each token: the token before, and a sign for the beginning.

    Arguments
    ---------
    targets : torch.Tensor
        (batch, tokens).
    first : int
        The sign.

    Returns
    -------
    torch.Tensor
        (batch, tokens + 1).

    Example
    -------
    >>> shifted(torch.tensor([[5, 6]]), 0)
    tensor([[0, 5, 6]])
    """
    return nn.functional.pad(targets, (1, 0), value=first)
