"""The acoustic model of the recipes: fewer frames, a recurrent stack, scores of the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from speechbrain.nnet.RNN import LSTM
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.initialisation import init_weights
from gatedrnn.modules.subsampling import ConvSubsampling, FrameStacking, valid_frames
from gatedrnn.nnet import RecurrentStack, frame_counts


class StockLSTM(LSTM):
    """SpeechBrain's LSTM where a stack of ours would stand, to be compared with.

    Arguments
    ---------
    input_size : int
        Width of the input.
    hidden_size : int
        Width of a layer and direction.
    num_layers : int
        Depth.
    bidirectional : bool
        Whether a second stack reads from the end.
    dropout : float
        Between layers.
    init_range : float or None
        Not used, so that it may stay where a recurrence of ours stood: SpeechBrain's starting
        values are its own.

    Example
    -------
    >>> output, _ = StockLSTM(3, 4, 2)(torch.rand(2, 22, 3), lengths=torch.tensor([1.0, 13 / 22]))
    >>> bool(output[1, 12].any()), bool(output[1, 13].any())
    (True, False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool = False,
        dropout: float = 0.0,
        init_range: float | None = None,
    ) -> None:
        super().__init__(
            hidden_size,
            input_size=input_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.bidirectional = bidirectional
        self.output_size = hidden_size * (2 if bidirectional else 1)

    def forward(
        self, x: torch.Tensor, hx: Any = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Runs the stack.

        Arguments
        ---------
        x : torch.Tensor
            (batch, frames, input_size).
        hx : tuple or None
            State to begin with.
        lengths : torch.Tensor or None
            Relative lengths.

        Returns
        -------
        output, state
            As of SpeechBrain's.
        """
        frames = x.shape[1]
        if lengths is not None:
            # SpeechBrain cuts fractions of a frame off, and with them a frame where a length in
            # frames is not quite whole.
            lengths = (torch.round(lengths * frames) + 0.25) / frames
        output, state = super().forward(x, hx, lengths)
        return nn.functional.pad(output, (0, 0, 0, frames - output.shape[1])), state


class Encoded(NamedTuple):
    """What the recurrent stack makes of a batch.

    Arguments
    ---------
    output : torch.Tensor
        (batch, frames, width).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    auxiliary : torch.Tensor or None
        The stack's own loss term, summed over the valid frames.
    """

    output: torch.Tensor
    counts: torch.Tensor
    auxiliary: torch.Tensor | None


class CTCModel(nn.Module):
    """Features to log-probabilities of tokens, for connectionist temporal classification.

    It is one module, so that data parallelism wraps it once, and everything it computes goes
    through its ``forward``.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, with the blank, which is token 0.
    input_size : int
        Number of features.
    network : str
        A key that ``gatedrnn list`` prints; or ``"stock_lstm"``, SpeechBrain's own, without
        projection.
    num_layers : int
        Depth of the stack.
    hidden_size : int
        K, memory cells of a layer.
    proj_size : int or None
        N, width of a layer's output; left out by recurrences without projection.
    bidirectional : bool
        Whether a second stack reads from the end.
    dropout : float
        Between layers, and before the output layer.
    network_options : Mapping or None
        Further options of the recurrence, such as ``{"variant": "5g"}``.
    encoder : nn.Module or None
        A stack to use instead of the one that the five arguments above describe; called as
        ``encoder(x, hx=None, lengths=None)``; with ``output_size``.
    subsampling : str
        ``"stack"``: :class:`FrameStacking`; ``"conv"``: :class:`ConvSubsampling`.
    factor : int
        Frames that are stacked into one.
    channels : int
        Channels of the convolutions.
    init : Mapping or None
        Initial values of weights of the stack: see ``init_weights``.
    bptt_frames : int
        Truncated back-propagation through time: gradients go back at most to the last multiple of
        so many (stacked) frames, the state goes on; 0 for the whole utterance.

    Raises
    ------
    ValueError
        If there is no such recurrence or subsampling, or truncation is asked of a bidirectional
        stack.

    Example
    -------
    >>> model = CTCModel(30, num_layers=2, hidden_size=16, proj_size=8, network="highway")
    >>> log_probs, counts, auxiliary = model(torch.rand(2, 31, 80), torch.tensor([1.0, 0.5]))
    >>> log_probs.shape, counts, auxiliary
    (torch.Size([2, 11, 30]), tensor([11,  6]), None)
    """

    def __init__(
        self,
        vocabulary: int,
        input_size: int = 80,
        network: str = "residual",
        num_layers: int = 10,
        hidden_size: int = 256,
        proj_size: int | None = 128,
        bidirectional: bool = False,
        dropout: float = 0.0,
        network_options: Mapping[str, Any] | None = None,
        encoder: nn.Module | None = None,
        subsampling: str = "stack",
        factor: int = 3,
        channels: int = 32,
        bptt_frames: int = 0,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        if subsampling == "stack":
            self.subsampling = FrameStacking(input_size, factor)
        elif subsampling == "conv":
            self.subsampling = ConvSubsampling(input_size, channels, hidden_size)
        else:
            raise ValueError(f"subsampling must be stack or conv, not {subsampling!r}")
        sizes = {
            "input_size": self.subsampling.output_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "bidirectional": bidirectional,
            "dropout": dropout,
        }
        options = dict(network_options or {})
        if encoder is not None:
            self.encoder = encoder
        elif network == "stock_lstm":
            self.encoder = StockLSTM(**sizes, **options)
        else:
            self.encoder = nnet.build(network, proj_size=proj_size, **sizes, **options)
        if init and isinstance(self.encoder, RecurrentStack):
            init_weights(self.encoder, init)
        if bptt_frames and self.encoder.bidirectional:
            raise ValueError(
                "bptt_frames truncates gradients from frame to frame: it needs bidirectional: False"
            )
        self.bptt_frames = bptt_frames
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.encoder.output_size, vocabulary)

    @property
    def factor(self) -> int:
        """Feature frames that become one frame of the output."""
        return self.subsampling.factor

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Scores tokens.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, features).
        lengths : torch.Tensor
            Relative lengths in (0, 1], (batch,).

        Returns
        -------
        log_probs : torch.Tensor
            Float32, (batch, frames, vocabulary).
        counts : torch.Tensor
            Frames of each utterance, (batch,).
        auxiliary : torch.Tensor or None
            The stack's own loss term, summed over the valid frames.
        """
        encoded, counts, auxiliary = self.encode(features, lengths)
        return self.score(encoded), counts, auxiliary

    def encode(self, features: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        """Runs everything but the output layer, for heads that look at the stack's output.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, features).
        lengths : torch.Tensor
            Relative lengths in (0, 1], (batch,).

        Returns
        -------
        Encoded
        """
        batch, time = features.shape[:2]
        counts = frame_counts(lengths, time, batch).to(features.device)
        features = features * valid_frames(counts, time).unsqueeze(2)
        hidden, counts = self.subsampling(features, counts)
        if self.bptt_frames and self.training:
            encoded, auxiliary = self._in_chunks(hidden, counts)
        else:
            encoded, _ = self.encoder(hidden, lengths=counts / hidden.shape[1])
            auxiliary = _auxiliary(self.encoder)
        return Encoded(self.dropout(encoded), counts, auxiliary)

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the tokens in every frame.

        Arguments
        ---------
        encoded : torch.Tensor
            Of :meth:`encode`.

        Returns
        -------
        torch.Tensor
            Float32, (batch, frames, vocabulary).
        """
        return self.output(encoded).float().log_softmax(-1)

    def _in_chunks(
        self, hidden: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Runs the stack chunk by chunk; between chunks the state is carried, the gradient not."""
        output, state, losses = [], None, []
        for start in range(0, hidden.shape[1], self.bptt_frames):
            chunk = hidden[:, start : start + self.bptt_frames]
            left = (counts - start).clamp(max=chunk.shape[1])
            # Utterances that have ended take no part, so that they add nothing to the loss terms.
            going = (left > 0).nonzero().squeeze(1)
            before = None if state is None else _pick(state, going)
            encoded, after = self.encoder(
                chunk[going], before, lengths=left[going] / chunk.shape[1]
            )
            losses.append(_auxiliary(self.encoder))
            output.append(
                encoded.new_zeros(len(hidden), *encoded.shape[1:]).index_copy(0, going, encoded)
            )
            state = _put(state, going, after, len(hidden))
        present = [loss for loss in losses if loss is not None]
        return torch.cat(output, dim=1), torch.stack(present).sum() if present else None


def _auxiliary(encoder: nn.Module) -> torch.Tensor | None:
    return encoder.auxiliary_loss() if isinstance(encoder, RecurrentStack) else None


def _pick(state: Any, going: torch.Tensor) -> Any:
    if isinstance(state, tuple):
        return tuple(part[:, going] for part in state)
    return state[:, going]


def _put(state: Any, going: torch.Tensor, new: Any, batch: int) -> Any:
    """The state of all utterances, detached, with that of some renewed."""
    if isinstance(new, tuple):
        olds = (None,) * len(new) if state is None else state
        return tuple(_put(old, going, part, batch) for old, part in zip(olds, new, strict=True))
    new = new.detach()
    base = new.new_zeros(new.shape[0], batch, *new.shape[2:]) if state is None else state
    return base.index_copy(1, going, new)
