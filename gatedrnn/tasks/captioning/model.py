"""Encoder and decoder of captions as one module."""

from __future__ import annotations

import torch
from torch import nn

from gatedrnn.seq2seq.decoder import CaptionDecoder, CaptionOutput
from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.tasks.captioning.encoders import MemoryEncoder


class Captioner(nn.Module):
    """Media and captions to scores of the captions' words.

    It is one module and all that is trained goes through its ``forward``, so that data parallelism
    wraps it once.

    Arguments
    ---------
    encoder : MemoryEncoder
        Makes a memory of media.
    decoder : CaptionDecoder
        Reads captions.

    Raises
    ------
    ValueError
        If the encoder's memory has another width than the decoder reads.

    Example
    -------
    >>> from gatedrnn.tasks.captioning.encoders import FeatureEncoder
    >>> decoder = CaptionDecoder(20, 8, hidden_size=16, embedding_size=12)
    >>> captioner = Captioner(FeatureEncoder(5, 8), decoder)
    >>> captions = torch.tensor([[0, 3, 4], [0, 5, 0], [0, 9, 3], [0, 7, 0]])
    >>> captioner(torch.rand(2, 9, 5), None, captions).scores.shape  # two captions of each item
    torch.Size([4, 3, 20])
    """

    def __init__(self, encoder: MemoryEncoder, decoder: CaptionDecoder) -> None:
        super().__init__()
        if encoder.output_size != decoder.memory_size:
            raise ValueError(
                f"the encoder's memory is {encoder.output_size} wide, but the decoder reads one of "
                f"{decoder.memory_size}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self._frozen = False

    def freeze_encoder(self) -> None:
        """Leaves the encoder as it is: it gets no gradients, and normalises as in evaluation."""
        self._frozen = True
        self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Captioner:
        """Sets the mode; a frozen encoder stays in that of evaluation.

        Arguments
        ---------
        mode : bool
            Whether to train.

        Returns
        -------
        Captioner
            Itself.
        """
        super().train(mode)
        if self._frozen:
            self.encoder.eval()
        return self

    def encode(self, media: torch.Tensor, lengths: torch.Tensor | None = None) -> Memory:
        """Makes a memory.

        Arguments
        ---------
        media : torch.Tensor
            What the encoder reads.
        lengths : torch.Tensor or None
            Relative lengths, (batch,).

        Returns
        -------
        Memory
        """
        return self.encoder(media, lengths)

    def forward(
        self,
        media: torch.Tensor,
        media_lengths: torch.Tensor | None,
        tokens: torch.Tensor,
        sampled_share: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> CaptionOutput:
        """Reads captions of items.

        Arguments
        ---------
        media : torch.Tensor
            What the encoder reads.
        media_lengths : torch.Tensor or None
            Relative lengths, (batch,).
        tokens : torch.Tensor
            Captions as :class:`CaptionDecoder` reads them, (batch * n, time): n of each item, one
            after another. Each item is encoded once.
        sampled_share : float
            Of scheduled sampling.
        generator : torch.Generator or None
            Decides what is drawn.

        Returns
        -------
        CaptionOutput

        Raises
        ------
        ValueError
            If items do not have as many captions each.
        """
        memory = self.encode(media, media_lengths)
        items, captions = len(memory.features), len(tokens)
        if captions % items:
            raise ValueError(f"{captions} captions cannot be shared evenly by {items} items")
        output = self.decoder(tokens, memory.repeat(captions // items), sampled_share, generator)
        own = self.encoder.auxiliary_loss() if self.training else None
        if own is None:
            return output
        return output._replace(
            auxiliary=own if output.auxiliary is None else output.auxiliary + own
        )
