"""Prefix beam search of connectionist temporal classification, alone or with a language model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis, log_add

if TYPE_CHECKING:
    from gatedrnn.tasks.asr.lm_fusion import Fusion, Prefix


def prefix_beam_search(
    log_probs: torch.Tensor,
    counts: torch.Tensor,
    beam_size: int = 16,
    n_best: int | None = None,
    min_log_prob: float = -8.0,
    fusion: Fusion | None = None,
) -> list[list[Hypothesis]]:
    """Finds the likeliest readings, adding up the alignments of each.

    With beams wide enough it is exact. SpeechBrain's ``CTCPrefixBeamSearcher`` finds the same, as a
    test shows, but more slowly at the same pruning, and does not return the
    tokens, without which there is no alignment and so no word times.

    Arguments
    ---------
    log_probs : torch.Tensor
        (batch, frames, tokens).
    counts : torch.Tensor
        Frames of each utterance, (batch,).
    beam_size : int
        Readings that are kept from frame to frame.
    n_best : int or None
        How many to return; ``None`` for all that are kept.
    min_log_prob : float
        Tokens less likely than this in a frame are not tried there (the best one always is).
    fusion : Fusion or None
        A language model that has its say.

    Returns
    -------
    list of list of Hypothesis
        For each utterance the best reading first.

    Example
    -------
    >>> probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]])
    >>> for found in prefix_beam_search(probs.log().unsqueeze(0), torch.tensor([2]))[0]:
    ...     print(found.tokens, round(math.exp(found.score), 2))
    (1,) 0.64
    () 0.36
    """
    beams = [PrefixBeam(beam_size, min_log_prob, fusion) for _ in range(len(log_probs))]
    if fusion is None:
        for beam, scores, count in zip(beams, log_probs, counts.tolist(), strict=True):
            beam.advance(scores[:count])
        return [beam.hypotheses()[:n_best] for beam in beams]
    # Frame by frame in all utterances, so that the language model reads what is new in all at once.
    frames = [
        _tried(scores[:count], min_log_prob)
        for scores, count in zip(log_probs, counts.tolist(), strict=True)
    ]
    for t in range(max(map(len, frames), default=0)):
        going = [
            (beam, beam.expand(*rows[t]))
            for beam, rows in zip(beams, frames, strict=True)
            if t < len(rows)
        ]
        fusion.settle([prefix for _, grown in going for prefix in grown.due])
        for beam, grown in going:
            beam.keep(grown)
    fusion.settle([prefix for beam in beams for prefix in beam.ended()])
    return [beam.hypotheses()[:n_best] for beam in beams]


class Grown:
    """What the readings of a beam may become in a frame.

    Arguments
    ---------
    ends : dict
        Tokens -> log-probability of the alignments that end in a blank, and in the last token.
    prefixes : dict
        Tokens -> log-probability of all alignments, and what fusion knows; empty without it.
    due : list of Prefix
        Those that the language model must score first.
    """

    __slots__ = ("due", "ends", "prefixes")

    def __init__(self) -> None:
        self.ends: dict[tuple[int, ...], tuple[float, float]] = {}
        self.prefixes: dict[tuple[int, ...], tuple[float, Prefix]] = {}
        self.due: list[Prefix] = []


class PrefixBeam:
    """The prefix beam search of one utterance, frames at a time.

    Arguments
    ---------
    beam_size : int
        Readings that are kept from frame to frame.
    min_log_prob : float
        Tokens less likely than this in a frame are not tried there (the best one always is).
    fusion : Fusion or None
        A language model that has its say.

    Raises
    ------
    ValueError
        If the beam is not at least 1 wide.

    Example
    -------
    >>> beam = PrefixBeam(16)
    >>> for frame in torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log():
    ...     beam.advance(frame.unsqueeze(0))
    >>> beam.hypotheses()[0].tokens
    (1,)
    """

    def __init__(
        self, beam_size: int, min_log_prob: float = -8.0, fusion: Fusion | None = None
    ) -> None:
        if beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, not {beam_size}")
        self.beam_size, self.min_log_prob, self.fusion = beam_size, min_log_prob, fusion
        # Prefix -> log-probability of the alignments that end in a blank, and in its last token.
        self._beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
        self._prefixes: dict[tuple[int, ...], Prefix] = {}
        if fusion is not None:
            self._prefixes[()] = fusion.begin()

    @property
    def best(self) -> tuple[int, ...]:
        """Tokens of the best reading so far, as if it could still go on."""
        return next(iter(self._beams))

    def hypotheses(self) -> list[Hypothesis]:
        """The readings of the frames so far.

        Returns
        -------
        list of Hypothesis
            The best first.
        """
        if self.fusion is None:
            return [Hypothesis(prefix, log_add(*ends)) for prefix, ends in self._beams.items()]
        ended = self.ended()
        self.fusion.settle(ended)
        found = []
        for (tokens, ends), prefix in zip(self._beams.items(), ended, strict=True):
            score = log_add(*ends)
            parts = {"am": score, **self.fusion.parts(prefix)}
            found.append(Hypothesis(tokens, score + prefix.bonus, parts))
        return sorted(found, key=lambda h: (-h.score, h.tokens))

    def ended(self) -> list[Prefix]:
        """The readings as if they ended here, for fusion to settle.

        Returns
        -------
        list of Prefix
        """
        return [self.fusion.ended(self._prefixes[tokens]) for tokens in self._beams]

    def advance(self, log_probs: torch.Tensor) -> None:
        """Reads further frames.

        Arguments
        ---------
        log_probs : torch.Tensor
            (frames, tokens).
        """
        for row, tried in _tried(log_probs, self.min_log_prob):
            grown = self.expand(row, tried)
            if grown.due:
                self.fusion.settle(grown.due)
            self.keep(grown)

    def expand(self, row: torch.Tensor, tried: list[int]) -> Grown:
        """What the readings may become in the next frame; then comes :meth:`keep`.

        Arguments
        ---------
        row : torch.Tensor
            Log-probabilities of the tokens in it.
        tried : list of int
            Those that are tried.

        Returns
        -------
        Grown
            With what must be settled before.
        """
        nothing = -math.inf
        tokens = [(t, float(row[t])) for t in tried if t != BLANK]
        blank = float(row[BLANK])
        found = Grown()
        grown = found.ends
        for prefix, (in_blank, in_token) in self._beams.items():
            both = log_add(in_blank, in_token)
            last = prefix[-1] if prefix else None
            old_blank, old_token = grown.get(prefix, (nothing, nothing))
            stay = nothing if last is None else in_token + float(row[last])
            grown[prefix] = (log_add(old_blank, both + blank), log_add(old_token, stay))
            for token, score in tokens:
                # The same token again is another one only after a blank.
                came = in_blank if token == last else both
                if came == nothing:
                    continue
                longer = (*prefix, token)
                old_blank, old_token = grown.get(longer, (nothing, nothing))
                grown[longer] = (old_blank, log_add(old_token, came + score))
        if self.fusion is not None:
            self._ask(found)
        return found

    def keep(self, grown: Grown) -> None:
        """Keeps the best of what the readings may become.

        Arguments
        ---------
        grown : Grown
            Of :meth:`expand`, settled.
        """
        if self.fusion is None:
            ranked = sorted(grown.ends.items(), key=lambda item: (-log_add(*item[1]), item[0]))
            self._beams = dict(ranked[: self.beam_size])
            return
        scored = [(-(heard + prefix.bonus), t) for t, (heard, prefix) in grown.prefixes.items()]
        kept = [tokens for _, tokens in sorted(scored)[: self.beam_size]]
        self._beams = {tokens: grown.ends[tokens] for tokens in kept}
        self._prefixes = {tokens: grown.prefixes[tokens][1] for tokens in kept}

    def _ask(self, grown: Grown) -> None:
        """Leaves out what cannot be among the best, whatever the language model says."""
        heard = {tokens: log_add(*ends) for tokens, ends in grown.ends.items()}
        grown.prefixes = {t: (heard[t], prefix) for t, prefix in self._prefixes.items()}
        known = [score + prefix.bonus for score, prefix in grown.prefixes.values()]
        least = self._least(known)
        waiting = []
        for tokens, score in heard.items():
            if tokens in self._prefixes:
                continue
            before = self._prefixes[tokens[:-1]]
            if score + self.fusion.most(before, tokens[-1]) < least:
                continue
            prefix = self.fusion.grow(before, tokens[-1])
            if prefix.due:
                waiting.append((tokens, score, prefix))
            else:
                known.append(score + prefix.bonus)
                grown.prefixes[tokens] = score, prefix
        least = self._least(known)
        for tokens, score, prefix in waiting:
            if score + prefix.bonus >= least:
                grown.prefixes[tokens] = score, prefix
                grown.due.append(prefix)

    def _least(self, known: list[float]) -> float:
        """The least score with which a reading can be kept beside others."""
        if len(known) < self.beam_size:
            return -math.inf
        return sorted(known, reverse=True)[self.beam_size - 1]


def _tried(log_probs: torch.Tensor, min_log_prob: float) -> list[tuple[torch.Tensor, list[int]]]:
    """Each frame with the tokens that are tried in it."""
    scores = log_probs.detach().double().cpu()
    tried = scores > min_log_prob
    tried.scatter_(1, scores.argmax(1, keepdim=True), True)
    return [
        (row, mask.nonzero().squeeze(1).tolist()) for row, mask in zip(scores, tried, strict=True)
    ]
