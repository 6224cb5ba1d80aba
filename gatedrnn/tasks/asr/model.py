"""Features, the acoustic model for CTC, and the base class of models with a head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from speechbrain.nnet.RNN import LSTM
from speechbrain.processing.features import InputNormalization
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.features import (
    ConvSubsampling,
    FrameStacking,
    LogMel,
    feature_lengths,
    valid_frames,
)
from gatedrnn.modules.network_options import init_weights
from gatedrnn.nnet import RecurrentStack, frame_counts
from gatedrnn.tasks.asr.decode import (
    GreedyCTC,
    IncrementalSearch,
    PrefixBeam,
    Scores,
    SearchOptions,
    greedy,
    prefix_beam_search,
)
from gatedrnn.tasks.asr.language_model import Fusion
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis


class CTCModel(nn.Module):
    """Features to log-probabilities of tokens, trained with CTC (Graves et al. 2006).

    In training everything is computed by ``forward``, so that data parallelism wraps it once.

    Arguments
    ---------
    vocabulary : int
        Number of tokens; token 0 is the blank.
    input_size : int
        Features of a frame.
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
        Whether the layers run in both directions.
    dropout : float
        Dropout probability between layers, and before the output layer.
    network_options : Mapping or None
        Further options of the recurrence, such as ``{"variant": "5g"}``.
    encoder : nn.Module or None
        Replaces the stack that the arguments above describe; called as
        ``encoder(x, hx=None, lengths=None)``, with an attribute ``output_size``.
    subsampling : str
        ``"stack"``: :class:`FrameStacking`; ``"conv"``: :class:`ConvSubsampling`.
    factor : int
        Subsampling factor of ``"stack"``.
    channels : int
        Channels of the convolutions of ``"conv"``.
    init : Mapping or None
        Initial values of weights of the stack: see
        :func:`~gatedrnn.modules.network_options.init_weights`.
    bptt_frames : int
        Truncated back-propagation through time: gradients stop at every multiple of so many
        (subsampled) frames, the state is carried over; 0 for the whole utterance.

    Raises
    ------
    ValueError
        If there is no such recurrence or subsampling, or a bidirectional stack is to be truncated.

    Example
    -------
    >>> model = CTCModel(30, num_layers=2, hidden_size=16, proj_size=8, network="highway")
    >>> log_probs, counts, auxiliary = model(torch.rand(2, 31, 80), torch.tensor([1.0, 0.5]))
    >>> log_probs.shape, counts, auxiliary
    (torch.Size([2, 11, 30]), tensor([11,  6]), None)
    """

    #: Key of the model among :data:`gatedrnn.tasks.asr.heads.HEADS`.
    head = "ctc"

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
        """Log-probabilities of the tokens in every frame.

        features: (batch, time, features)
        lengths: relative lengths in (0, 1], (batch,)
        Returns log-probabilities, float32, (batch, frames, vocabulary), and ``counts`` and
        ``auxiliary`` of :class:`EncodedFrames`.
        """
        encoded, counts, auxiliary = self.encode(features, lengths)
        return self.score(encoded), counts, auxiliary

    def encode(self, features: torch.Tensor, lengths: torch.Tensor) -> EncodedFrames:
        """Runs the model without its output layer, for heads.

        features: (batch, time, features)
        lengths: relative lengths in (0, 1], (batch,)
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
        return EncodedFrames(self.dropout(encoded), counts, auxiliary)

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        """Float32 log-probabilities (batch, frames, vocabulary) of encoder output."""
        return self.output(encoded).float().log_softmax(-1)

    def losses(
        self,
        output: tuple[torch.Tensor, torch.Tensor, Any],
        targets: torch.Tensor,
        sizes: torch.Tensor,
    ) -> torch.Tensor:
        """CTC loss of each utterance, (batch,).

        output: of ``forward``
        targets: transcripts, (batch, tokens)
        sizes: tokens of each transcript, (batch,)
        """
        return ctc_losses(*output[:2], targets, sizes)

    def scores(self, features: torch.Tensor, lengths: torch.Tensor) -> Scores:
        """Input of the search; arguments as of :meth:`forward`."""
        return Scores(*self(features, lengths)[:2])

    def search(
        self, scores: Scores, options: SearchOptions, fusion: Fusion | None = None
    ) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance; see :func:`gatedrnn.tasks.asr.decode.search`."""
        if options.beam_size > 1:
            return prefix_beam_search(scores.log_probs, scores.counts, options, fusion)
        return [[best] for best in greedy(scores.log_probs, scores.counts)]

    def incremental_search(
        self, options: SearchOptions, fusion: Fusion | None = None
    ) -> IncrementalSearch:
        """Search of one utterance, frames at a time."""
        return PrefixBeam(options, fusion) if options.beam_size > 1 else GreedyCTC()

    def _in_chunks(
        self, hidden: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Runs the stack chunk by chunk; the state is carried over, detached."""
        output, state, losses = [], None, []
        for start in range(0, hidden.shape[1], self.bptt_frames):
            chunk = hidden[:, start : start + self.bptt_frames]
            left = (counts - start).clamp(max=chunk.shape[1])
            # Utterances that have ended take no part, so that they add nothing to the loss terms.
            active = (left > 0).nonzero().squeeze(1)
            before = None if state is None else _pick(state, active)
            encoded, after = self.encoder(
                chunk[active], before, lengths=left[active] / chunk.shape[1]
            )
            losses.append(_auxiliary(self.encoder))
            output.append(
                encoded.new_zeros(len(hidden), *encoded.shape[1:]).index_copy(0, active, encoded)
            )
            state = _put(state, active, after, len(hidden))
        present = [loss for loss in losses if loss is not None]
        return torch.cat(output, dim=1), torch.stack(present).sum() if present else None


