"""Decoding of connectionist temporal classification: greedy, prefix beam search, word times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torchaudio.functional import forced_align

from gatedrnn.decoding.hypotheses import Hypothesis, Tokens, Word, log_add
from gatedrnn.lobes.acoustic_model import BLANK


def greedy(log_probs: torch.Tensor, counts: torch.Tensor) -> list[Hypothesis]:
    """Takes the best token of each frame, repetitions as one, without blanks.

    Arguments
    ---------
    log_probs : torch.Tensor
        (batch, frames, tokens).
    counts : torch.Tensor
        Frames of each utterance, (batch,).

    Returns
    -------
    list of Hypothesis
        One per utterance; its score is that of the best alignment.

    Example
    -------
    >>> probs = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    >>> greedy(probs.log().unsqueeze(0), torch.tensor([4]))[0].tokens
    (1, 1)
    """
    scores, best = (value.cpu() for value in log_probs.max(-1))
    found = []
    for score, path, count in zip(scores, best, counts.tolist(), strict=True):
        tokens = torch.unique_consecutive(path[:count]).tolist()
        found.append(Hypothesis(tuple(t for t in tokens if t != BLANK), float(score[:count].sum())))
    return found


def prefix_beam_search(
    log_probs: torch.Tensor,
    counts: torch.Tensor,
    beam_size: int = 16,
    n_best: int | None = None,
    min_log_prob: float = -8.0,
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
    found = []
    for scores, count in zip(log_probs, counts.tolist(), strict=True):
        beam = PrefixBeam(beam_size, min_log_prob)
        beam.advance(scores[:count])
        found.append(beam.hypotheses()[:n_best])
    return found


class PrefixBeam:
    """The prefix beam search of one utterance, frames at a time.

    Arguments
    ---------
    beam_size : int
        Readings that are kept from frame to frame.
    min_log_prob : float
        Tokens less likely than this in a frame are not tried there (the best one always is).

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

    def __init__(self, beam_size: int, min_log_prob: float = -8.0) -> None:
        if beam_size < 1:
            raise ValueError(f"beam_size must be at least 1, not {beam_size}")
        self.beam_size, self.min_log_prob = beam_size, min_log_prob
        # Prefix -> log-probability of the alignments that end in a blank, and in its last token.
        self._beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}

    def hypotheses(self) -> list[Hypothesis]:
        """The readings of the frames so far.

        Returns
        -------
        list of Hypothesis
            The best first.
        """
        return [Hypothesis(prefix, log_add(*ends)) for prefix, ends in self._beams.items()]

    def advance(self, log_probs: torch.Tensor) -> None:
        """Reads further frames.

        Arguments
        ---------
        log_probs : torch.Tensor
            (frames, tokens).
        """
        scores = log_probs.double().cpu()
        tried = scores > self.min_log_prob
        tried.scatter_(1, scores.argmax(1, keepdim=True), True)
        for row, mask in zip(scores, tried, strict=True):
            self._step(row, mask.nonzero().squeeze(1).tolist())

    def _step(self, row: torch.Tensor, tried: list[int]) -> None:
        nothing = -math.inf
        tokens = [(t, float(row[t])) for t in tried if t != BLANK]
        blank = float(row[BLANK])
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
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
        ranked = sorted(grown.items(), key=lambda item: (-log_add(*item[1]), item[0]))
        self._beams = dict(ranked[: self.beam_size])


def word_times(
    log_probs: torch.Tensor, hypothesis: Hypothesis, tokens: Tokens, seconds_per_frame: float
) -> list[Word]:
    """When each word of a reading was said, by the best alignment of its tokens.

    Arguments
    ---------
    log_probs : torch.Tensor
        Of one utterance, without padding, (frames, tokens).
    hypothesis : Hypothesis
        The reading.
    tokens : Tokens
        What spells words.
    seconds_per_frame : float
        Duration of a frame.

    Returns
    -------
    list of Word

    Raises
    ------
    ValueError
        If the utterance has too few frames for the reading.

    Example
    -------
    >>> from gatedrnn.training.tokens import Characters
    >>> spelling = Characters(["<blank>", " ", "A", "B"])
    >>> path = torch.tensor([0, 2, 2, 1, 0, 3, 3, 0])
    >>> log_probs = torch.nn.functional.one_hot(path, 4).mul(9.0).log_softmax(-1)
    >>> for w in word_times(log_probs, Hypothesis((2, 1, 3), 0.0), spelling, 0.04):
    ...     print(w.word, round(w.start, 2), round(w.end, 2), round(w.confidence, 2))
    A 0.04 0.12 1.0
    B 0.2 0.28 1.0
    """
    found = list(hypothesis.tokens)
    if not found:
        return []
    needed = frames_needed(found)
    if len(log_probs) < needed:
        raise ValueError(
            f"{len(found)} tokens, {needed - len(found)} of them repeated, do not fit into "
            f"{len(log_probs)} frames"
        )
    path, scores = forced_align(
        log_probs.float().cpu().unsqueeze(0),
        torch.tensor([found], dtype=torch.int32),
        blank=BLANK,
    )
    spans = _spans(path[0].tolist())
    probs = scores[0].exp().tolist()
    words = []
    for word, first, after in tokens.words(found):
        frames = [f for a, b in spans[first:after] for f in range(a, b)]
        words.append(
            Word(
                word,
                spans[first][0] * seconds_per_frame,
                spans[after - 1][1] * seconds_per_frame,
                sum(probs[f] for f in frames) / len(frames),
            )
        )
    return words


def frames_needed(tokens: Sequence[int]) -> int:
    """How many frames an alignment of some tokens has at least.

    Arguments
    ---------
    tokens : sequence of int
        Without blanks.

    Returns
    -------
    int

    Example
    -------
    >>> frames_needed([3, 3, 1])  # between the same two tokens must be a blank
    4
    """
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))


def _spans(path: list[int]) -> list[tuple[int, int]]:
    """First frame, and frame after the last, of each token of an alignment."""
    spans: list[tuple[int, int]] = []
    before = BLANK
    for frame, token in enumerate(path):
        if token != BLANK:
            if token == before:
                spans[-1] = (spans[-1][0], frame + 1)
            else:
                spans.append((frame, frame + 1))
        before = token
    return spans
