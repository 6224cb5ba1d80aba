"""Decoding of an attention head: SpeechBrain's greedy and beam search, with CTC in the beam."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch
from speechbrain.decoders import S2SRNNBeamSearcher, S2SRNNGreedySearcher
from speechbrain.decoders.scorer import CTCScorer, ScorerBuilder
from torch import nn

from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis

#: What SpeechBrain's searches take for log(0).
NOTHING = -1e20


def greedy(model: AttentionModel, encoded: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token each time, until it is the end.

    Arguments
    ---------
    model : AttentionModel
        The model.
    encoded : torch.Tensor
        Output of its stack, (batch, frames, width).
    counts : torch.Tensor
        Frames of each utterance, (batch,).

    Returns
    -------
    list of Hypothesis
        One per utterance, of at most as many tokens as frames; its score is the decoder's
        log-probability, without that of the end.
    """
    encoded = encoded[:, : int(counts.max())]
    search = S2SRNNGreedySearcher(**_parts(model))
    tokens, _, scores, _ = search(encoded, counts / encoded.shape[1])
    # The search goes on to the number of frames of the longest utterance.
    return [
        Hypothesis(_spelled(model, row[:count]), float(steps.flatten()[:count].sum()))
        for row, steps, count in zip(tokens, scores, counts.tolist(), strict=True)
    ]


def beam_search(
    model: AttentionModel, encoded: torch.Tensor, counts: torch.Tensor, beam_size: int
) -> list[list[Hypothesis]]:
    """Finds the likeliest readings, by attention and by connectionist temporal classification.

    Each counts as much as it did in the loss. The scores are not divided by the lengths: those of
    connectionist temporal classification keep readings from being too short.

    Arguments
    ---------
    model : AttentionModel
        The model.
    encoded : torch.Tensor
        Output of its stack, (batch, frames, width).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    beam_size : int
        Readings that are kept from token to token.

    Returns
    -------
    list of list of Hypothesis
        For each utterance the best reading first; its score is the weighted log-probability, with
        the end.
    """
    encoded = encoded[:, : int(counts.max())]
    search = S2SRNNBeamSearcher(
        **_parts(model),
        beam_size=beam_size,
        topk=beam_size,
        return_topk=True,
        length_normalization=False,
        scorer=_ctc_scorer(model) if model.ctc_weight else None,
    )
    rows, _, scores, _ = search(encoded, counts / encoded.shape[1])
    lists = [
        _distinct(model, tokens, found)
        for tokens, found in zip(rows.tolist(), scores.tolist(), strict=True)
    ]
    # An untrained decoder may find no end, or nothing that the frames have room for.
    return [
        found or greedy(model, encoded[i : i + 1], counts[i : i + 1])
        for i, found in enumerate(lists)
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
    """A linear layer where SpeechBrain's searches look for its own kind."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.w = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w(x).float()


def _ctc_scorer(model: AttentionModel) -> ScorerBuilder:
    def score(encoded: torch.Tensor) -> torch.Tensor:
        # Connectionist temporal classification knows neither the end nor the start.
        return nn.functional.pad(model.acoustic.score(encoded), (0, 2), value=NOTHING)

    scorer = CTCScorer(score, blank_index=BLANK, eos_index=model.end)
    # As a partial scorer it looks at some candidates only: all tokens would take memory of frames
    # times utterances times beam times tokens.
    return ScorerBuilder(weights={"ctc": model.ctc_weight}, partial_scorers=[scorer])


def _spelled(model: AttentionModel, row: Sequence[int]) -> tuple[int, ...]:
    """Tokens up to the end, without signs that stand for none."""
    return tuple(
        int(t) for t in takewhile(lambda t: t != model.end, row) if t not in (BLANK, model.start)
    )


def _distinct(
    model: AttentionModel, rows: Sequence[Sequence[int]], scores: Sequence[float]
) -> list[Hypothesis]:
    """The readings that are possible at all and have an end, each once, with its best score."""
    best: dict[tuple[int, ...], float] = {}
    for row, score in zip(rows, scores, strict=True):
        if score > NOTHING / 1e3 and model.end in row:
            tokens = _spelled(model, row)
            best[tokens] = max(score, best.get(tokens, score))
    found = [Hypothesis(tokens, score) for tokens, score in best.items()]
    return sorted(found, key=lambda h: -h.score)