class HeadModel(nn.Module):
    """An acoustic model with a head, trained with the head's loss and CTC.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model; its output layer is that of CTC.
    ctc_weight : float
        Weight of the CTC loss, in [0, 1).
    """

    #: Key of the model among :data:`gatedrnn.tasks.asr.heads.HEADS`.
    head: str

    def __init__(self, acoustic: CTCModel, ctc_weight: float) -> None:
        super().__init__()
        if not 0.0 <= ctc_weight < 1.0:
            raise ValueError(
                f"ctc_weight must be at least 0 and below 1 (head: ctc is for that), not "
                f"{ctc_weight}"
            )
        self.acoustic = acoustic
        self.ctc_weight = ctc_weight
        # Data parallelism waits for the gradients of all parameters with requires_grad.
        acoustic.output.requires_grad_(ctc_weight > 0)

    @property
    def encoder(self) -> nn.Module:
        """The recurrent stack."""
        return self.acoustic.encoder

    @property
    def factor(self) -> int:
        """Subsampling factor."""
        return self.acoustic.factor

    def forward(
        self, features: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor
    ) -> HeadOutput:
        """Scores the tokens of transcripts, each given those before it.

        features: (batch, time, features)
        lengths: relative lengths in (0, 1], (batch,)
        targets: transcripts, (batch, tokens)
        """
        encoded, counts, auxiliary = self.acoustic.encode(features, lengths)
        logits = self.score(encoded, counts, targets)
        return HeadOutput(self.ctc_log_probs(encoded), counts, auxiliary, encoded, logits)

    @abstractmethod
    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Float32 scores of the tokens of transcripts.

        encoded: encoder output, (batch, frames, width)
        counts: frames of each utterance, (batch,)
        targets: transcripts, (batch, tokens)
        """

    @abstractmethod
    def head_losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Loss of the head for each utterance, (batch,); arguments as of :meth:`losses`."""

    def losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Weighted sum of the losses of head and CTC for each utterance, (batch,).

        output: of ``forward``
        targets: transcripts, (batch, tokens)
        sizes: tokens of each transcript, (batch,)
        """
        losses = self.head_losses(output, targets, sizes)
        if output.log_probs is None:
            return losses
        ctc = ctc_losses(output.log_probs, output.counts, targets, sizes)
        return (1.0 - self.ctc_weight) * losses + self.ctc_weight * ctc

    def ctc_log_probs(self, encoded: torch.Tensor) -> torch.Tensor | None:
        """CTC log-probabilities, (batch, frames, vocabulary); None if ``ctc_weight`` is 0."""
        return self.acoustic.score(encoded) if self.ctc_weight else None

    def scores(self, features: torch.Tensor, lengths: torch.Tensor) -> Scores:
        """Input of the search; arguments as of ``forward``."""
        encoded, counts, _ = self.acoustic.encode(features, lengths)
        return Scores(self.ctc_log_probs(encoded), counts, encoded)

    @abstractmethod
    def search(self, scores: Scores, options: SearchOptions) -> list[list[Hypothesis]]:
        """Hypotheses of each utterance; see :func:`gatedrnn.tasks.asr.decode.search`."""

    def incremental_search(
        self, options: SearchOptions, fusion: Fusion | None = None
    ) -> IncrementalSearch:
        """Search of one utterance, frames at a time; a ValueError if there is none."""
        raise ValueError(
            f"head {self.head} cannot stream: it needs the whole utterance for each token; train "
            "with head: ctc or transducer"
        )

    @abstractmethod
    def internal_log_probs(self, targets: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Log-probabilities by the internal language model, (batch,), double, on the CPU.

        targets: token sequences, (batch, tokens)
        sizes: length of each, (batch,)
        """


