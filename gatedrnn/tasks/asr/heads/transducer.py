"""An acoustic model under a transducer's prediction and joint network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from speechbrain.nnet.transducer.transducer_joint import Transducer_joint
from torch import nn
from torchaudio.functional import rnnt_loss

from gatedrnn import nnet
from gatedrnn.tasks.asr.heads.base import HeadModel, HeadOutput, shifted
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tokens import BLANK


class TransducerModel(HeadModel):
    """A recurrent transducer (Graves 2012) with a recurrence of any kind in both networks.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model: the transcription network.
    vocabulary : int
        Number of tokens, with the blank.
    network : str
        Recurrence of the prediction network: a key that ``gatedrnn list`` prints. (A loss term of
        its own, as the prior of Beta gates, is left out.)
    num_layers : int
        Depth of the prediction network.
    hidden_size : int
        K, memory cells of a layer of the prediction network.
    proj_size : int or None
        N, width of its output; left out by recurrences without projection.
    embedding_size : int
        Width in which the prediction network reads a token.
    joint_size : int
        Width in which both networks meet.
    dropout : float
        On what the prediction network reads, and between its layers.
    ctc_weight : float
        Part of connectionist temporal classification in the loss, in [0, 1).
    network_options : Mapping or None
        Further options of the recurrence.

    Example
    -------
    >>> acoustic = CTCModel(9, input_size=6, num_layers=2, hidden_size=8, proj_size=4)
    >>> model = TransducerModel(acoustic, 9, network="ran", hidden_size=8, joint_size=8)
    >>> targets = torch.tensor([[3, 4, 5], [6, 0, 0]])
    >>> output = model(torch.rand(2, 30, 6), torch.tensor([1.0, 0.5]), targets)
    >>> output.logits.shape
    torch.Size([2, 10, 4, 9])
    >>> model.losses(output, targets, torch.tensor([3, 1])).shape
    torch.Size([2])
    """

    def __init__(
        self,
        acoustic: CTCModel,
        vocabulary: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 256,
        proj_size: int | None = None,
        embedding_size: int = 128,
        joint_size: int = 256,
        dropout: float = 0.0,
        ctc_weight: float = 0.3,
        network_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(acoustic, ctc_weight)
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.prediction = nnet.build(
            network,
            proj_size=proj_size,
            input_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            **dict(network_options or {}),
        )
        self.from_acoustic = nn.Linear(acoustic.encoder.output_size, joint_size)
        self.from_prediction = nn.Linear(self.prediction.output_size, joint_size, bias=False)
        self.joint = Transducer_joint(joint="sum", nonlinearity=nn.Tanh)
        self.output = nn.Linear(joint_size, vocabulary)

    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Scores the next token in every frame, after each beginning of the transcripts.

        Arguments
        ---------
        encoded : torch.Tensor
            Output of the stack, (batch, frames, width).
        counts : torch.Tensor
            Frames of each utterance, (batch,); not needed.
        targets : torch.Tensor
            Transcripts, (batch, tokens).

        Returns
        -------
        torch.Tensor
            Float32, (batch, frames, tokens + 1, vocabulary).
        """
        return self.meet(self.from_acoustic(encoded), targets)

    def meet(self, transcribed: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Joins what was heard with what was read.

        Arguments
        ---------
        transcribed : torch.Tensor
            The acoustic model's part, (batch, frames, joint_size).
        targets : torch.Tensor
            Transcripts, (batch, tokens).

        Returns
        -------
        torch.Tensor
            Float32, (batch, frames, tokens + 1, vocabulary).
        """
        # In the search, too, the blank is what stands before the first token.
        read = self.dropout(self.embedding(shifted(targets, BLANK)))
        predicted = self.from_prediction(self.prediction(read)[0])
        return self.output(self.joint(transcribed.unsqueeze(2), predicted.unsqueeze(1))).float()

    def losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Negative log-probability of the transcripts, over all alignments.

        Arguments
        ---------
        output : HeadOutput
            Of :meth:`forward`.
        targets : torch.Tensor
            Transcripts, (batch, tokens).
        sizes : torch.Tensor
            Tokens of each, (batch,).

        Returns
        -------
        torch.Tensor
            (batch,).
        """
        return transducer_losses(output.logits, targets, output.counts, sizes)


def transducer_losses(
    logits: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """Negative log-probabilities of transcripts, summed over all alignments.

    Arguments
    ---------
    logits : torch.Tensor
        Float32, (batch, frames, tokens + 1, vocabulary).
    targets : torch.Tensor
        Transcripts, (batch, tokens).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    sizes : torch.Tensor
        Tokens of each transcript, (batch,).

    Returns
    -------
    torch.Tensor
        (batch,).

    Example
    -------
    >>> logits = torch.zeros(1, 3, 2, 4)
    >>> loss = transducer_losses(logits, torch.tensor([[2]]), torch.tensor([3]), torch.tensor([1]))
    >>> round(float((-loss).exp()) * 4**4)  # alignments: the token in any of three frames
    3
    """
    # torchaudio's wants the batch cut to its longest members.
    frames, tokens = int(counts.max()), int(sizes.max())
    logits = logits[:, :frames, : tokens + 1].contiguous()
    if tokens == 0:
        # Nothing but blanks; torchaudio's kernels cannot have no targets at all.
        blanks = logits[:, :, 0].log_softmax(-1)[:, :, BLANK]
        inside = torch.arange(frames, device=counts.device) < counts.unsqueeze(1)
        return -(blanks * inside).sum(1)
    return rnnt_loss(
        logits,
        targets[:, :tokens].int().contiguous(),
        counts.int(),
        sizes.int(),
        blank=BLANK,
        reduction="none",
    )
