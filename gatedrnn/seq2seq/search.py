"""Search for the output sequences of a decoder: greedy, sampling, beam and diverse beam search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Protocol

import torch

from gatedrnn.data.config import Config, Range
from gatedrnn.seq2seq.decoder import Decoder, select_state
from gatedrnn.seq2seq.encoder import EncoderOutput
from gatedrnn.tokens import EOS, UNKNOWN

__all__ = [
    "SampledSequences",
    "SearchHypothesis",
    "SearchOptions",
    "beam_search",
    "diverse_beam_search",
    "greedy",
    "sample",
    "sampled_log_probs",
    "search",
]


@dataclass(frozen=True)
class SearchOptions(Config):
    """Search options.

    Arguments
    ---------
    beam_size : int
        Partial hypotheses that are kept at each step, in all groups together; 1 to 1000.
    max_length : int
        Maximum number of tokens of a sequence, without ``<eos>``; at least 1.
    min_length : int
        Minimum number of tokens of a sequence, from 0 to ``max_length``.
    length_penalty : float
        Scores are divided by the number of tokens, with ``<eos>``, to this power: 0 for the
        log-probability itself, 1 for the mean per token; from 0 to 10.
    groups : int
        Groups of a diverse beam search, which share the beams evenly; at least 1.
    diversity : float
        Penalty of a token for each beam of an earlier group that has just taken it; from 0 to 1e6.
    temperature : float
        Of sampling; above 0. Below 1 probable tokens become more probable.
    block_ngrams : int
        No n-gram of this order may occur twice in a sequence; 0 allows all.
    unknown : bool
        Whether the token 1, ``<unk>`` of word vocabularies, is allowed.

    Example
    -------
    >>> SearchOptions(length_penalty=1.0).normalize(-6.0, 2)
    -2.0
    """

    beam_size: Annotated[int, Range(1, 1000)] = 5
    max_length: Annotated[int, Range(1, 1 << 20)] = 16
    min_length: Annotated[int, Range(0, 1 << 20)] = 0
    length_penalty: Annotated[float, Range(0, 10)] = 0.0
    groups: Annotated[int, Range(1, 1000)] = 1
    diversity: Annotated[float, Range(0, 1e6)] = 0.5
    temperature: Annotated[float, Range(0, 1e6)] = 1.0
    block_ngrams: Annotated[int, Range(0, 1 << 20)] = 0
    unknown: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_size % self.groups:
            raise ValueError(
                "beam_size and groups must be such that groups share the beams evenly, not "
                f"{self.beam_size} and {self.groups}"
            )
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length must be from 0 to max_length {self.max_length}, not {self.min_length}"
            )
        if not self.temperature > 0.0:
            raise ValueError(f"temperature must be above 0, not {self.temperature}")

    def normalize(self, log_prob: float, tokens: int) -> float:
        """Score of tokens, ``<eos>`` not counted, given their log-probability with ``<eos>``."""
        return log_prob / (tokens + 1) ** self.length_penalty


@dataclass(frozen=True, eq=False)
class SearchHypothesis:
    """A sequence that a search returns.

    Arguments
    ---------
    tokens : tuple of int
        Its tokens, without ``<eos>``.
    score : float
        Log-probability of tokens and ``<eos>``, normalized by ``length_penalty``.
    attention : torch.Tensor
        Attention weights of each token, float32, (tokens, regions), on the CPU.
    """

    tokens: tuple[int, ...]
    score: float
    attention: torch.Tensor


@dataclass(frozen=True)
class SampledSequences:
    """Sequences that were sampled from a decoder.

    Arguments
    ---------
    tokens : torch.Tensor
        (batch * count, time), ``<eos>`` after the last token; those of an item in a row.
    log_probs : torch.Tensor
        Log-probability of each sequence, summed over its tokens and ``<eos>``, (batch * count,).
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor

    @property
    def decoder_input(self) -> torch.Tensor:
        """The sequences as input of a :class:`~gatedrnn.seq2seq.decoder.Decoder`."""
        start = self.tokens.new_full((len(self.tokens), 1), EOS)
        return torch.cat([start, self.tokens[:, :-1]], 1)


class HasDecoder(Protocol):
    """A model with a decoder, such as :class:`~gatedrnn.seq2seq.model.EncoderDecoder`."""

    decoder: Decoder


_DEFAULTS = SearchOptions()


