"""A recurrent language model of any recurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from speechbrain.lobes.models.RNNLM import RNNLM as StockRNNLM
from torch import nn

from gatedrnn.lobes.recurrence import ONE_FRAME, build, class_name, output_width
from gatedrnn.nnet import LSTMP
from gatedrnn.nnet.stack import Hidden


class RNNLM(StockRNNLM):
    """Embedding, recurrence, feed-forward blocks, output layer.

    It stands wherever SpeechBrain's :class:`~speechbrain.lobes.models.RNNLM.RNNLM` does
    (``RNNLMScorer``, ``RNNLMRescorer``, transducer fusion: these need ``return_hidden=True``), and
    its parameters have the same names. Beyond it, the output of the recurrence may have any width,
    LiGRU and SLiGRU work too, and there may be no feed-forward block.

    Arguments
    ---------
    output_neurons : int
        Size of the vocabulary.
    embedding_dim : int
        Width of the embedding.
    dropout : float
        Dropout on the embedding, inside the recurrence and in the feed-forward blocks.
    rnn_class : callable
        A recurrent class over sequences, ours or SpeechBrain's.
    rnn_layers : int
        Number of recurrent layers.
    rnn_neurons : int
        ``hidden_size`` of the recurrence.
    rnn_re_init : bool
        ``re_init`` of the recurrence.
    dnn_blocks : int
        Number of feed-forward blocks; 0 for none.
    dnn_neurons : int
        Width of the feed-forward blocks.
    rnn_options : Mapping or None
        Further arguments of ``rnn_class``, such as ``proj_size``.
    tie_embedding : bool
        Use the output layer's matrix as the embedding.
    **kwargs : Any
        The other arguments of SpeechBrain's class: ``activation`` and ``return_hidden``.

    Raises
    ------
    TypeError
        If ``rnn_class`` is not a class over sequences.
    ValueError
        If the recurrence is bidirectional, or the widths do not allow a tied embedding.

    Example
    -------
    >>> import torch
    >>> from gatedrnn.nnet import ResidualLSTM
    >>> lm = RNNLM(
    ...     20, 8, rnn_class=ResidualLSTM, rnn_neurons=16, rnn_options={"proj_size": 8},
    ...     dnn_neurons=8, return_hidden=True,
    ... )
    >>> logits, hidden = lm(torch.tensor([[1, 2, 3]]))
    >>> logits.shape
    torch.Size([1, 3, 20])
    >>> logits, hidden = lm(torch.tensor([4]), hx=hidden)  # one more token of each sequence
    >>> logits.shape
    torch.Size([1, 20])
    """

    def __init__(
        self,
        output_neurons: int,
        embedding_dim: int = 128,
        *,
        dropout: float = 0.15,
        rnn_class: Callable[..., nn.Module] = LSTMP,
        rnn_layers: int = 2,
        rnn_neurons: int = 1024,
        rnn_re_init: bool = False,
        dnn_blocks: int = 1,
        dnn_neurons: int = 512,
        rnn_options: Mapping[str, Any] | None = None,
        tie_embedding: bool = False,
        **kwargs: Any,
    ) -> None:
        rnn = build(
            "RNNLM",
            rnn_class,
            embedding_dim,
            rnn_options,
            hidden_size=rnn_neurons,
            num_layers=rnn_layers,
            dropout=dropout,
            re_init=rnn_re_init,
        )
        if isinstance(rnn, ONE_FRAME):
            name = class_name(rnn_class)
            raise TypeError(
                f"RNNLM: rnn_class must run over sequences, but {name} takes one frame; use "
                f"{name.removesuffix('Cell')}"
            )
        if getattr(rnn, "bidirectional", False):
            raise ValueError(
                "RNNLM: a bidirectional recurrence sees the tokens it is to predict; leave "
                "bidirectional out"
            )
        width = output_width(rnn, (1, 1, embedding_dim))
        top_width = dnn_neurons if dnn_blocks else width
        if tie_embedding and top_width != embedding_dim:
            raise ValueError(
                f"RNNLM: tie_embedding needs embedding_dim ({embedding_dim}) to be the width "
                f"below the output layer, "
                f"{'dnn_neurons' if dnn_blocks else 'that of the recurrence'} ({top_width})"
            )
        super().__init__(
            output_neurons,
            embedding_dim,
            dropout=dropout,
            # SpeechBrain's class takes the width of the output for that of the hidden state.
            rnn_class=lambda **_: rnn,
            rnn_neurons=width,
            dnn_blocks=dnn_blocks,
            dnn_neurons=top_width,
            **kwargs,
        )
        if tie_embedding:
            # The output layer's initial values, not the embedding's: with those, of variance
            # one, the first predictions would be far too confident.
            self.embedding.Embedding.weight = self.out.w.weight

    def forward(
        self, x: torch.Tensor, hx: Hidden | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, Hidden]:
        """Scores the next token after every token.

        x: tokens, (batch, time), or (batch,) for one token of each sequence
        hx: state before the first token, as returned; ``None`` at the start
        Returns: logits, (batch, time, vocabulary) or (batch, vocabulary); with ``return_hidden``
            also the state after the last token
        """
        one_token = x.dim() == 1
        embedded = self.dropout(self.embedding(x.unsqueeze(1) if one_token else x))
        output, hidden = self.rnn(embedded, hx)
        logits = self.out(self.dnn(output))
        if one_token:
            logits = logits.squeeze(1)
        return (logits, hidden) if self.return_hidden else logits
