"""The translator: a recurrent encoder of tokens and an attention decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import nn

from gatedrnn.bundle.kind import WIDEST, ModelSpec, check_model_arguments
from gatedrnn.data.config import Range
from gatedrnn.modules.network_options import DropoutRates, build_stack
from gatedrnn.seq2seq.decoder import INIT_RANGE, Decoder
from gatedrnn.seq2seq.decoder_cells import AttentionValue
from gatedrnn.seq2seq.encoder import Encoder, EncoderOutput
from gatedrnn.seq2seq.model import EncoderDecoder

#: Arguments of encoder and decoder that only matter in training.
TRAINING_ONLY = ("dropout", "init")


class TokenEncoder(Encoder):
    """Recurrent encoder of sentences, in one direction or both (Bahdanau et al. 2015).

    The encoder output is the stack's output, a vector for every token.

    Arguments
    ---------
    vocabulary : int
        Number of tokens.
    network, num_layers, hidden_size, proj_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`.
    bidirectional : bool
        Whether a second stack reads from the end.
    embedding_size : int
        Width of the token embedding.
    dropout : float or Mapping
        Of the embedding, between recurrent layers and of the encoder output: see
        :class:`~gatedrnn.modules.DropoutRates`, without ``words`` and ``locked``.

    Example
    -------
    >>> encoder = TokenEncoder(30, "ran", hidden_size=8, embedding_size=12)
    >>> encoded = encoder(torch.randint(30, (2, 5)), torch.tensor([1.0, 0.6]))
    >>> encoded.features.shape, int(encoded.features[1, 3:].count_nonzero())
    (torch.Size([2, 5, 16]), 0)
    """

    def __init__(
        self,
        vocabulary: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 256,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        bidirectional: bool = True,
        embedding_size: int = 256,
        dropout: float | Mapping[str, Any] = 0.0,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        drop = DropoutRates.of(dropout)
        if drop.words or drop.locked:
            raise ValueError("dropout: an encoder of tokens drops neither words nor locked masks")
        stack = build_stack(
            network,
            network_options,
            init,
            proj_size=proj_size,
            input_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=drop.layers,
            bidirectional=bidirectional,
            re_init=False,
        )
        super().__init__(stack.output_size)
        self.drop = drop
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.stack = stack
        nn.init.uniform_(self.embedding.weight, -INIT_RANGE, INIT_RANGE)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes sentences, tokens (batch, time), with relative lengths (batch,)."""
        embedded = self.embedding(source)
        embedded = nn.functional.dropout(embedded, self.drop.embedding, self.training)
        output, _ = self.stack(embedded, lengths=lengths)
        output = nn.functional.dropout(output, self.drop.output, self.training)
        return EncoderOutput(output, lengths, (source.shape[1],))

    def auxiliary_loss(self) -> torch.Tensor | None:
        """The stack's own loss term, of the last forward pass in training."""
        return self.stack.auxiliary_loss() if self.training else None


class Translator(EncoderDecoder):
    """Sentences to their translations: an :class:`~gatedrnn.seq2seq.EncoderDecoder`.

    Example
    -------
    >>> encoder = TokenEncoder(30, "gru", 2, hidden_size=8, embedding_size=12)
    >>> translator = Translator(encoder, Decoder(20, 16, "gru", 2, hidden_size=8))
    >>> sentences, lengths = torch.randint(30, (2, 5)), torch.tensor([1.0, 0.6])
    >>> translator(sentences, lengths, torch.tensor([[3, 4, 0], [7, 0, -100]])).scores.shape
    torch.Size([2, 3, 20])
    """


@dataclass(frozen=True)
class TranslatorSpec(ModelSpec):
    """Specification of a translator: numbers of tokens, arguments of encoder and decoder.

    Arguments of ``TRAINING_ONLY`` are not among them.
    """

    source: Annotated[int, Range(2, WIDEST)]
    vocabulary: Annotated[int, Range(2, WIDEST)]
    encoder: Mapping[str, Any] = field(default_factory=dict)
    decoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        left_out = ("vocabulary", "encoder_size", *TRAINING_ONLY)
        check_model_arguments(TokenEncoder, self.encoder, "encoder", left_out)
        check_model_arguments(Decoder, self.decoder, "decoder", left_out, attention=AttentionValue)

    def build(self) -> Translator:
        """Makes the translator, with weights to be trained or loaded."""
        return make_translator(self.source, self.vocabulary, self.encoder, self.decoder)


def make_translator(
    source: int, target: int, encoder: Mapping[str, Any], decoder: Mapping[str, Any]
) -> Translator:
    """Makes a translator of ``source`` and ``target`` tokens, also with training-only arguments."""
    try:
        token_encoder = TokenEncoder(source, **encoder)
        size = token_encoder.output_size
        return Translator(token_encoder, Decoder(target, size, **decoder))
    except TypeError as error:
        raise ValueError(f"this translator cannot be built: {error}") from error
