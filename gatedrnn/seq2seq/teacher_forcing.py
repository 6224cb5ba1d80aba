"""A captioner with all that training asks of it in one ``forward``, for data parallelism."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.seq2seq.search import CaptionSearch, SampledCaptions, sample
from gatedrnn.tasks.captioning.data import IGNORE
from gatedrnn.tasks.captioning.model import Captioner
from gatedrnn.tokens.vocabulary import EOS


class Taught(NamedTuple):
    """What a captioner makes of its items and their references.

    Arguments
    ---------
    scores : torch.Tensor
        Of the words of the references, (captions, time, vocabulary).
    auxiliary : torch.Tensor or None
        Further loss terms, summed over the captions.
    memory : Memory
        The items.
    """

    scores: torch.Tensor
    auxiliary: torch.Tensor | None
    memory: Memory


class TaughtCaptioner(nn.Module):
    """Scores references, or draws captions.

    Arguments
    ---------
    captioner : Captioner
        The captioner.

    Example
    -------
    >>> from gatedrnn.seq2seq.decoder import CaptionDecoder
    >>> from gatedrnn.tasks.captioning.encoders import FeatureEncoder
    >>> decoder = CaptionDecoder(20, 8, hidden_size=16, embedding_size=12)
    >>> taught = TaughtCaptioner(Captioner(FeatureEncoder(5, 8), decoder))
    >>> rows, targets = torch.tensor([0, 0, 1]), torch.tensor([[3, 0], [4, 0], [0, -100]])
    >>> taught(torch.rand(2, 9, 5), None, rows, targets).scores.shape
    torch.Size([3, 2, 20])
    """

    def __init__(self, captioner: Captioner) -> None:
        super().__init__()
        self.captioner = captioner

    def forward(
        self,
        media: torch.Tensor,
        lengths: torch.Tensor | None,
        rows: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        sampled_share: float = 0.0,
        samples: int = 0,
        search: CaptionSearch | None = None,
    ) -> Taught | SampledCaptions:
        """Encodes items once, and reads or draws captions of them.

        Arguments
        ---------
        media : torch.Tensor
            What the encoder reads.
        lengths : torch.Tensor or None
            Relative lengths, (items,).
        rows : torch.Tensor or None
            To which item each reference belongs, (captions,).
        targets : torch.Tensor or None
            Words of each reference and ``<eos>``, then ``IGNORE``.
        sampled_share : float
            Of scheduled sampling.
        samples : int
            Captions to draw of each item; 0 to read references instead.
        search : CaptionSearch or None
            Which captions may be drawn.

        Returns
        -------
        Taught or SampledCaptions
            The latter with gradients.
        """
        memory = self.captioner.encode(media, lengths)
        if samples:
            options = search or CaptionSearch()
            return sample(self.captioner, memory, samples, options=options)
        words = nn.functional.pad(targets[:, :-1], (1, 0), value=EOS)
        read = memory.select(rows)
        found = self.captioner.decoder(words.where(words != IGNORE, EOS), read, sampled_share)
        auxiliary = found.auxiliary
        own = self.captioner.encoder.auxiliary_loss() if self.training else None
        if own is not None:
            auxiliary = own if auxiliary is None else auxiliary + own
        return Taught(found.scores, auxiliary, memory)