class HeadOutput(NamedTuple):
    """Output of a model with a head; the first three are those of :class:`CTCModel`.

    log_probs: of CTC, (batch, frames, vocabulary); None if CTC has no part in the loss
    counts: frames of each utterance, (batch,)
    auxiliary: the acoustic stack's own loss term, summed over the valid frames; or None
    encoded: input of the head, (batch, frames, width)
    logits: float32 scores of the head
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    auxiliary: torch.Tensor | None
    encoded: torch.Tensor
    logits: torch.Tensor


class EncodedFrames(NamedTuple):
    """Output of the recurrent stack.

    output: (batch, frames, width)
    counts: frames of each utterance, (batch,)
    auxiliary: the stack's own loss term, summed over the valid frames; or None
    """

    output: torch.Tensor
    counts: torch.Tensor
    auxiliary: torch.Tensor | None


class Frontend(nn.Module):
    """Features of signals, normalised as in training.

    features: the features
    statistics: mean and standard deviation of the training data, each (features,); None to
        normalise each utterance by its own
    """

    def __init__(
        self, features: LogMel, statistics: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> None:
        super().__init__()
        self.features = features
        self.statistics = statistics
        self.normalize = InputNormalization(
            norm_type="sentence" if statistics is None else "global"
        )
        if statistics is not None:
            self.normalize.glob_mean, self.normalize.glob_std = statistics
        self.eval()

    @property
    def sample_rate(self) -> int:
        """Samples per second of the signals."""
        return self.features.options["sample_rate"]

    def forward(self, signals: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the features of a batch.

        Returns: (batch, frames, features).
        Returns: Relative lengths, (batch,).
        """
        longest = max(len(signal) for signal in signals)
        batch = torch.stack([nn.functional.pad(s, (0, longest - len(s))) for s in signals])
        lengths = torch.tensor([len(s) / longest for s in signals], device=batch.device)
        return self.of_batch(batch, lengths)

    def of_batch(
        self, batch: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the features of signals that are padded already.

        batch: (batch, samples).
        lengths: Relative lengths in samples, (batch,).
        Returns: (batch, frames, features).
        Returns: Relative lengths in frames, (batch,).
        """
        features = self.features(batch)
        lengths = feature_lengths(lengths, batch.shape[1], features.shape[1], self.features.hop)
        return self.normalize(features, lengths), lengths

    def to(self, device: str | torch.device) -> Frontend:
        """Moves everything to a device."""
        super().to(device)
        # SpeechBrain's own ``to`` is not called for a module within a module.
        self.normalize.to(device)
        if self.statistics is not None:
            self.statistics = tuple(value.to(device) for value in self.statistics)
        return self


class StockLSTM(LSTM):
    """SpeechBrain's LSTM with the interface of our stacks, as a baseline.

    ``init_range`` has no effect: SpeechBrain has its own initial values.
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
        """Runs the stack on (batch, frames, input_size); zero after the end of an utterance."""
        frames = x.shape[1]
        if lengths is not None:
            # SpeechBrain truncates lengths to frames: rounding errors would remove a frame.
            lengths = (torch.round(lengths * frames) + 0.25) / frames
        output, state = super().forward(x, hx, lengths)
        return nn.functional.pad(output, (0, 0, 0, frames - output.shape[1])), state


def ctc_losses(
    log_probs: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """CTC loss of each utterance, (batch,); 0 with too few frames for the tokens: no alignment.

    log_probs: (batch, frames, tokens)
    counts: frames of each utterance, (batch,)
    targets: transcripts, (batch, tokens)
    sizes: tokens of each transcript, (batch,)

    Example
    -------
    >>> half = torch.full((1, 2, 2), 0.5).log()
    >>> loss = ctc_losses(half, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1]))
    >>> round(float((-loss).exp()), 2)
    0.75
    """
    return nn.functional.ctc_loss(
        log_probs.transpose(0, 1),
        targets,
        counts,
        sizes,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )


def shifted(targets: torch.Tensor, first: int) -> torch.Tensor:
    """Input of a decoder: (batch, tokens) to (batch, tokens + 1) with ``first`` in front."""
    return nn.functional.pad(targets, (1, 0), value=first)


def sum_log_probs(
    log_probs: torch.Tensor, targets: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """Sum of (batch, tokens, vocabulary) at the targets (batch, tokens) up to sizes (batch,)."""
    chosen = log_probs.gather(2, targets.unsqueeze(2)).squeeze(2).double()
    inside = torch.arange(targets.shape[1], device=sizes.device) < sizes.unsqueeze(1)
    return chosen.masked_fill(~inside, 0.0).sum(1).cpu()


def _auxiliary(encoder: nn.Module) -> torch.Tensor | None:
    return encoder.auxiliary_loss() if isinstance(encoder, RecurrentStack) else None


def _pick(state: Any, active: torch.Tensor) -> Any:
    if isinstance(state, tuple):
        return tuple(part[:, active] for part in state)
    return state[:, active]


def _put(state: Any, active: torch.Tensor, new: Any, batch: int) -> Any:
    """The state of all utterances with that of some replaced, detached."""
    if isinstance(new, tuple):
        olds = (None,) * len(new) if state is None else state
        return tuple(_put(old, active, part, batch) for old, part in zip(olds, new, strict=True))
    new = new.detach()
    base = new.new_zeros(new.shape[0], batch, *new.shape[2:]) if state is None else state
    return base.index_copy(1, active, new)
