"""Classifiers of sequences: frames or words, a stack of any recurrence, one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from gatedrnn.modules.network_options import DropoutRates, build_stack, drop_units
from gatedrnn.nnet.lengths import frame_counts

#: Ways to pool the outputs of a sequence.
POOLINGS = ("last", "mean", "max")
#: Tokens that pad short sequences, and of unknown words.
PADDING, UNKNOWN = 0, 1


class Classified(NamedTuple):
    """Output of a classifier: scores of the classes (batch, classes), unnormalised, and the
    recurrence's own loss term in training, summed over the frames."""

    scores: torch.Tensor
    auxiliary: torch.Tensor | None


class WordEmbedding(nn.Module):
    """Word vectors: trained, or initialized with (or fixed to) pretrained ones.

    Arguments
    ---------
    vocabulary : int
        Number of tokens.
    size : int
        Width of a vector.
    trainable : bool
        Whether training changes them.
    word_dropout : float
        Probability with which a word becomes the unknown one in training, in [0, 1).
    init_range : float
        Initial values are uniform between minus and plus this.
    unknown : int
        The token of unknown words.

    Example
    -------
    >>> embedding = WordEmbedding(5, size=2, trainable=False)
    >>> embedding.fill(["<eos>", "<unk>", "good", "bad"], {"bad": np.array([1.0, 2.0])})
    1
    >>> embedding(torch.tensor([[3]]))
    tensor([[[1., 2.]]])
    """

    def __init__(
        self,
        vocabulary: int,
        size: int = 300,
        trainable: bool = True,
        word_dropout: float = 0.0,
        init_range: float = 0.25,
        unknown: int = UNKNOWN,
    ) -> None:
        super().__init__()
        if not 0.0 <= word_dropout < 1.0:
            raise ValueError(f"word_dropout must be in [0, 1), not {word_dropout}")
        self.output_size, self.word_dropout, self.unknown = size, word_dropout, unknown
        self.table = nn.Embedding(vocabulary, size)
        nn.init.uniform_(self.table.weight, -init_range, init_range)
        self.table.weight.requires_grad_(trainable)

    @torch.no_grad()
    def fill(self, names: Sequence[str], vectors: Mapping[str, np.ndarray]) -> int:
        """Sets vectors of words; returns the number of tokens with a vector.

        Arguments
        ---------
        names : sequence of str
            The tokens' names, in their order.
        vectors : Mapping
            Word -> vector (size,).
        """
        filled = 0
        for token, name in enumerate(names):
            if name in vectors:
                vector = torch.from_numpy(np.array(vectors[name], dtype=np.float32))
                if len(vector) != self.output_size:
                    raise ValueError(
                        f"the word vectors have {len(vector)} numbers, but the embedding's size is "
                        f"{self.output_size}"
                    )
                self.table.weight[token] = vector
                filled += 1
        return filled

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors (batch, time, size) of tokens (batch, time)."""
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped, self.unknown)
        return self.table(tokens)


class SequenceClassifier(nn.Module):
    """Frames or tokens to scores of classes.

    All it computes goes through its ``forward``, so that data parallelism wraps it once. The scores
    of a sequence do not depend on the rest of its batch.

    Arguments
    ---------
    classes : int
        Number of classes.
    inputs : int or torch.nn.Module
        Width of a frame; or a module from tokens to frames with their width as ``output_size``: a
        :class:`WordEmbedding`.
    network, num_layers, hidden_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`; ``proj_size`` is
        one of ``network_options``.
    bidirectional : bool
        Read the sequence in both directions.
    re_init : bool
        Orthogonal recurrent matrices; ``False``: the distribution of the recurrence's paper.
    pooling : str
        ``"last"``: the output after the last frame (of the reverse direction after the first);
        ``"mean"`` or ``"max"`` over the frames.
    dropout : float or Mapping
        See :class:`~gatedrnn.modules.DropoutRates`: ``embedding`` is the rate of the
        frames, ``output`` that of the pooled output; for ``words`` use the embedding's
        ``word_dropout``.

    Example
    -------
    >>> model = SequenceClassifier(10, 28, "slim", hidden_size=100, network_options={"variant": 3})
    >>> sum(weight.numel() for weight in model.parameters())
    14210
    >>> model(torch.rand(2, 28, 28)).scores.shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        classes: int,
        inputs: int | nn.Module,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 100,
        network_options: Mapping[str, Any] | None = None,
        bidirectional: bool = False,
        re_init: bool = False,
        pooling: str = "last",
        dropout: float | Mapping[str, Any] = 0.0,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
        self.pooling, self.drop = pooling, DropoutRates.of(dropout)
        if self.drop.words:
            raise ValueError("dropout: words are dropped by the embedding, as its word_dropout")
        self.embedding = inputs if isinstance(inputs, nn.Module) else None
        self.rnn = build_stack(
            network,
            network_options,
            init,
            input_size=inputs if self.embedding is None else self.embedding.output_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=self.drop.layers,
            re_init=re_init,
            bidirectional=bidirectional,
            locked_dropout=self.drop.locked,
        )
        self.linear = nn.Linear(self.rnn.output_size, classes)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> Classified:
        """Scores the classes of frames (batch, time, width) or tokens (batch, time), with relative
        lengths (batch,).
        """
        if self.embedding is not None:
            x = self.embedding(x)
        x = drop_units(x, self.drop.embedding, self.training, self.drop.locked)
        output, _ = self.rnn(x, lengths=lengths)
        pooled = self._pool(output, lengths)
        pooled = nn.functional.dropout(pooled, self.drop.output, self.training)
        auxiliary = self.rnn.auxiliary_loss() if self.training else None
        return Classified(self.linear(pooled), auxiliary)

    def _pool(self, output: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        batch, frames, width = output.shape
        counts = torch.full((batch,), frames, device=output.device)
        if lengths is not None:
            counts = frame_counts(lengths, frames, batch).to(output.device)
        if self.pooling == "mean":
            # Past the length outputs are zero.
            return output.sum(dim=1) / counts.unsqueeze(1)
        if self.pooling == "max":
            past = torch.arange(frames, device=output.device) >= counts.unsqueeze(1)
            return output.masked_fill(past.unsqueeze(2), -torch.inf).amax(dim=1)
        ends = output[torch.arange(batch, device=output.device), counts - 1]
        half = width // self.rnn.num_directions
        return torch.cat([ends[:, :half], output[:, 0, half:]], dim=1)
