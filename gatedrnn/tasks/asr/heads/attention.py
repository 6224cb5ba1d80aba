"""An acoustic model under a recurrent decoder that attends to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.cells.registry import find
from gatedrnn.lobes.attentional_decoder import AttentionalRNNDecoder
from gatedrnn.modules.subsampling import valid_frames
from gatedrnn.tasks.asr.heads.base import HeadModel, HeadOutput, shifted
from gatedrnn.tasks.asr.model import CTCModel

#: Of the convolution by which location-aware attention sees where it was: channels, and frames to
#: either side.
LOCATION = {"channels": 10, "kernel_size": 50}


class AttentionModel(HeadModel):
    """Joint connectionist temporal classification and attention (Watanabe et al. 2017).

    The decoder spells with the tokens and two more: :attr:`end` and :attr:`start`.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model.
    vocabulary : int
        Number of its tokens, with the blank.
    network : str
        Recurrence of the decoder: a key that ``gatedrnn list`` prints. (A loss term of its own, as
        the prior of Beta gates, is left out.)
    num_layers : int
        Depth of the decoder.
    hidden_size : int
        K, memory cells of a layer of the decoder.
    proj_size : int or None
        N, width of its output; left out by recurrences without projection.
    embedding_size : int
        Width in which the decoder reads a token.
    attention : str
        ``"location"``, ``"content"`` or ``"keyvalue"``.
    attention_size : int
        Width of the attention.
    dropout : float
        On the decoder's input, and between its layers.
    ctc_weight : float
        Part of connectionist temporal classification in the loss, in [0, 1).
    label_smoothing : float
        Part of the probability that the decoder should spread over all tokens.
    network_options : Mapping or None
        Further options of the recurrence.

    Example
    -------
    >>> acoustic = CTCModel(9, input_size=6, num_layers=2, hidden_size=8, proj_size=4)
    >>> model = AttentionModel(acoustic, 9, network="ran", hidden_size=8, attention_size=8)
    >>> targets = torch.tensor([[3, 4, 5], [6, 0, 0]])
    >>> output = model(torch.rand(2, 30, 6), torch.tensor([1.0, 0.5]), targets)
    >>> output.logits.shape, output.log_probs.shape
    (torch.Size([2, 4, 11]), torch.Size([2, 10, 9]))
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
        attention: str = "location",
        attention_size: int = 256,
        dropout: float = 0.0,
        ctc_weight: float = 0.3,
        label_smoothing: float = 0.1,
        network_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(acoustic, ctc_weight)
        cell = find(network)
        options = dict(network_options or {})
        if proj_size is not None and cell.has_projection:
            options["proj_size"] = proj_size
        self.end, self.start = vocabulary, vocabulary + 1
        self.label_smoothing = label_smoothing
        self.embedding = nn.Embedding(vocabulary + 2, embedding_size)
        self.decoder = AttentionalRNNDecoder(
            nnet.CLASSES[f"{cell.__name__}Cell"],
            attention,
            hidden_size,
            attention_size,
            num_layers,
            enc_dim=acoustic.encoder.output_size,
            input_size=embedding_size,
            dropout=dropout,
            rnn_options=options,
            **(LOCATION if attention == "location" else {}),
        )
        self.output = nn.Linear(self.decoder.hidden_size, vocabulary + 2)

    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Runs the decoder over transcripts: the next token after each beginning of them.

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
            Float32, (batch, tokens + 1, vocabulary + 2).
        """
        read = self.embedding(shifted(targets, self.start))
        decoded, _ = self.decoder(read, encoded, counts / encoded.shape[1])
        return self.output(decoded).float()

    def losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy of the transcripts, each with its end.

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
        wanted = nn.functional.pad(targets, (0, 1)).scatter(1, sizes.unsqueeze(1), self.end)
        inside = valid_frames(sizes + 1, wanted.shape[1])
        losses = nn.functional.cross_entropy(
            output.logits.flatten(0, 1),
            wanted.flatten(),
            reduction="none",
            label_smoothing=self.label_smoothing if self.training else 0.0,
        )
        return (losses.view_as(inside) * inside).sum(1)
