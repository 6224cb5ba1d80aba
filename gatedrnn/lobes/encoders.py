"""SpeechBrain's convolutional-recurrent encoders, with the lengths passed on to the recurrence.

SpeechBrain's own :class:`~speechbrain.lobes.models.CRDNN.CRDNN` and
:class:`~speechbrain.lobes.models.ESPnetVGG.ESPnetVGG` are called with the features only, so that
the reverse direction of their recurrent layers starts in the padding, and the output of an
utterance depends on its batch. The drop-in replacements here also take ``lengths``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from speechbrain.lobes.models.CRDNN import CRDNN as StockCRDNN
from speechbrain.lobes.models.ESPnetVGG import ESPnetVGG as StockESPnetVGG
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import nn

from gatedrnn.lobes.recurrence import class_name
from gatedrnn.nnet import LSTMP


class LengthsToRecurrence(LengthsCapableSequential):
    """Adds lengths to an encoder of SpeechBrain's that is a ``Sequential`` without lengths.

    Inherit from it *before* the encoder: its ``append`` records which layers take lengths, its
    ``forward(x, lengths=None)`` passes them on. Relative lengths stay valid where pooling shortens
    the sequence, since they are fractions of the length at each layer.

    Arguments
    ---------
    *args, **kwargs
        Those of the encoder.

    Example
    -------
    >>> import torch
    >>> from speechbrain.nnet.containers import Sequential
    >>> from gatedrnn.nnet import RAN
    >>> class Plain(Sequential):
    ...     def __init__(self, input_shape):
    ...         super().__init__(input_shape=input_shape)
    ...         self.append(RAN, hidden_size=4, bidirectional=True)
    >>> class WithLengths(LengthsToRecurrence, Plain):
    ...     pass
    >>> encoder = WithLengths(input_shape=[None, None, 3])
    >>> encoder(torch.rand(2, 8, 3), lengths=torch.tensor([1.0, 0.5]))[1, 4:].abs().max()
    tensor(0., grad_fn=<MaxBackward1>)
    """

    def _require_lengths(self, rnn_class: Any) -> None:
        if not any(self.takes_lengths):
            raise ValueError(
                f"{type(self).__name__}: rnn_class {class_name(rnn_class)} takes no lengths, so "
                "padding would leak into it; use one that does (those of gatedrnn.nnet; RNN, "
                "LSTM and GRU of speechbrain.nnet.RNN), or SpeechBrain's own encoder"
            )


class CRDNN(LengthsToRecurrence, StockCRDNN):
    """SpeechBrain's CRDNN with ``forward(x, lengths=None)``.

    Arguments
    ---------
    input_size : int or None
        Number of features.
    input_shape : tuple or None
        Shape of an example input, instead.
    rnn_class : callable
        A recurrent class whose ``forward`` takes ``lengths``. (SpeechBrain's default, ``LiGRU``,
        does not.) Options go in by ``!name:`` with arguments, or ``functools.partial``.
    **kwargs : Any
        The other arguments of :class:`speechbrain.lobes.models.CRDNN.CRDNN`.

    Raises
    ------
    ValueError
        If ``rnn_class`` takes no lengths.

    Example
    -------
    >>> import torch
    >>> from gatedrnn.nnet import ResidualLSTM
    >>> model = CRDNN(
    ...     input_size=40,
    ...     cnn_channels=[4, 8],
    ...     rnn_class=ResidualLSTM,
    ...     rnn_layers=2,
    ...     rnn_neurons=16,
    ...     dnn_neurons=8,
    ... )
    >>> model(torch.rand(2, 20, 40), lengths=torch.tensor([1.0, 0.6])).shape
    torch.Size([2, 20, 8])
    """

    def __init__(
        self,
        input_size: int | None = None,
        input_shape: Sequence[int | None] | None = None,
        rnn_class: Callable[..., nn.Module] = LSTMP,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_size=input_size, input_shape=input_shape, rnn_class=rnn_class, **kwargs
        )
        if kwargs.get("rnn_layers") != 0:
            self._require_lengths(rnn_class)


class ESPnetVGG(LengthsToRecurrence, StockESPnetVGG):
    """SpeechBrain's ESPnetVGG with ``forward(x, lengths=None)``.

    Arguments
    ---------
    input_shape : tuple
        Shape of an example input.
    rnn_class : callable
        A recurrent class whose ``forward`` takes ``lengths``.
    **kwargs : Any
        The other arguments of :class:`speechbrain.lobes.models.ESPnetVGG.ESPnetVGG`.

    Raises
    ------
    ValueError
        If ``rnn_class`` takes no lengths.

    Example
    -------
    >>> import torch
    >>> from gatedrnn.nnet import RAN
    >>> model = ESPnetVGG(
    ...     [None, None, 40], cnn_channels=[4, 8], rnn_class=RAN, rnn_neurons=16, rnn_layers=2,
    ...     projection_neurons=8,
    ... )
    >>> model(torch.rand(2, 20, 40), lengths=torch.tensor([1.0, 0.6])).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        input_shape: Sequence[int | None],
        rnn_class: Callable[..., nn.Module] = LSTMP,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape=input_shape, rnn_class=rnn_class, **kwargs)
        if kwargs.get("rnn_layers") != 0:
            self._require_lengths(rnn_class)
