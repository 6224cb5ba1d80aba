"""Transducer head: prediction network, joint network, and their searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from speechbrain.nnet.transducer.transducer_joint import Transducer_joint
from torch import nn
from torchaudio.functional import rnnt_loss

from gatedrnn import nnet
from gatedrnn.lobes.transducer_search import TransducerBeamSearcher
from gatedrnn.tasks.asr.decode import IncrementalSearch, Scores, SearchOptions
from gatedrnn.tasks.asr.language_model import Fusion
from gatedrnn.tasks.asr.model import CTCModel, HeadModel, HeadOutput, shifted, sum_log_probs
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis


class TransducerModel(HeadModel):
    """A recurrent transducer (Graves 2012) with a recurrence of any kind in both networks.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model: the transcription network.
    vocabulary : int
        Number of tokens, with the blank.
    network : str
        Recurrence of the prediction network: a key that ``gatedrnn list`` prints. Its own loss
        term, such as the prior of Beta gates, is not used.
    num_layers : int
        Depth of the prediction network.
    hidden_size : int
        K, memory cells of a layer of the prediction network.
    proj_size : int or None
        N, width of its output; left out by recurrences without projection.
    embedding_size : int
        Width of the prediction network's token embedding.
    joint_size : int
        Width of the joint network.
    dropout : float
        Dropout probability on the prediction network's input, and between its layers.
    ctc_weight : float
        Weight of the CTC loss, in [0, 1).
    network_options : Mapping or None
        Further options of the recurrence.

    Example
    -------
    >>> acoustic = CTCModel(9, input_size=6, num_layers=2, hidden_size=8, proj_size=4)
    >>> model = TransducerModel(acoustic, 9, network="ran", hidden_size=8, joint_size=8)
    >>> targets = torch.tensor([[3, 4, 5], [6, 0, 0]])
    >>> output = model(torch.rand(2, 30, 6), torch.tensor([1.0, 0.5]), targets)
    >>> output.logits.shape
    torch.Size([2, 10, 4, 9])
    >>> model.losses(output, targets, torch.tensor([3, 1])).shape
    torch.Size([2])
    """

    head = "transducer"

    def __init__(
        self,
        acoustic: CTCModel,
        vocabulary: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 256,
        proj_size: int | None = None,
        embedding_size: int = 128,
        joint_size: int = 256,
        dropout: float = 0.0,
        ctc_weight: float = 0.3,
        network_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(acoustic, ctc_weight)
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.dropout = nn.Dropout(dropout)
        self.prediction = nnet.build(
            network,
            proj_size=proj_size,
            input_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            **dict(network_options or {}),
        )
        self.from_acoustic = nn.Linear(acoustic.encoder.output_size, joint_size)
        self.from_prediction = nn.Linear(self.prediction.output_size, joint_size, bias=False)
        self.joint = Transducer_joint(joint="sum", nonlinearity=nn.Tanh)
        self.output = nn.Linear(joint_size, vocabulary)

    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Float32 scores of the next token, (batch, frames, tokens + 1, vocabulary).

        encoded: encoder output, (batch, frames, width)
        targets: transcripts, (batch, tokens)
        """
        return self.join(self.from_acoustic(encoded), targets)

    def join(self, transcribed: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The joint network: float32 (batch, frames, tokens + 1, vocabulary).

        transcribed: of ``from_acoustic``, (batch, frames, joint_size)
        targets: transcripts, (batch, tokens)
        """
        # The blank stands before the first token, as in SpeechBrain's search.
        inputs = self.dropout(self.embedding(shifted(targets, BLANK)))
        predicted = self.from_prediction(self.prediction(inputs)[0])
        return self.output(self.joint(transcribed.unsqueeze(2), predicted.unsqueeze(1))).float()

    def head_losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Negative log-probability of each transcript over all alignments, (batch,)."""
        return transducer_losses(output.logits, targets, output.counts, sizes)

    def search(self, scores: Scores, options: SearchOptions) -> list[list[Hypothesis]]:
        return beam_search(self, scores.encoded, scores.counts, options)

    def incremental_search(
        self, options: SearchOptions, fusion: Fusion | None = None
    ) -> IncrementalSearch:
        """Greedy search, frames at a time."""
        if options.beam_size > 1:
            raise ValueError(
                "the beam search of a transducer needs the whole utterance: stream with beam_size 1"
            )
        return GreedyTransducer(self)

    def internal_log_probs(self, targets: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Joint network with encoder output of zeros, normalised without the blank; it has no end.

        Variani et al. 2020, "Hybrid autoregressive transducer (HAT)", ICASSP; Meng et al. 2021,
        "Internal language model estimation for domain-adaptive end-to-end speech recognition", SLT.
        """
        width = self.acoustic.encoder.output_size
        zeros = next(self.parameters()).new_zeros(len(targets), 1, width)
        logits = self.join(self.from_acoustic(zeros), targets)[:, 0, :-1]
        logits = logits.index_fill(2, torch.tensor([BLANK], device=logits.device), -torch.inf)
        return sum_log_probs(logits.log_softmax(-1), targets, sizes)


def transducer_losses(
    logits: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor, sizes: torch.Tensor
) -> torch.Tensor:
    """Negative log-probability of each transcript, summed over all alignments, (batch,).

    logits: float32, (batch, frames, tokens + 1, vocabulary)
    targets: transcripts, (batch, tokens)
    counts: frames of each utterance, (batch,)
    sizes: tokens of each transcript, (batch,)
    """
    # torchaudio needs a batch that is as long as its longest members.
    frames, tokens = int(counts.max()), int(sizes.max())
    logits = logits[:, :frames, : tokens + 1].contiguous()
    if tokens == 0:
        # Only blanks; torchaudio's kernels need at least one target.
        blanks = logits[:, :, 0].log_softmax(-1)[:, :, BLANK]
        inside = torch.arange(frames, device=counts.device) < counts.unsqueeze(1)
        return -(blanks * inside).sum(1)
    return rnnt_loss(
        logits,
        targets[:, :tokens].int().contiguous(),
        counts.int(),
        sizes.int(),
        blank=BLANK,
        reduction="none",
    )


def greedy(model: TransducerModel, encoded: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token each time; the blank leads to the next frame.

    The score is the log-probability over all alignments.

    encoded: encoder output, (batch, frames, width)
    counts: frames of each utterance, (batch,)
    """
    states, ends = model.from_acoustic(encoded), counts.tolist()
    search = _searcher(model, 1)
    tokens: list[list[int]] = [[] for _ in ends]
    # SpeechBrain's search has no lengths: it runs from the end of one utterance to the next end,
    # and those that have ended are removed from the batch.
    active, carried, start = list(range(len(ends))), None, 0
    for end in sorted(set(ends)):
        emitted, *_, carried = search.transducer_greedy_decode(
            states[active, start:end], carried, return_hidden=True
        )
        for utterance, more in zip(active, emitted, strict=True):
            tokens[utterance] += more
        stay = [i for i, utterance in enumerate(active) if ends[utterance] > end]
        carried = search._get_sentence_to_update(stay, *carried)
        active, start = [active[i] for i in stay], end
    return [
        Hypothesis(tuple(row), log_prob(model, states[i, :end], row))
        for i, (row, end) in enumerate(zip(tokens, ends, strict=True))
    ]


def beam_search(
    model: TransducerModel, encoded: torch.Tensor, counts: torch.Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """Beam search; with a beam of 1 it is greedy.

    SpeechBrain's search scores single alignments, and may find a hypothesis several times: here it
    is listed once, with its log-probability over all alignments.

    encoded: encoder output, (batch, frames, width)
    counts: frames of each utterance, (batch,)
    """
    if options.beam_size == 1:
        return [[best] for best in greedy(model, encoded, counts)]
    search = _searcher(model, options.beam_size)
    lists = []
    for states, count in zip(model.from_acoustic(encoded), counts.tolist(), strict=True):
        _, _, (n_best,), _ = search(states[None, :count])
        distinct = dict.fromkeys(map(tuple, n_best))
        scored = [Hypothesis(t, log_prob(model, states[:count], t)) for t in distinct]
        lists.append(sorted(scored, key=lambda h: -h.score))
    return lists


class GreedyTransducer:
    """Greedy search of one utterance, frames at a time: an ``IncrementalSearch``."""

    def __init__(self, model: TransducerModel) -> None:
        self.model = model
        self._search = _searcher(model, 1)
        self._carried: Any = None
        self._tokens: list[int] = []
        self._states: list[torch.Tensor] = []

    def advance(self, log_probs: torch.Tensor | None, encoded: torch.Tensor) -> None:
        """Takes encoder output, (frames, width)."""
        if not len(encoded):
            return
        states = self.model.from_acoustic(encoded)
        (emitted,), *_, self._carried = self._search.transducer_greedy_decode(
            states.unsqueeze(0), self._carried, return_hidden=True
        )
        self._tokens += emitted
        self._states.append(states)

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens so far."""
        return tuple(self._tokens)

    def hypotheses(self) -> list[Hypothesis]:
        """The one hypothesis; its score is that of all alignments."""
        if not self._states:
            return [Hypothesis((), 0.0)]
        states = torch.cat(self._states)
        return [Hypothesis(self.best, log_prob(self.model, states, self._tokens))]


def _searcher(model: TransducerModel, beam_size: int) -> TransducerBeamSearcher:
    # The blank must be among the candidates, and there must be no more of them than symbols.
    symbols = model.output.out_features
    return TransducerBeamSearcher(
        [model.embedding, model.prediction, model.from_prediction],
        model.joint,
        [model.output],
        blank_id=BLANK,
        beam_size=min(beam_size, symbols),
        nbest=beam_size,
    )


def log_prob(model: TransducerModel, states: torch.Tensor, tokens: Sequence[int]) -> float:
    """Log-probability over all alignments; states: of ``from_acoustic``, (frames, size)."""
    targets = torch.tensor([tokens], dtype=torch.long, device=states.device)
    logits = model.join(states.unsqueeze(0), targets)
    sizes = [torch.tensor([n], device=states.device) for n in (len(states), len(tokens))]
    return -float(transducer_losses(logits, targets, *sizes).detach())