@torch.no_grad()
def search(
    model: HasDecoder, encoded: EncoderOutput, options: SearchOptions
) -> list[list[SearchHypothesis]]:
    """Runs the search that the options describe.

    Arguments
    ---------
    model : EncoderDecoder
        Encoder and decoder.
    encoded : EncoderOutput
        Its encoder output, (batch, regions, width).
    options : SearchOptions
        Several groups: diverse beam search; several beams: beam search; one beam: greedy search.

    Returns
    -------
    list of list of SearchHypothesis
        For each item up to ``beam_size``, the best one first.

    Example
    -------
    >>> from gatedrnn.tasks.captioning.model import Captioner, FeatureEncoder
    >>> captioner = Captioner(FeatureEncoder(5, 8), Decoder(20, 8, hidden_size=16)).eval()
    >>> encoded = captioner.encode(torch.rand(2, 9, 5))
    >>> nbest = search(captioner, encoded, SearchOptions(beam_size=4, max_length=5))
    >>> len(nbest), nbest[0][0].score >= nbest[0][1].score
    (2, True)
    >>> nbest[0][0].attention.shape == (len(nbest[0][0].tokens), 9)
    True
    """
    if options.groups > 1:
        return diverse_beam_search(model, encoded, options)
    if options.beam_size > 1:
        return beam_search(model, encoded, options)
    return [[hypothesis] for hypothesis in greedy(model, encoded, options)]


@torch.no_grad()
def greedy(
    model: HasDecoder, encoded: EncoderOutput, options: SearchOptions
) -> list[SearchHypothesis]:
    """Takes the most probable token at each step; one hypothesis per item, see :func:`search`."""
    batch, device = len(encoded.features), encoded.features.device
    tokens = torch.full((batch, 1), EOS, device=device)
    steps, total = [], torch.zeros(batch, dtype=torch.float64, device=device)
    active = torch.ones(batch, dtype=torch.bool, device=device)
    with _evaluation(model) as decoder:
        state = decoder.initial_state(encoded)
        for _ in range(options.max_length + 1):
            scores, state, attention = decoder.step(tokens[:, -1], state, encoded)
            log_probs = scores.double().log_softmax(1)
            allowed = allowed_tokens(tokens[:, 1:], scores, options)
            best, chosen = log_probs.masked_fill(~allowed, -torch.inf).max(1)
            total += torch.where(active, best, 0.0)
            tokens = torch.cat([tokens, torch.where(active, chosen, EOS).unsqueeze(1)], 1)
            steps.append(attention)
            active = active & (chosen != EOS)
            if not bool(active.any()):
                break
    attention = torch.stack(steps, 1).float().cpu()
    hypotheses = []
    for row, score, weights in zip(tokens[:, 1:].tolist(), total.tolist(), attention, strict=True):
        sequence = tuple(row[: row.index(EOS)])
        score = options.normalize(score, len(sequence))
        hypotheses.append(SearchHypothesis(sequence, score, weights[: len(sequence)]))
    return hypotheses


