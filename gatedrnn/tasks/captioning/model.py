"""The captioner: an encoder of images, recordings or features, and an attention decoder."""

from __future__ import annotations

from gatedrnn.seq2seq.model import EncoderDecoder


class Captioner(EncoderDecoder):
    """Images, recordings or features to captions.

    Arguments
    ---------
    encoder : CaptionEncoder
        One of :data:`~gatedrnn.tasks.captioning.encoders.ENCODERS`.
    decoder : Decoder
        The decoder, with an ``encoder_size`` that is the encoder's ``output_size``.

    Raises
    ------
    ValueError
        If the two sizes differ.

    Example
    -------
    >>> import torch
    >>> from gatedrnn.seq2seq import Decoder
    >>> from gatedrnn.tasks.captioning.encoders import FeatureEncoder
    >>> decoder = Decoder(20, 8, hidden_size=16, embedding_size=12)
    >>> captioner = Captioner(FeatureEncoder(5, 8), decoder)
    >>> targets, rows = torch.tensor([[3, 4, 0], [5, 0, -100]]), torch.tensor([0, 0])
    >>> captioner(torch.rand(1, 9, 5), None, targets, rows).scores.shape  # two captions of an item
    torch.Size([2, 3, 20])
    """
