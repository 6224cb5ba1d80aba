"""One way to search, whatever the head: what training tests with and what transcribes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from gatedrnn.tasks.asr import attention_search as attention
from gatedrnn.tasks.asr import ctc_search as ctc
from gatedrnn.tasks.asr import transducer_search as transducer
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.heads.transducer import TransducerModel
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.asr.prefix_beam import prefix_beam_search
from gatedrnn.tokens.hypotheses import Hypothesis, Tokens, Word

if TYPE_CHECKING:
    from gatedrnn.tasks.asr.lm_fusion import Fusion

#: Model -> the module of its searches.
_HEADS = {AttentionModel: attention, TransducerModel: transducer}


class Scores(NamedTuple):
    """What a search looks at.

    Arguments
    ---------
    log_probs : torch.Tensor or None
        Of connectionist temporal classification, (batch, frames, tokens); ``None`` if the model was
        trained without it.
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    encoded : torch.Tensor or None
        What a head looks at, (batch, frames, width); ``None`` without a head.
    """

    log_probs: torch.Tensor | None
    counts: torch.Tensor
    encoded: torch.Tensor | None = None


def score(model: nn.Module, features: torch.Tensor, lengths: torch.Tensor) -> Scores:
    """Runs a model as far as it goes without knowing what was said.

    Arguments
    ---------
    model : CTCModel, AttentionModel or TransducerModel
        The model.
    features : torch.Tensor
        (batch, time, features).
    lengths : torch.Tensor
        Relative lengths in (0, 1], (batch,).

    Returns
    -------
    Scores

    Example
    -------
    >>> model = CTCModel(9, input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> score(model, torch.rand(2, 30, 6), torch.tensor([1.0, 0.5])).counts
    tensor([10,  5])
    """
    if isinstance(model, CTCModel):
        return Scores(*model(features, lengths)[:2])
    encoded, counts, _ = model.acoustic.encode(features, lengths)
    return Scores(model.ctc_log_probs(encoded), counts, encoded)


def search(
    model: nn.Module, scores: Scores, beam_size: int = 1, fusion: Fusion | None = None
) -> list[list[Hypothesis]]:
    """Readings of each utterance.

    Arguments
    ---------
    model : CTCModel, AttentionModel or TransducerModel
        The model.
    scores : Scores
        Of :func:`score`.
    beam_size : int
        Width of the beam; 1 for the greedy search, which gives one reading.
    fusion : Fusion or None
        A language model that has its say; for connectionist temporal classification alone, and in
        a beam.

    Returns
    -------
    list of list of Hypothesis
        The best reading first.

    Raises
    ------
    ValueError
        If there can be no fusion.

    Example
    -------
    >>> model = CTCModel(9, input_size=6, num_layers=1, hidden_size=8, proj_size=4)
    >>> found = search(model, score(model, torch.rand(1, 30, 6), torch.ones(1)), beam_size=4)
    >>> len(found), len(found[0])
    (1, 4)
    """
    if fusion is not None:
        check_fusion(model, beam_size)
    if isinstance(model, CTCModel):
        if beam_size > 1:
            return prefix_beam_search(scores.log_probs, scores.counts, beam_size, fusion=fusion)
        return [[best] for best in ctc.greedy(scores.log_probs, scores.counts)]
    searches = next(module for kind, module in _HEADS.items() if isinstance(model, kind))
    if beam_size > 1:
        return searches.beam_search(model, scores.encoded, scores.counts, beam_size)
    return [[best] for best in searches.greedy(model, scores.encoded, scores.counts)]


def check_fusion(model: nn.Module, beam_size: int) -> None:
    """Refuses fusion where there can be none.

    Arguments
    ---------
    model : nn.Module
        The recogniser.
    beam_size : int
        Width of the beam.

    Raises
    ------
    ValueError
        If the head is not that of connectionist temporal classification, or there is no beam.
    """
    if not isinstance(model, CTCModel):
        raise ValueError(
            "a language model in the search (fusion) is for head ctc alone: for other heads, "
            "rescore what their search has found"
        )
    if beam_size < 2:
        raise ValueError(
            f"a language model in the search needs a beam_size of at least 2, not {beam_size}: "
            "the greedy search has nothing to choose from"
        )


def word_times(
    scores: Scores, utterance: int, hypothesis: Hypothesis, tokens: Tokens, seconds: float
) -> list[Word]:
    """When each word of a reading was said, where connectionist temporal classification aligns it.

    Arguments
    ---------
    scores : Scores
        Of a batch.
    utterance : int
        Its place in the batch.
    hypothesis : Hypothesis
        The reading.
    tokens : Tokens
        What spells words.
    seconds : float
        Duration of a frame.

    Returns
    -------
    list of Word
        Empty if there is no alignment.
    """
    count = int(scores.counts[utterance])
    if scores.log_probs is None or count < ctc.frames_needed(hypothesis.tokens):
        return []
    return ctc.word_times(scores.log_probs[utterance, :count], hypothesis, tokens, seconds)
