"""Searches for captions: greedy, by drawing, and by beams that may be kept diverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from gatedrnn.seq2seq.beams import Beams, CaptionHypothesis
from gatedrnn.seq2seq.decoder import CaptionDecoder, select_state
from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.seq2seq.search_options import CaptionSearch, allowed, drawn_from
from gatedrnn.tasks.captioning.model import Captioner
from gatedrnn.tokens.vocabulary import EOS

__all__ = [
    "CaptionHypothesis",
    "CaptionSearch",
    "SampledCaptions",
    "beam_search",
    "diverse_beam_search",
    "greedy",
    "sample",
    "sampled_log_probs",
    "search",
]

_DEFAULTS = CaptionSearch()


@dataclass(frozen=True)
class SampledCaptions:
    """Captions that were drawn.

    Arguments
    ---------
    tokens : torch.Tensor
        The words, (batch * count, time), ``<eos>`` after the last one; those of an item one after
        another.
    log_probs : torch.Tensor
        Of each caption, summed over its words and its end, (batch * count,).
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor

    @property
    def read(self) -> torch.Tensor:
        """The captions as :class:`~gatedrnn.seq2seq.decoder.CaptionDecoder` reads them."""
        start = self.tokens.new_full((len(self.tokens), 1), EOS)
        return torch.cat([start, self.tokens[:, :-1]], 1)


@torch.no_grad()
def search(
    captioner: Captioner, memory: Memory, options: CaptionSearch
) -> list[list[CaptionHypothesis]]:
    """The search that the options ask for.

    Arguments
    ---------
    captioner : Captioner
        The captioner.
    memory : Memory
        What it has made of the items.
    options : CaptionSearch
        Several groups: diverse; several beams: a beam search; one: greedy.

    Returns
    -------
    list of list of CaptionHypothesis
        For each item the best one first.

    Example
    -------
    >>> from gatedrnn.seq2seq.decoder import CaptionDecoder
    >>> from gatedrnn.tasks.captioning.encoders import FeatureEncoder
    >>> captioner = Captioner(FeatureEncoder(5, 8), CaptionDecoder(20, 8, hidden_size=16)).eval()
    >>> memory = captioner.encode(torch.rand(2, 9, 5))
    >>> found = search(captioner, memory, CaptionSearch(beam_size=4, max_length=5))
    >>> len(found), found[0][0].score >= found[0][1].score
    (2, True)
    >>> found[0][0].attention.shape == (len(found[0][0].tokens), 9)
    True
    """
    if options.groups > 1:
        return diverse_beam_search(captioner, memory, options)
    if options.beam_size > 1:
        return beam_search(captioner, memory, options)
    return [[found] for found in greedy(captioner, memory, options)]


@torch.no_grad()
def greedy(captioner: Captioner, memory: Memory, options: CaptionSearch) -> list[CaptionHypothesis]:
    """Takes the likeliest word each time.

    Arguments
    ---------
    captioner : Captioner
        The captioner.
    memory : Memory
        What it has made of the items.
    options : CaptionSearch
        How; beams and groups do not matter.

    Returns
    -------
    list of CaptionHypothesis
        One per item.
    """
    batch, device = len(memory.features), memory.features.device
    words = torch.full((batch, 1), EOS, device=device)
    looked, total = [], torch.zeros(batch, dtype=torch.float64, device=device)
    going = torch.ones(batch, dtype=torch.bool, device=device)
    with _evaluated(captioner) as decoder:
        state = decoder.begin(memory)
        for _ in range(options.max_length + 1):
            scores, state, attention = decoder.step(words[:, -1], state, memory)
            log_probs = scores.double().log_softmax(1)
            log_probs = log_probs.masked_fill(~allowed(words[:, 1:], scores, options), -torch.inf)
            best, chosen = log_probs.max(1)
            total += torch.where(going, best, 0.0)
            words = torch.cat([words, torch.where(going, chosen, EOS).unsqueeze(1)], 1)
            looked.append(attention)
            going = going & (chosen != EOS)
            if not bool(going.any()):
                break
    where = torch.stack(looked, 1).float().cpu()
    found = []
    for row, score, places in zip(words[:, 1:].tolist(), total.tolist(), where, strict=True):
        tokens = tuple(row[: row.index(EOS)])
        score = options.normalised(score, len(tokens))
        found.append(CaptionHypothesis(tokens, score, places[: len(tokens)]))
    return found


