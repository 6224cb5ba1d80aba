"""Evaluation of language models: perplexity, dynamic evaluation, log-probabilities of words."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.language_modeling.data import Rows, Window, lines, streams
from gatedrnn.tokens import EOS_NAME, IGNORE, Encoded, Tokens


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of evaluation.

    Arguments
    ---------
    carried : bool
        Carry the state over from line to line; otherwise each line starts from zeros.
    streams : int
        Number of spans of the text in a batch, if the state is carried: each starts from zeros, so
        that 1 is exact and more are faster.
    window : int
        Tokens of a row that are processed at once; affects memory and speed only.
    rows : int
        Lines in a batch, if each starts from zeros.

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

    def groups(self, encoded: Encoded) -> list[Rows]:
        """Batches of the text, in order."""
        if self.carried:
            return [streams(encoded.ids, min(self.streams, max(1, len(encoded.ids))))]
        return lines(encoded.ids, encoded.offsets, self.rows)


@dataclass(frozen=True)
class TextScore:
    """Log-probability of a text, and counts; ends of lines are words and characters, too.

    Example
    -------
    >>> result = TextScore(4, words=4, characters=16, unknown=0, nats=math.log(16), unknown_nats=0)
    >>> round(result.perplexity, 6), result.bits_per_character
    (2.0, 0.25)
    """

    tokens: int
    words: int
    characters: int
    unknown: int
    nats: float
    unknown_nats: float

    @property
    def perplexity(self) -> float:
        """Per word, with ``<unk>`` for unknown words, as papers report it."""
        return _exp(self.nats / max(1, self.words))

    @property
    def open_perplexity(self) -> float:
        """Per word, with the characters of unknown words: comparable whatever the tokens."""
        return _exp((self.nats + self.unknown_nats) / max(1, self.words))

    @property
    def bits_per_character(self) -> float:
        """With the characters of unknown words."""
        return (self.nats + self.unknown_nats) / math.log(2) / max(1, self.characters)

    def metrics(self) -> dict[str, float | int]:
        """All metrics, by their names in results."""
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


def score(encoded: Encoded, log_probs: torch.Tensor) -> TextScore:
    """Sums the result of :func:`log_probabilities`."""
    text = encoded.text
    return TextScore(
        tokens=len(encoded.ids),
        words=text.words,
        characters=text.characters,
        unknown=encoded.unknown,
        nats=-math.fsum(log_probs.tolist()),
        unknown_nats=encoded.unknown_nats,
    )


def log_probabilities(
    model: nn.Module,
    encoded: Encoded,
    options: EvaluationOptions,
    learner: AdaptiveModel | None = None,
    share: tuple[int, int] = (0, 1),
) -> torch.Tensor:
    """Log-probability of every token given those before it, (tokens,), double, on the CPU.

    model: Called as ``model(tokens, hx, targets)``, like ``TextModel``; its mode is restored.
    share: Rank of this process and number of processes: each evaluates some of the rows; the
        tokens of the others stay zero, so that the results can be summed. Not with dynamic
        evaluation.
    """
    rank, world = share
    if learner is not None and world > 1:
        raise ValueError("dynamic evaluation needs the whole text in order: use one process")
    result = torch.zeros(len(encoded.ids), dtype=torch.float64)
    groups = options.groups(encoded)
    groups = [g.share(rank, world) for g in groups] if options.carried else groups[rank::world]
    device = next(model.parameters()).device
    size = options.window if learner is None else learner.options.window
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
    """Evaluation mode, restored at the end."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _exp(value: float) -> float:
    # An overflow is no error.
    return math.exp(value) if value < 700 else math.inf


@dataclass(frozen=True)
class DynamicEvaluation:
    """Options of dynamic evaluation (Krause et al. 2018, arXiv 1709.07432).

    Arguments
    ---------
    lr : float
        Step size on the gradient of the mean loss of a window, at least 0.
    decay : float
        Fraction by which weights return to those of the training after each window, in [0, 1].
    window : int
        Tokens between two updates.
    rms : bool
        Divide each weight's gradient by its root mean square in training
        (:func:`gradient_squares`), and let weights with large gradients return faster.
    epsilon : float
        Added to the root mean square.
    """

    lr: float
    decay: float = 0.0
    window: int = 20
    rms: bool = False
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if not self.lr >= 0 or not 0 <= self.decay <= 1 or self.window < 1 or self.epsilon <= 0:
            raise ValueError(
                "dynamic evaluation needs lr of at least 0, decay in [0, 1], window of at least 1 "
                f"and epsilon above 0, not {self.lr}, {self.decay}, {self.window}, {self.epsilon}"
            )


