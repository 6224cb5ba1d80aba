"""How well a language model predicts a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.language_modeling.data import Rows, lines, streams
from gatedrnn.tasks.language_modeling.dynamic_evaluation import Adapted
from gatedrnn.tokens import IGNORE


@dataclass(frozen=True)
class Reading:
    """How a text is read.

    Arguments
    ---------
    carried : bool
        Carry the state on through the text; otherwise each line is read by itself.
    streams : int
        Stretches that are read side by side, if the state is carried: each begins without a state,
        so that 1 is exact and more are faster.
    window : int
        Tokens of a row that are read at once. It changes nothing but memory and speed.
    rows : int
        Lines that are read side by side, if each is read by itself.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    carried: bool = True
    streams: int = 1
    window: int = 256
    rows: int = 64

    def __post_init__(self) -> None:
        for name in ("streams", "window", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def groups(self, encoded: Any) -> list[Rows]:
        """What is read, one after the other.

        Arguments
        ---------
        encoded : Encoded
            The text.

        Returns
        -------
        list of Rows
        """
        if self.carried:
            return [streams(encoded.ids, min(self.streams, max(1, len(encoded.ids))))]
        return lines(encoded.ids, encoded.offsets, self.rows)


@dataclass(frozen=True)
class TextScore:
    """What a model makes of a text.

    Arguments
    ---------
    tokens : int
        Predicted tokens.
    words : int
        Words, ends of lines among them.
    characters : int
        Characters, ends of lines among them.
    unknown : int
        What had no token of its own.
    nats : float
        Negative log-probability of all tokens.
    spelling : float
        Nats of spelling out what had no token: see
        :meth:`gatedrnn.tokens.Tokens.unknown_nats`.

    Example
    -------
    >>> found = TextScore(4, words=4, characters=16, unknown=0, nats=math.log(16), spelling=0)
    >>> round(found.perplexity, 6), found.bits_per_character
    (2.0, 0.25)
    """

    tokens: int
    words: int
    characters: int
    unknown: int
    nats: float
    spelling: float

    @property
    def perplexity(self) -> float:
        """Per word, an unknown word being the token ``<unk>``: as the papers report it."""
        return _exp(self.nats / max(1, self.words))

    @property
    def open_perplexity(self) -> float:
        """Per word, unknown words spelled out: comparable whatever the tokens."""
        return _exp((self.nats + self.spelling) / max(1, self.words))

    @property
    def bits_per_character(self) -> float:
        """Unknown words spelled out."""
        return (self.nats + self.spelling) / math.log(2) / max(1, self.characters)

    def figures(self) -> dict[str, float | int]:
        """All figures, by the names under which results list them.

        Returns
        -------
        dict
        """
        return {
            "perplexity": self.perplexity,
            "open perplexity": self.open_perplexity,
            "bits per character": self.bits_per_character,
            "loss": self.nats / max(1, self.tokens),
            "tokens": self.tokens,
            "words": self.words,
            "characters": self.characters,
            "unknown": self.unknown,
        }


def score(encoded: Any, log_probs: torch.Tensor) -> TextScore:
    """Sums the log-probabilities of a text up.

    Arguments
    ---------
    encoded : Encoded
        The text.
    log_probs : torch.Tensor
        Of :func:`log_probabilities`.

    Returns
    -------
    TextScore
    """
    text = encoded.text
    return TextScore(
        tokens=len(encoded.ids),
        words=text.words,
        characters=text.characters,
        unknown=encoded.unknown,
        nats=-math.fsum(log_probs.tolist()),
        spelling=encoded.unknown_nats,
    )


def log_probabilities(
    model: nn.Module,
    encoded: Any,
    reading: Reading,
    learner: Adapted | None = None,
    share: tuple[int, int] = (0, 1),
) -> torch.Tensor:
    """Log-probability of every token of a text, given those before.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx, targets)``, like ``TextModel``; it is
        left as it was.
    encoded : Encoded
        The text as tokens.
    reading : Reading
        How it is read.
    learner : Adapted or None
        A copy of the model that learns from what it has read: dynamic evaluation. It reads as much
        at a time as it is to learn from at a time.
    share : tuple of int
        Number of this process and of all: each takes some of the rows, the tokens of the others
        stay zero, so that the processes' results add up. A model that learns must read all.

    Returns
    -------
    torch.Tensor
        In double precision, on the CPU, (tokens,).

    Raises
    ------
    ValueError
        If a model that learns is to read a part.
    """
    rank, world = share
    if learner is not None and world > 1:
        raise ValueError("dynamic evaluation follows the text: one process must read all of it")
    result = torch.zeros(len(encoded.ids), dtype=torch.float64)
    groups = reading.groups(encoded)
    groups = [g.share(rank, world) for g in groups] if reading.carried else groups[rank::world]
    device = next(model.parameters()).device
    size = reading.window if learner is None else learner.options.window
    with evaluating(model):
        for rows in groups:
            hidden, done = None, 0
            for window in rows.windows(size):
                moved = window.to(device)
                if learner is None:
                    with torch.no_grad():
                        losses, hidden, _ = model(moved.inputs, hidden, moved.targets)
                else:
                    losses, hidden = learner(moved, hidden)
                inside = window.targets != IGNORE
                places = rows.starts.unsqueeze(1) + torch.arange(done, done + inside.shape[1])
                result[places[inside]] = -losses.cpu().double()[inside]
                done += inside.shape[1]
    return result


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Turns dropout and noise off for a while.

    Arguments
    ---------
    model : torch.nn.Module
        The model.
    """
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _exp(value: float) -> float:
    # What a text that is far too improbable comes to is no error.
    return math.exp(value) if value < 700 else math.inf