def sample(
    model: HasDecoder,
    encoded: EncoderOutput,
    count: int,
    generator: torch.Generator | None = None,
    options: SearchOptions = _DEFAULTS,
) -> SampledSequences:
    """Samples sequences token by token, in the model's present mode, training or evaluation.

    Gradients flow through the log-probabilities, for self-critical training.

    Arguments
    ---------
    model : EncoderDecoder
        Encoder and decoder.
    encoded : EncoderOutput
        Its encoder output, (batch, regions, width).
    count : int
        Number of sequences of each item, at least 1.
    generator : torch.Generator or None
        Random generator, on the device of the encoder output.
    options : SearchOptions
        Temperature, lengths and which tokens are allowed.

    Returns
    -------
    SampledSequences
        Log-probabilities are those of the distribution that is sampled from: over the allowed
        tokens, at the given temperature. A sequence of ``max_length`` tokens ends there with
        probability 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    encoded = encoded.repeat(count)
    decoder, batch = model.decoder, len(encoded.features)
    state = decoder.initial_state(encoded)
    tokens = torch.full((batch, 1), EOS, device=encoded.features.device)
    active = torch.ones(batch, dtype=torch.bool, device=tokens.device)
    steps = []
    for _ in range(options.max_length + 1):
        scores, state, _ = decoder.step(tokens[:, -1], state, encoded)
        log_probs = _sampling_distribution(tokens[:, 1:], scores, options)
        with torch.no_grad():
            sampled = torch.multinomial(log_probs.exp(), 1, generator=generator)
            sampled = torch.where(active.unsqueeze(1), sampled, EOS)
        steps.append(torch.where(active, log_probs.gather(1, sampled).squeeze(1), 0.0))
        tokens = torch.cat([tokens, sampled], 1)
        active = active & (sampled.squeeze(1) != EOS)
        if not bool(active.any()):
            break
    return SampledSequences(tokens[:, 1:], torch.stack(steps, 1).sum(1))


def sampled_log_probs(
    scores: torch.Tensor, tokens: torch.Tensor, options: SearchOptions = _DEFAULTS
) -> torch.Tensor:
    """Log-probabilities with which :func:`sample` would sample given sequences.

    Arguments
    ---------
    scores : torch.Tensor
        Of the decoder over :attr:`SampledSequences.decoder_input`, (batch, time, vocabulary).
    tokens : torch.Tensor
        Of :class:`SampledSequences`, (batch, time).
    options : SearchOptions
        Those of the sampling.

    Returns
    -------
    torch.Tensor
        (batch,), with gradients.
    """
    ended = (tokens == EOS).cumsum(1) - (tokens == EOS).int() > 0
    steps = []
    for t in range(tokens.shape[1]):
        log_probs = _sampling_distribution(tokens[:, :t], scores[:, t], options)
        chosen = log_probs.gather(1, tokens[:, t : t + 1]).squeeze(1)
        steps.append(torch.where(ended[:, t], 0.0, chosen))
    return torch.stack(steps, 1).sum(1)


def beam_search(
    model: HasDecoder, encoded: EncoderOutput, options: SearchOptions
) -> list[list[SearchHypothesis]]:
    """Keeps the best ``beam_size`` partial hypotheses of each item, without groups.

    Arguments and result are those of :func:`search`.
    """
    return _search_in_groups(model, encoded, options, 1)


def diverse_beam_search(
    model: HasDecoder, encoded: EncoderOutput, options: SearchOptions
) -> list[list[SearchHypothesis]]:
    """Diverse beam search (Vijayakumar et al. 2016).

    At every step a token costs ``diversity`` for each beam of an earlier group that has just taken
    it. The scores of the returned sequences do not include these costs. Arguments and result are
    those of :func:`search`; hypotheses of an item differ.
    """
    return _search_in_groups(model, encoded, options, options.groups)


@torch.no_grad()
def _search_in_groups(
    model: HasDecoder, encoded: EncoderOutput, options: SearchOptions, groups: int
) -> list[list[SearchHypothesis]]:
    beams = Beams(len(encoded.features), groups, options, encoded.features.device)
    encoded = encoded.repeat(options.beam_size)
    with _evaluation(model) as decoder:
        state = decoder.initial_state(encoded)
        while not beams.done:
            scores, state, attention = decoder.step(beams.last, state, encoded)
            rows = beams.extend(scores, attention)
            state = select_state(state, rows, same_items=True)
    return beams.best()


@contextmanager
def _evaluation(model: HasDecoder) -> Iterator[Decoder]:
    """The decoder in evaluation mode; afterwards its mode is restored."""
    decoder = model.decoder
    training = decoder.training
    decoder.eval()
    try:
        yield decoder
    finally:
        decoder.train(training)


class Beams:
    """Partial and complete hypotheses of all items and groups.

    A group of an item extends its partial hypotheses by all tokens and keeps the best ones; those
    that end are complete. The search ends when no partial hypothesis can become better than the
    worst complete one of a full group.
    """

    def __init__(
        self, items: int, groups: int, options: SearchOptions, device: torch.device
    ) -> None:
        self.items, self.groups, self.options = items, groups, options
        self.size = options.beam_size // groups
        shape = (items, groups, self.size)
        #: Log-probabilities of the partial hypotheses; minus infinity where there is none.
        self.scores = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        self.scores[:, :, 0] = 0.0
        self.tokens = torch.full((*shape, 0), EOS, device=device)
        #: Attention weights of the partial hypotheses, (items * beams, time, regions).
        self.attention: torch.Tensor | None = None
        #: Complete hypotheses of each item and group.
        self.complete: list[list[list[SearchHypothesis]]] = [
            [[] for _ in range(groups)] for _ in range(items)
        ]

    @property
    def last(self) -> torch.Tensor:
        """Last token of each partial hypothesis, (items * beams,)."""
        if not self.tokens.shape[3]:
            return torch.full((self.scores.numel(),), EOS, device=self.tokens.device)
        return self.tokens[..., -1].flatten()

    @property
    def done(self) -> bool:
        """Whether there is no partial hypothesis left."""
        return bool(torch.isinf(self.scores).all())

    def extend(self, scores: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        """Extends all partial hypotheses by a token.

        scores: Logits of the next token, (items * beams, vocabulary).
        attention: Attention weights, (items * beams, regions).
        Returns: The row that each row extends, (items * beams,).
        """
        shape = (self.items, self.groups, self.size)
        log_probs = scores.double().log_softmax(1)
        allowed = allowed_tokens(self.tokens.flatten(0, 2), scores, self.options)
        log_probs = log_probs.masked_fill(~allowed, -torch.inf).view(*shape, -1)
        parents, tokens = self._choose(log_probs)
        first = torch.arange(self.items * self.groups, device=parents.device) * self.size
        rows = (parents + first.view(self.items, self.groups, 1)).flatten()
        self.tokens = torch.cat(
            [self.tokens.flatten(0, 2)[rows].view(*shape, -1), tokens.unsqueeze(3)], 3
        )
        new = attention.float().unsqueeze(1)
        extended = new if self.attention is None else torch.cat([self.attention, new], 1)
        self.attention = extended[rows]
        self._complete_ended()
        return rows

    def best(self) -> list[list[SearchHypothesis]]:
        """The complete hypotheses of each item, the best one first, without duplicates."""
        nbest = []
        for groups in self.complete:
            distinct = {h.tokens: h for group in groups for h in group}
            nbest.append(sorted(distinct.values(), key=lambda h: -h.score))
        return nbest

    def _choose(self, log_probs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The best extensions of each group: parent (within the group) and token."""
        vocabulary = log_probs.shape[3]
        totals = self.scores.unsqueeze(3) + log_probs
        taken = totals.new_zeros(self.items, vocabulary)
        parents, tokens = [], []
        for group in range(self.groups):
            ranked = totals[:, group] - self.options.diversity * taken.unsqueeze(1)
            _, places = ranked.flatten(1).topk(self.size, 1)
            parents.append(torch.div(places, vocabulary, rounding_mode="floor"))
            tokens.append(places % vocabulary)
            self.scores[:, group] = totals[:, group].flatten(1).gather(1, places)
            exists = torch.isfinite(self.scores[:, group]).to(taken.dtype)
            taken = taken.scatter_add(1, tokens[-1], exists)
        return torch.stack(parents, 1), torch.stack(tokens, 1)

    def _complete_ended(self) -> None:
        """Moves ended hypotheses to ``complete``; drops those that cannot become better."""
        ends = (self.tokens[..., -1] == EOS) & torch.isfinite(self.scores)
        count = self.tokens.shape[3] - 1
        places = ends.nonzero()
        if len(places):
            sequences = self.tokens[ends][:, :-1].tolist()
            weights = self.attention.view(*ends.shape, *self.attention.shape[1:])
            weights = weights[ends][:, :-1].cpu()
            scores = self.scores[ends].tolist()
            for (item, group, _), tokens, score, attention in zip(
                places.tolist(), sequences, scores, weights, strict=True
            ):
                score = self.options.normalize(score, count)
                hypotheses = self.complete[item][group]
                hypotheses.append(SearchHypothesis(tuple(tokens), score, attention))
                hypotheses.sort(key=lambda h: -h.score)
                del hypotheses[self.size :]
        self.scores = self.scores.masked_fill(ends, -torch.inf)
        highest = self.scores.amax(2).tolist()
        for item, groups in enumerate(self.complete):
            for group, hypotheses in enumerate(groups):
                if len(hypotheses) == self.size:
                    # Log-probabilities only fall, and dividing by more raises what is below zero.
                    bound = self.options.normalize(highest[item][group], self.options.max_length)
                    if hypotheses[-1].score >= bound:
                        self.scores[item, group] = -torch.inf


