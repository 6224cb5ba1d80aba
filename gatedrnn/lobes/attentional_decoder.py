"""The attentional decoder with any recurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from speechbrain.nnet.RNN import AttentionalRNNDecoder as StockDecoder
from torch import nn

from gatedrnn.lobes.recurrence import build, class_name, is_one_frame, output_width


class AttentionalRNNDecoder(StockDecoder):
    """SpeechBrain's decoder with attention, around a recurrence given as a class.

    SpeechBrain's own knows the names ``"rnn"``, ``"gru"`` and ``"lstm"`` only.
    ``S2SRNNGreedySearcher`` and ``S2SRNNBeamSearcher`` search with either.

    Arguments
    ---------
    rnn_class : callable
        A recurrent class that takes one frame at a call: a ``*Cell`` of :mod:`gatedrnn.nnet` or of
        SpeechBrain.
    attn_type : str
        ``"content"``, ``"location"`` or ``"keyvalue"``.
    hidden_size : int
        ``hidden_size`` of the recurrence. The decoder's output is as wide as the recurrence's:
        ``hidden_size``, or ``proj_size`` where that is given.
    attn_dim : int
        Width of the attention.
    num_layers : int
        Number of recurrent layers.
    enc_dim : int
        Width of the encoder's output.
    input_size : int
        Width of the token embedding.
    re_init : bool
        ``re_init`` of the recurrence.
    bias : bool
        ``bias`` of the recurrence.
    dropout : float
        Dropout on the input and between recurrent layers.
    rnn_options : Mapping or None
        Further arguments of ``rnn_class``, such as ``proj_size``.
    **kwargs : Any
        Arguments of the attention: ``scaling``, ``channels`` and ``kernel_size``.

    Raises
    ------
    TypeError
        If ``rnn_class`` is not a class that takes one frame at a call.

    Example
    -------
    >>> import torch
    >>> from gatedrnn.nnet import HighwayLSTMCell
    >>> decoder = AttentionalRNNDecoder(
    ...     HighwayLSTMCell, "content", hidden_size=7, attn_dim=5, num_layers=2, enc_dim=20,
    ...     input_size=6, rnn_options={"proj_size": 4},
    ... )
    >>> output, attention = decoder(torch.rand(4, 5, 6), torch.rand(4, 10, 20), torch.ones(4))
    >>> output.shape, attention.shape
    (torch.Size([4, 5, 4]), torch.Size([4, 5, 10]))
    """

    def __init__(
        self,
        rnn_class: Callable[..., nn.Module],
        attn_type: str,
        hidden_size: int,
        attn_dim: int,
        num_layers: int,
        enc_dim: int,
        input_size: int,
        re_init: bool = True,
        bias: bool = True,
        dropout: float = 0.0,
        rnn_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        width_in = input_size + attn_dim
        rnn = build(
            "AttentionalRNNDecoder",
            rnn_class,
            width_in,
            rnn_options,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            dropout=dropout if num_layers > 1 else 0.0,
            re_init=re_init,
        )
        name = class_name(rnn_class)
        if not is_one_frame(rnn):
            raise TypeError(
                "AttentionalRNNDecoder: rnn_class must take one frame at a call, but "
                f"{name} runs over sequences; use a *Cell class such as gatedrnn.nnet.LSTMPCell"
            )
        super().__init__(
            # A recurrence of SpeechBrain's is made here by name, as small as can be, and replaced.
            "rnn",
            attn_type,
            output_width(rnn, (1, width_in)),
            attn_dim,
            num_layers=1,
            enc_dim=enc_dim,
            input_size=1,
            re_init=False,
            bias=bias,
            dropout=dropout,
            **kwargs,
        )
        self.rnn = rnn
        self.rnn_type = name.lower()
        self.num_layers = num_layers
        self.re_init = re_init
