"""Decoding of connectionist temporal classification: greedy search, word times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchaudio.functional import forced_align

from gatedrnn.tokens import BLANK
from gatedrnn.tokens.hypotheses import Hypothesis, Tokens, Word


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
    >>> from gatedrnn.tokens import Characters
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
    for word, first, after in tokens.word_spans(found):
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