def allowed_tokens(
    tokens: torch.Tensor, scores: torch.Tensor, options: SearchOptions
) -> torch.Tensor:
    """Mask of the tokens that may come next, bool (batch, vocabulary).

    Where the options allow none, ``<eos>`` is allowed.

    tokens: Those so far, without ``<eos>`` at the start, (batch, time).
    scores: Of the next token, (batch, vocabulary); only shape and device matter.

    Example
    -------
    >>> tokens, scores = torch.tensor([[2, 3, 2]]), torch.zeros(1, 5)
    >>> allowed_tokens(tokens, scores, SearchOptions(block_ngrams=2, min_length=4)).int()
    tensor([[0, 0, 1, 0, 1]], dtype=torch.int32)
    """
    allowed = torch.ones(scores.shape, dtype=torch.bool, device=scores.device)
    count = tokens.shape[1]
    if count >= options.max_length:
        allowed[:, :] = False
    else:
        if not options.unknown:
            allowed[:, UNKNOWN] = False
        if count < options.min_length:
            allowed[:, EOS] = False
        size = options.block_ngrams
        if size and count >= size:
            # Where the last tokens occurred before, the token that followed them is blocked.
            windows = tokens.unfold(1, size, 1)
            same = (windows[..., :-1] == tokens[:, count - size + 1 :].unsqueeze(1)).all(2)
            rows, places = same.nonzero(as_tuple=True)
            followed = windows[rows, places, -1]
            allowed[rows[followed != EOS], followed[followed != EOS]] = False
    allowed[:, EOS] |= ~allowed.any(1)
    return allowed


def _sampling_distribution(
    tokens: torch.Tensor, scores: torch.Tensor, options: SearchOptions
) -> torch.Tensor:
    """Log-probabilities from which the next token is sampled, (batch, vocabulary)."""
    scores = scores.masked_fill(~allowed_tokens(tokens, scores, options), -torch.inf)
    return (scores / options.temperature).log_softmax(1)
