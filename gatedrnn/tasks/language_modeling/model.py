"""The language model of the recipes: embedding, a stack of any recurrence, softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.network_options import DropoutRates, build_stack, drop_units
from gatedrnn.modules.softmax import AdaptiveSoftmax, FullSoftmax
from gatedrnn.nnet.stack import Hidden


class TextLoss(NamedTuple):
    """Output of a model for a window with targets.

    losses: negative log-probability of each target, (batch, time)
    hidden: state after the last token
    auxiliary: the recurrence's own loss term in training, summed over the frames; or None
    """

    losses: torch.Tensor
    hidden: Hidden
    auxiliary: torch.Tensor | None


class TextModel(nn.Module):
    """Tokens to scores of the next token.

    It returns (scores, state), as SpeechBrain's ``RNNLMScorer``, ``RNNLMRescorer`` and transducer
    search need it. Everything is computed by ``forward``, so that data parallelism wraps it once.

    Arguments
    ---------
    vocabulary : int
        Number of tokens.
    network, num_layers, hidden_size, proj_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`.
    embedding_size : int or None
        Width of the embedding; ``None``: that of the stack's output.
    tied : bool
        Share the matrix of embedding and output layer. If the stack's output has another width, it
        is projected to that of the embedding.
    cutoffs : sequence of int or None
        Adaptive softmax: see :class:`~gatedrnn.modules.softmax.AdaptiveSoftmax`.
    dropout : float or Mapping
        See :meth:`DropoutRates.of`.
    init_range : float
        Embedding and output layer are initialised uniformly in (-init_range, init_range); the
        recurrence as in its paper, or by its own ``init_range`` in ``network_options``.

    Raises
    ------
    ValueError
        If there is no such recurrence, or a value is impossible.

    Example
    -------
    >>> model = TextModel(20, "ran", num_layers=2, hidden_size=8, tied=True)
    >>> scores, hidden = model(torch.tensor([[0, 3, 7]]))
    >>> scores.shape
    torch.Size([1, 3, 20])
    >>> scores, hidden = model(torch.tensor([4]), hidden)  # one more token of each sequence
    >>> scores.shape
    torch.Size([1, 20])
    """

    def __init__(
        self,
        vocabulary: int,
        network: str = "lstmp",
        num_layers: int = 2,
        hidden_size: int = 650,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        embedding_size: int | None = None,
        tied: bool = False,
        cutoffs: Sequence[int] | None = None,
        dropout: float | Mapping[str, Any] = 0.0,
        init_range: float = 0.05,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        drop = DropoutRates.of(dropout)
        self.drop = drop
        if embedding_size is None:
            projects = nnet.find(network).has_projection and proj_size
            embedding_size = proj_size if projects else hidden_size
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.rnn = build_stack(
            network,
            network_options,
            init,
            proj_size=proj_size,
            input_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=drop.layers,
            re_init=False,
            locked_dropout=drop.locked,
        )
        width = self.rnn.output_size
        self.projection = None
        if tied and width != embedding_size:
            self.projection = nn.Linear(width, embedding_size, bias=False)
            nn.init.uniform_(self.projection.weight, -init_range, init_range)
            width = embedding_size
        if cutoffs and tied:
            raise ValueError("cutoffs: the clusters' matrices cannot be tied to the embedding")
        weight = self.embedding.weight
        self.softmax = (
            AdaptiveSoftmax(width, vocabulary, cutoffs)
            if cutoffs
            else FullSoftmax(width, vocabulary, weight if tied else None)
        )
        nn.init.uniform_(weight, -init_range, init_range)
        self.softmax.reset_parameters(init_range)

    def forward(
        self,
        tokens: torch.Tensor,
        hx: Hidden | None = None,
        targets: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Hidden] | TextLoss:
        """Scores the next token after every token.

        tokens: (batch, time), or (batch,) for one token of each sequence
        hx: state before the first token, as returned; ``None`` at the start
        targets: the next tokens, (batch, time), ``-100`` for none: then losses are returned, and
            an adaptive softmax computes no more than they need
        lengths: relative lengths, (batch,); past them the recurrence's own loss term is not
            counted

        Returns a :class:`TextLoss` if there are targets; otherwise scores, (batch, time,
        vocabulary) or (batch, vocabulary), with an adaptive softmax log-probabilities, and the
        state after the last token.
        """
        single = tokens.dim() == 1
        x = self._drop(self._embed(tokens.unsqueeze(1) if single else tokens), self.drop.embedding)
        output, hidden = self.rnn(x, hx, lengths)
        output = self._drop(output, self.drop.output)
        if self.projection is not None:
            output = self.projection(output)
        if targets is not None:
            auxiliary = self.rnn.auxiliary_loss() if self.training else None
            return TextLoss(self.softmax.losses(output, targets), hidden, auxiliary)
        scores = self.softmax(output)
        return (scores.squeeze(1) if single else scores), hidden

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        weight = self.embedding.weight
        if self.training and self.drop.words:
            kept = torch.ones_like(weight[:, :1])
            weight = weight * nn.functional.dropout(kept, self.drop.words)
        return nn.functional.embedding(tokens, weight)

    def _drop(self, x: torch.Tensor, rate: float) -> torch.Tensor:
        return drop_units(x, rate, self.training, self.drop.locked)
