"""Encoder and decoder as one module, with all passes that training needs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.seq2seq.decoder import Decoder
from gatedrnn.seq2seq.encoder import Encoder, EncoderOutput
from gatedrnn.seq2seq.search import SampledSequences, SearchOptions, sample
from gatedrnn.tokens import EOS, IGNORE


class TeacherForcingOutput(NamedTuple):
    """Output of a model under teacher forcing.

    Arguments
    ---------
    scores : torch.Tensor
        Logits of the target tokens, (targets, time, vocabulary).
    auxiliary : torch.Tensor or None
        In training, further loss terms, summed over the targets.
    encoded : EncoderOutput
        The encoder output of the sources.
    """

    scores: torch.Tensor
    auxiliary: torch.Tensor | None
    encoded: EncoderOutput

    def cross_entropy(self, targets: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
        """Cross-entropy plus the auxiliary loss terms, summed over the target tokens, a scalar.

        Arguments
        ---------
        targets : torch.Tensor
            (targets, time); -100 is ignored.
        label_smoothing : float
            Fraction of the probability that is spread over all tokens, in [0, 1).
        """
        total = nn.functional.cross_entropy(
            self.scores.flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
        return total if self.auxiliary is None else total + self.auxiliary


class EncoderDecoder(nn.Module):
    """Encoder and attention decoder.

    It is one module and all that is trained goes through its ``forward``, so that data parallelism
    wraps it once.

    Arguments
    ---------
    encoder : Encoder
        The encoder.
    decoder : Decoder
        The decoder, with an ``encoder_size`` that is the encoder's ``output_size``.

    Raises
    ------
    ValueError
        If the two sizes differ.

    Example
    -------
    >>> class Projection(Encoder):
    ...     def __init__(self):
    ...         super().__init__(8)
    ...         self.linear = nn.Linear(5, 8)
    ...     def forward(self, source, lengths=None):
    ...         return EncoderOutput(self.linear(source), lengths)
    >>> model = EncoderDecoder(Projection(), Decoder(20, 8, hidden_size=16, embedding_size=12))
    >>> targets = torch.tensor([[3, 0], [4, 0], [0, -100]])
    >>> rows = torch.tensor([0, 0, 1])  # two targets of the first source, one of the second
    >>> output = model(torch.rand(2, 9, 5), None, targets, rows)
    >>> output.scores.shape, output.cross_entropy(targets).shape
    (torch.Size([3, 2, 20]), torch.Size([]))
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        if encoder.output_size != decoder.encoder_size:
            raise ValueError(
                f"the encoder's output is {encoder.output_size} wide, but the decoder reads one of "
                f"{decoder.encoder_size}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self._frozen = False

    def freeze_encoder(self) -> None:
        """Excludes the encoder from training: no gradients, normalization as in evaluation."""
        self._frozen = True
        self.encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> EncoderDecoder:
        """Sets the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self._frozen:
            self.encoder.eval()
        return self

    def encode(self, source: torch.Tensor, lengths: torch.Tensor | None = None) -> EncoderOutput:
        """Encodes sources (batch, ...) with relative lengths (batch,)."""
        return self.encoder(source, lengths)

    def forward(
        self,
        source: torch.Tensor,
        lengths: torch.Tensor | None,
        targets: torch.Tensor | None = None,
        rows: torch.Tensor | None = None,
        sampling_probability: float = 0.0,
        samples: int = 0,
        options: SearchOptions | None = None,
    ) -> TeacherForcingOutput | SampledSequences:
        """Encodes every source once, then scores targets or samples sequences.

        Arguments
        ---------
        source : torch.Tensor
            What the encoder reads, (batch, ...).
        lengths : torch.Tensor or None
            Relative lengths, (batch,).
        targets : torch.Tensor or None
            Target tokens, each target with ``<eos>`` at its end, then -100, (targets, time).
        rows : torch.Tensor or None
            Index of each target's source, int64, (targets,); ``None``: one target per source.
        sampling_probability : float
            Of scheduled sampling, see :class:`~gatedrnn.seq2seq.decoder.Decoder`.
        samples : int
            Number of sequences to sample of each source; 0 to score targets instead.
        options : SearchOptions or None
            Options of the sampling.

        Returns
        -------
        TeacherForcingOutput or SampledSequences
            The latter with gradients.

        Raises
        ------
        ValueError
            If there are no ``rows`` and not as many targets as sources.
        """
        encoded = self.encode(source, lengths)
        if samples:
            return sample(self, encoded, samples, options=options or SearchOptions())
        if rows is not None:
            selected = encoded.select(rows)
        elif len(targets) == len(encoded.features):
            selected = encoded
        else:
            raise ValueError(
                f"targets: {len(targets)} targets of {len(encoded.features)} sources; without rows "
                "there must be one of each"
            )
        inputs = nn.functional.pad(targets[:, :-1], (1, 0), value=EOS)
        output = self.decoder(inputs.where(inputs != IGNORE, EOS), selected, sampling_probability)
        auxiliary = output.auxiliary
        own = self.encoder.auxiliary_loss() if self.training else None
        if own is not None:
            auxiliary = own if auxiliary is None else auxiliary + own
        return TeacherForcingOutput(output.scores, auxiliary, encoded)
