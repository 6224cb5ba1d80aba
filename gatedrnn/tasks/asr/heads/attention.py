"""Attention head: a recurrent decoder that attends to the encoder output, and its searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from speechbrain.decoders import S2SRNNBeamSearcher, S2SRNNGreedySearcher
from speechbrain.decoders.scorer import CTCScorer, ScorerBuilder
from torch import nn

from gatedrnn import nnet
from gatedrnn.cells.registry import find
from gatedrnn.lobes.attentional_decoder import AttentionalRNNDecoder
from gatedrnn.modules.features import valid_frames
from gatedrnn.tasks.asr.decode import Scores, SearchOptions
from gatedrnn.tasks.asr.model import CTCModel, HeadModel, HeadOutput, shifted, sum_log_probs
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis

#: Convolution of location-aware attention: channels, and frames on either side.
LOCATION = {"channels": 10, "kernel_size": 50}
#: log(0) in SpeechBrain's searches.
NOTHING = -1e20


class AttentionModel(HeadModel):
    """Joint CTC and attention (Watanabe et al. 2017).

    The decoder has two tokens more than CTC: :attr:`end` and :attr:`start`.

    Arguments
    ---------
    acoustic : CTCModel
        The acoustic model.
    vocabulary : int
        Number of tokens, with the blank.
    network : str
        Recurrence of the decoder: a key that ``gatedrnn list`` prints. Its own loss term, such as
        the prior of Beta gates, is not used.
    num_layers : int
        Depth of the decoder.
    hidden_size : int
        K, memory cells of a layer of the decoder.
    proj_size : int or None
        N, width of its output; left out by recurrences without projection.
    embedding_size : int
        Width of the decoder's token embedding.
    attention : str
        ``"location"``, ``"content"`` or ``"keyvalue"``.
    attention_size : int
        Width of the attention.
    dropout : float
        Dropout probability on the decoder's input, and between its layers.
    ctc_weight : float
        Weight of the CTC loss, in [0, 1).
    label_smoothing : float
        Probability that is spread over all tokens in the decoder's targets.
    network_options : Mapping or None
        Further options of the recurrence.

    Example
    -------
    >>> acoustic = CTCModel(9, input_size=6, num_layers=2, hidden_size=8, proj_size=4)
    >>> model = AttentionModel(acoustic, 9, network="ran", hidden_size=8, attention_size=8)
    >>> targets = torch.tensor([[3, 4, 5], [6, 0, 0]])
    >>> output = model(torch.rand(2, 30, 6), torch.tensor([1.0, 0.5]), targets)
    >>> output.logits.shape, output.log_probs.shape
    (torch.Size([2, 4, 11]), torch.Size([2, 10, 9]))
    >>> model.losses(output, targets, torch.tensor([3, 1])).shape
    torch.Size([2])
    """

    head = "attention"

    def __init__(
        self,
        acoustic: CTCModel,
        vocabulary: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 256,
        proj_size: int | None = None,
        embedding_size: int = 128,
        attention: str = "location",
        attention_size: int = 256,
        dropout: float = 0.0,
        ctc_weight: float = 0.3,
        label_smoothing: float = 0.1,
        network_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(acoustic, ctc_weight)
        cell = find(network)
        options = dict(network_options or {})
        if proj_size is not None and cell.has_projection:
            options["proj_size"] = proj_size
        self.end, self.start = vocabulary, vocabulary + 1
        self.label_smoothing = label_smoothing
        self.embedding = nn.Embedding(vocabulary + 2, embedding_size)
        self.decoder = AttentionalRNNDecoder(
            nnet.CLASSES[f"{cell.__name__}Cell"],
            attention,
            hidden_size,
            attention_size,
            num_layers,
            enc_dim=acoustic.encoder.output_size,
            input_size=embedding_size,
            dropout=dropout,
            rnn_options=options,
            **(LOCATION if attention == "location" else {}),
        )
        self.output = nn.Linear(self.decoder.hidden_size, vocabulary + 2)

    def score(
        self, encoded: torch.Tensor, counts: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Runs the decoder with teacher forcing: float32 (batch, tokens + 1, vocabulary + 2).

        encoded: encoder output, (batch, frames, width)
        counts: frames of each utterance, (batch,)
        targets: transcripts, (batch, tokens)
        """
        inputs = self.embedding(shifted(targets, self.start))
        decoded, _ = self.decoder(inputs, encoded, counts / encoded.shape[1])
        return self.output(decoded).float()

    def head_losses(
        self, output: HeadOutput, targets: torch.Tensor, sizes: torch.Tensor
    ) -> torch.Tensor:
        """Cross entropy of each transcript with its end, (batch,)."""
        targets = self._with_end(targets, sizes)
        inside = valid_frames(sizes + 1, targets.shape[1])
        losses = nn.functional.cross_entropy(
            output.logits.flatten(0, 1),
            targets.flatten(),
            reduction="none",
            label_smoothing=self.label_smoothing if self.training else 0.0,
        )
        return (losses.view_as(inside) * inside).sum(1)

    def _with_end(self, targets: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(targets, (0, 1)).scatter(1, sizes.unsqueeze(1), self.end)

    def search(self, scores: Scores, options: SearchOptions) -> list[list[Hypothesis]]:
        if options.beam_size > 1:
            return beam_search(self, scores.encoded, scores.counts, options)
        return [[best] for best in greedy(self, scores.encoded, scores.counts)]

    def internal_log_probs(self, targets: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        """Runs the decoder with a context of zeros, before and after its recurrence; with the end.

        Meng et al. 2021, "Internal language model estimation for domain-adaptive end-to-end speech
        recognition", SLT.
        """
        inputs = self.embedding(shifted(targets, self.start))
        context = inputs.new_zeros(len(targets), self.decoder.attn_dim)
        outputs, state = [], None
        for token in inputs.unbind(1):
            hidden, state = self.decoder.rnn(torch.cat([token, context], dim=-1), state)
            outputs.append(self.decoder.proj(torch.cat([context, hidden], dim=1)))
        log_probs = self.output(torch.stack(outputs, dim=1)).float().log_softmax(-1)
        return sum_log_probs(log_probs, self._with_end(targets, sizes), sizes + 1)


def greedy(model: AttentionModel, encoded: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token each time, up to the end or as many tokens as there are frames.

    The score is the decoder's log-probability, without that of the end.

    encoded: encoder output, (batch, frames, width)
    counts: frames of each utterance, (batch,)
    """
    encoded = encoded[:, : int(counts.max())]
    search = S2SRNNGreedySearcher(**_parts(model))
    tokens, _, scores, _ = search(encoded, counts / encoded.shape[1])
    # SpeechBrain's limit on the number of tokens is that of the longest utterance.
    return [
        Hypothesis(_tokens(model, row[:count]), float(steps.flatten()[:count].sum()))
        for row, steps, count in zip(tokens, scores, counts.tolist(), strict=True)
    ]


def beam_search(
    model: AttentionModel, encoded: torch.Tensor, counts: torch.Tensor, options: SearchOptions
) -> list[list[Hypothesis]]:
    """Beam search by attention and CTC, each with its weight in the loss.

    The scores are not normalised by length: those of CTC keep hypotheses from being too short.

    encoded: encoder output, (batch, frames, width)
    counts: frames of each utterance, (batch,)
    """
    encoded = encoded[:, : int(counts.max())]
    search = S2SRNNBeamSearcher(
        **_parts(model),
        beam_size=options.beam_size,
        topk=options.beam_size,
        return_topk=True,
        length_normalization=False,
        scorer=_ctc_scorer(model) if model.ctc_weight else None,
    )
    rows, _, scores, _ = search(encoded, counts / encoded.shape[1])
    lists = [
        _complete(model, tokens, values)
        for tokens, values in zip(rows.tolist(), scores.tolist(), strict=True)
    ]
    # An untrained decoder may generate no end, or more tokens than there are frames.
    return [
        hypotheses or greedy(model, encoded[i : i + 1], counts[i : i + 1])
        for i, hypotheses in enumerate(lists)
    ]


def _parts(model: AttentionModel) -> dict[str, object]:
    return {
        "embedding": model.embedding,
        "decoder": model.decoder,
        "linear": _Linear(model.output),
        "bos_index": model.start,
        "eos_index": model.end,
        "min_decode_ratio": 0.0,
        "max_decode_ratio": 1.0,
    }


class _Linear(nn.Module):
    """A linear layer with the attribute ``w`` that SpeechBrain's searches need."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.w = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w(x).float()


def _ctc_scorer(model: AttentionModel) -> ScorerBuilder:
    def score(encoded: torch.Tensor) -> torch.Tensor:
        # CTC has neither end nor start.
        return nn.functional.pad(model.acoustic.score(encoded), (0, 2), value=NOTHING)

    scorer = CTCScorer(score, blank_index=BLANK, eos_index=model.end)
    # A partial scorer scores only some candidates: for all tokens, memory would grow with frames
    # times utterances times beam times tokens.
    return ScorerBuilder(weights={"ctc": model.ctc_weight}, partial_scorers=[scorer])


def _tokens(model: AttentionModel, row: Sequence[int]) -> tuple[int, ...]:
    """Tokens up to the end, without blank and start."""
    return tuple(
        int(t) for t in takewhile(lambda t: t != model.end, row) if t not in (BLANK, model.start)
    )


def _complete(
    model: AttentionModel, rows: Sequence[Sequence[int]], scores: Sequence[float]
) -> list[Hypothesis]:
    """Hypotheses with an end and a nonzero probability, each once, with its best score."""
    best: dict[tuple[int, ...], float] = {}
    for row, score in zip(rows, scores, strict=True):
        if score > NOTHING / 1e3 and model.end in row:
            tokens = _tokens(model, row)
            best[tokens] = max(score, best.get(tokens, score))
    hypotheses = [Hypothesis(tokens, score) for tokens, score in best.items()]
    return sorted(hypotheses, key=lambda h: -h.score)
