"""Base class of models with a head above the acoustic model."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.tasks.asr.decode import IncrementalSearch, Scores, SearchOptions
from gatedrnn.tasks.asr.lm_fusion import Fusion
from gatedrnn.tasks.asr.model import CTCModel, ctc_losses
from gatedrnn.tokens.hypotheses import Hypothesis


class HeadOutput(NamedTuple):
    """Output of a model with a head; the first three are those of :class:`CTCModel`.

    log_probs: of CTC, (batch, frames, vocabulary); None if CTC has no part in the loss
    counts: frames of each utterance, (batch,)
    auxiliary: the acoustic stack's own loss term, summed over the valid frames; or None
    encoded: input of the head, (batch, frames, width)
    logits: float32 scores of the head
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    auxiliary: torch.Tensor | None
    encoded: torch.Tensor
    logits: torch.Tensor


class HeadModel(nn.Module):
    """An acoustic model with a head, trained with the head's loss and CTC.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model; its output layer is that of CTC.
    ctc_weight : float
        Weight of the CTC loss, in [0, 1).

    Raises
    ------
    ValueError
        If the weight is out of its range.
    """

    #: Key of the model among :data:`gatedrnn.tasks.asr.heads.HEADS`.
    head: str

    def __init__(self, acoustic: CTCModel, ctc_weight: float) -> None:
        super().__init__()
        if not 0.0 <= ctc_weight < 1.0:
            raise ValueError(
                f"ctc_weight must be at least 0 and below 1 (head: ctc is for that), not "
                f"{ctc_weight}"
            )
        self.acoustic = acoustic
        self.ctc_weight = ctc_weight
        # Data parallelism waits for the gradients of all parameters with requires_grad.
        acoustic.output.requires_grad_(ctc_weight > 0)

    @property
    def encoder(self) -> nn.Module:
        """The recurrent stack."""
        return self.acoustic.encoder

    @property
    def factor(self) -> int:
        """Subsampling factor."""
        return self.acoustic.factor

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor
    ) -> HeadOutput:
        """Scores the tokens of transcripts, each given those before it.

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
        """Float32 scores of the tokens of transcripts.

        encoded: encoder output, (batch, frames, width)
        counts: frames of each utterance, (batch,)
        targets: transcripts, (batch, tokens)
        """

    @abstractmethod
    def head_losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Loss of the head for each utterance, (batch,); arguments as of :meth:`losses`."""

    def losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Weighted sum of the losses of head and CTC for each utterance, (batch,).

        output: of ``forward``
        targets: transcripts, (batch, tokens)
        sizes: tokens of each transcript, (batch,)
        """
        losses = self.head_losses(output, targets, sizes)
        if output.log_probs is None:
            return losses
        ctc = ctc_losses(output.log_probs, output.counts, targets, sizes)
        return (1.0 - self.ctc_weight) * losses + self.ctc_weight * ctc

    def ctc_log_probs(self, encoded: torch.Tensor) -> torch.Tensor | None:
        """CTC log-probabilities, (batch, frames, vocabulary); None if ``ctc_weight`` is 0."""
        return self.acoustic.score(encoded) if self.ctc_weight else None

    def scores(self, features: torch.Tensor, lengths: torch.Tensor) -> Scores:
        """Input of the search; arguments as of ``forward``."""
        encoded, counts, _ = self.acoustic.encode(features, lengths)
        return Scores(self.ctc_log_probs(encoded), counts, encoded)

    @abstractmethod
    def search(self, scores: Scores, options: SearchOptions) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance; see :func:`gatedrnn.tasks.asr.decode.search`."""

    def incremental_search(
        self, options: SearchOptions, fusion: Fusion | None = None
    ) -> IncrementalSearch:
        """Search of one utterance, frames at a time; a ValueError if there is none."""
        raise ValueError(
            f"head {self.head} cannot stream: it needs the whole utterance for each token; train "
            "with head: ctc or transducer"
        )

    @abstractmethod
    def internal_log_probs(self, targets: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Log-probabilities by the internal language model, (batch,), double, on the CPU.

        targets: token sequences, (batch, tokens)
        sizes: length of each, (batch,)
        """


def shifted(targets: torch.Tensor, first: int) -> torch.Tensor:
    """Input of a decoder: (batch, tokens) to (batch, tokens + 1) with ``first`` in front.

    Example
    -------
    >>> shifted(torch.tensor([[5, 6]]), 0)
    tensor([[0, 5, 6]])
    """
    return nn.functional.pad(targets, (1, 0), value=first)


def sum_log_probs(
    log_probs: torch.Tensor, targets: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """Sum of (batch, tokens, vocabulary) at the targets (batch, tokens) up to sizes (batch,)."""
    chosen = log_probs.gather(2, targets.unsqueeze(2)).squeeze(2).double()
    inside = torch.arange(targets.shape[1], device=sizes.device) < sizes.unsqueeze(1)
    return chosen.masked_fill(~inside, 0.0).sum(1).cpu()