class AdaptiveModel:
    """A copy of a model that is updated on the text after predicting it.

    ``squares`` of :func:`gradient_squares` are needed for ``rms``.
    """

    def __init__(
        self,
        model: nn.Module,
        options: DynamicEvaluation,
        squares: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        if options.rms and squares is None:
            raise ValueError("dynamic evaluation with rms needs the gradients of a training text")
        self.options = options
        self.model = copy.deepcopy(model).eval()
        self.start = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.roots = None
        if options.rms:
            self.roots = {name: square.sqrt() for name, square in squares.items()}
            everything = torch.cat([root.flatten() for root in self.roots.values()])
            self._mean = float(everything.mean())

    def __call__(self, window: Window, hidden: Any) -> tuple[torch.Tensor, Any]:
        """Losses (rows, time) of a window before the update, and the state after it."""
        weights = dict(self.model.named_parameters())
        with torch.enable_grad():
            losses, hidden, _ = self.model(window.inputs, hidden, window.targets)
            loss = losses.sum() / _count(window)
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        with torch.no_grad():
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                self._learn(name, weight, gradient)
        return losses.detach(), detached(hidden)

    def _learn(self, name: str, weight: torch.Tensor, gradient: torch.Tensor | None) -> None:
        options, decay = self.options, self.options.decay
        if self.roots is not None:
            root = self.roots[name]
            gradient = None if gradient is None else gradient / (root + options.epsilon)
            decay = (decay * root / self._mean).clamp(max=1.0)
        home = (self.start[name] - weight) * decay
        if gradient is not None:
            weight.sub_(gradient, alpha=options.lr)
        weight.add_(home)


def gradient_squares(model: nn.Module, windows: Iterable[Window]) -> dict[str, torch.Tensor]:
    """Mean square of each weight's gradient over windows of training text, by the weight's name.

    The state is carried over from window to window; the model is not changed.
    """
    reader = copy.deepcopy(model).eval()
    weights = dict(reader.named_parameters())
    device = next(iter(weights.values())).device
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    hidden, count = None, 0
    for window in windows:
        moved = window.to(device)
        before = None if window.first else hidden
        losses, hidden, _ = reader(moved.inputs, before, moved.targets)
        hidden = detached(hidden)
        loss = losses.sum() / _count(window)
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                squares[name] += gradient**2
        count += 1
    if not count:
        raise ValueError("there is no training text for the mean squares of gradients")
    return {name: square / count for name, square in squares.items()}


def _count(window: Window) -> int:
    return max(1, int((window.targets != IGNORE).sum()))


def detached(hidden: Any) -> Any:
    """The state without its graph."""
    if isinstance(hidden, tuple):
        return tuple(part.detach() for part in hidden)
    return hidden.detach()


@dataclass(frozen=True)
class WordScore:
    """A word, or ``<eos>``, with its natural log-probability, the sum over its tokens.

    ``line`` counts from 1; ``known`` is 0 if a token is ``<unk>``.
    """

    line: int
    word: str
    log_prob: float
    tokens: int
    known: int


def word_scores(encoded: Encoded, tokens: Tokens, log_probs: torch.Tensor) -> Iterator[WordScore]:
    """Words of a text with their log-probabilities, which sum to those of the tokens."""
    offsets, ids, values = encoded.offsets.tolist(), encoded.ids.tolist(), log_probs.tolist()
    for number, line in enumerate(encoded.text.lines, start=1):
        start, stop = offsets[number - 1 : number + 1]
        end = stop - int(encoded.text.ends)
        groups = _group(ids[start:end], tokens)
        words = line.split()
        if len(words) != len(groups):
            # Spaces at the ends of a truncated text: the words of the tokens.
            words = [tokens.join([ids[start + i] for i in group]).strip() for group in groups]
        for word, group in zip(words, groups, strict=True):
            places = [start + i for i in group]
            known = all(ids[place] != tokens.unk for place in places)
            total = sum(values[place] for place in places)
            yield WordScore(number, word, total, len(places), int(known))
        if end < stop:
            yield WordScore(number, EOS_NAME, values[end], 1, 1)


def write_word_scores(
    path: str | Path, encoded: Encoded, tokens: Tokens, log_probs: torch.Tensor
) -> None:
    """Writes :func:`word_scores` as a table with a header, separated by tabs."""
    rows = ["\t".join(field.name for field in fields(WordScore))]
    for word_score in word_scores(encoded, tokens, log_probs):
        line, word, value, *rest = astuple(word_score)
        rows.append("\t".join([str(line), word, f"{value:.6f}", *map(str, rest)]))
    write_atomically(path, "\n".join(rows) + "\n")


def _group(ids: list[int], tokens: Tokens) -> list[list[int]]:
    """Indices of the tokens of each word."""
    count, numbers = 0, []
    for place, token in enumerate(ids):
        count += place > 0 and tokens.begins_word(token)
        numbers.append(count)
    return [list(group) for _, group in groupby(range(len(ids)), key=numbers.__getitem__)]