def sample(
    captioner: Captioner,
    memory: Memory,
    count: int,
    generator: torch.Generator | None = None,
    options: CaptionSearch = _DEFAULTS,
) -> SampledCaptions:
    """Draws captions word by word, in the captioner's mode, of training or not.

    Gradients go through the log-probabilities, as self-critical training wants them. Under data
    parallelism draw without gradients, and let :func:`sampled_log_probs` have the scores that
    the captioner's ``forward`` gives to :attr:`SampledCaptions.read`.

    Arguments
    ---------
    captioner : Captioner
        The captioner.
    memory : Memory
        What it has made of the items.
    count : int
        Captions of each item.
    generator : torch.Generator or None
        Decides what is drawn; on the memory's device.
    options : CaptionSearch
        Temperature, longest and shortest caption, and which words may come.

    Returns
    -------
    SampledCaptions
        Log-probabilities are those of the distribution that is drawn from: over the words that may
        come, at the given temperature. A caption of ``max_length`` words ends there for certain.

    Raises
    ------
    ValueError
        If ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    memory = memory.repeat(count)
    decoder, batch = captioner.decoder, len(memory.features)
    state = decoder.begin(memory)
    words = torch.full((batch, 1), EOS, device=memory.features.device)
    going = torch.ones(batch, dtype=torch.bool, device=words.device)
    found = []
    for _ in range(options.max_length + 1):
        scores, state, _ = decoder.step(words[:, -1], state, memory)
        log_probs = drawn_from(words[:, 1:], scores, options)
        with torch.no_grad():
            drawn = torch.multinomial(log_probs.exp(), 1, generator=generator)
            drawn = torch.where(going.unsqueeze(1), drawn, EOS)
        found.append(torch.where(going, log_probs.gather(1, drawn).squeeze(1), 0.0))
        words = torch.cat([words, drawn], 1)
        going = going & (drawn.squeeze(1) != EOS)
        if not bool(going.any()):
            break
    return SampledCaptions(words[:, 1:], torch.stack(found, 1).sum(1))


def sampled_log_probs(
    scores: torch.Tensor, tokens: torch.Tensor, options: CaptionSearch = _DEFAULTS
) -> torch.Tensor:
    """Log-probabilities with which captions would be drawn.

    Arguments
    ---------
    scores : torch.Tensor
        Of the decoder that has read the captions, (batch, time, vocabulary).
    tokens : torch.Tensor
        Of :class:`SampledCaptions`, (batch, time).
    options : CaptionSearch
        Those with which they were drawn.

    Returns
    -------
    torch.Tensor
        (batch,), with gradients.
    """
    before = (tokens == EOS).cumsum(1) - (tokens == EOS).int() > 0
    found = []
    for t in range(tokens.shape[1]):
        log_probs = drawn_from(tokens[:, :t], scores[:, t], options)
        chosen = log_probs.gather(1, tokens[:, t : t + 1]).squeeze(1)
        found.append(torch.where(before[:, t], 0.0, chosen))
    return torch.stack(found, 1).sum(1)


def beam_search(
    captioner: Captioner, memory: Memory, options: CaptionSearch
) -> list[list[CaptionHypothesis]]:
    """Goes on with the likeliest beginnings of captions.

    Arguments
    ---------
    captioner : Captioner
        The captioner.
    memory : Memory
        What it has made of the items.
    options : CaptionSearch
        How; groups do not matter.

    Returns
    -------
    list of list of CaptionHypothesis
        For each item up to ``beam_size``, the best one first.
    """
    return _in_groups(captioner, memory, options, 1)


def diverse_beam_search(
    captioner: Captioner, memory: Memory, options: CaptionSearch
) -> list[list[CaptionHypothesis]]:
    """Beam searches in groups, each kept away from the words of those before it.

    Vijayakumar et al. 2016, "Diverse beam search": at every step a word costs ``diversity`` for
    each beam of an earlier group that has just taken it. Scores of captions do not have these
    costs in them.

    Arguments
    ---------
    captioner : Captioner
        The captioner.
    memory : Memory
        What it has made of the items.
    options : CaptionSearch
        How.

    Returns
    -------
    list of list of CaptionHypothesis
        For each item up to ``beam_size`` different ones, the best one first.
    """
    return _in_groups(captioner, memory, options, options.groups)


@torch.no_grad()
def _in_groups(
    captioner: Captioner, memory: Memory, options: CaptionSearch, groups: int
) -> list[list[CaptionHypothesis]]:
    beams = Beams(len(memory.features), groups, options, memory.features.device)
    memory = memory.repeat(options.beam_size)
    with _evaluated(captioner) as decoder:
        state = decoder.begin(memory)
        while not beams.done:
            scores, state, attention = decoder.step(beams.last, state, memory)
            rows = beams.extend(scores, attention)
            state = select_state(state, rows, same_items=True)
    return beams.best()


@contextmanager
def _evaluated(captioner: nn.Module) -> Iterator[CaptionDecoder]:
    """The decoder without dropout and noise; afterwards it is in its mode again."""
    decoder = captioner.decoder
    training = decoder.training
    decoder.eval()
    try:
        yield decoder
    finally:
        decoder.train(training)
