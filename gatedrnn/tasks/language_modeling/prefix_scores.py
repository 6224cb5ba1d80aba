"""Log-probabilities of many texts, where shared prefixes are processed once.

The texts are a tree of tokens. A language model processes it level by level, all branches of a
level as one batch, each from the state of its parent. :class:`Node` is such a tree for a search.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gatedrnn.tokens import EOS

#: Texts of a tree, which bounds the memory for states.
_TREE = 4096
#: Branches of a batch, which bounds the memory for scores of a large vocabulary.
ROWS = 256


@dataclass(frozen=True)
class TextScores:
    """Scores of texts, and the work they took.

    log_probs: natural logarithms of the texts' probabilities with their ends, double, (texts,)
    tokens: predicted tokens with ends, if each text was processed alone
    read: tokens that were processed
    unknown: words, characters or pieces without a token
    seconds: duration
    """

    log_probs: torch.Tensor
    tokens: int
    read: int
    unknown: int
    seconds: float


def score_texts(model: nn.Module, tokens: Any, texts: Sequence[str]) -> TextScores:
    """Scores texts, each from its start to its end, with the nats of unknown words.

    model: Called as ``model(tokens, hx)`` with one token per row, like ``TextModel``; its mode
        is restored.
    """
    begun = time.perf_counter()
    places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    sequences, unknown_nats, unknown = [], [], []
    for text in places:
        sequences.append(tokens.encode(text))
        parts = tokens.unknown(text) if tokens.unk in sequences[-1] else []
        unknown_nats.append(sum(map(tokens.unknown_nats, parts)))
        unknown.append(len(parts))
    values, read = score_sequences(model, sequences)
    values = values - torch.tensor(unknown_nats, dtype=torch.float64)
    chosen = [places[text] for text in texts]
    return TextScores(
        values[chosen],
        sum(len(sequences[i]) + 1 for i in chosen),
        read,
        sum(unknown[i] for i in chosen),
        time.perf_counter() - begun,
    )


@torch.no_grad()
def score_sequences(
    model: nn.Module, sequences: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, int]:
    """Log-probabilities of token sequences with ``<eos>`` at the end, and tokens processed.

    The former are (sequences,), double, on the CPU.
    """
    result = torch.zeros(len(sequences), dtype=torch.float64)
    # In this order neighbours share the longest prefixes.
    order = sorted(range(len(sequences)), key=lambda i: tuple(sequences[i]))
    read, training = 0, model.training
    model.eval()
    try:
        for begin in range(0, len(order), _TREE):
            chosen = order[begin : begin + _TREE]
            values, count = _read_tree(model, [sequences[i] for i in chosen])
            result[chosen] = values
            read += count
    finally:
        model.train(training)
    return result, read


def _read_tree(model: nn.Module, sequences: list[Sequence[int]]) -> tuple[torch.Tensor, int]:
    lengths = torch.tensor([len(s) for s in sequences])
    # One column more than the longest has tokens: behind its last token each has an <eos>.
    table = torch.full((len(sequences), int(lengths.max()) + 1), EOS)
    for row, sequence in zip(table, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
    base = int(table.max()) + 1
    device = next(model.parameters()).device
    total = torch.zeros(len(sequences), dtype=torch.float64)
    # The branch at whose end each sequence is, and of each branch its token and what it grows from.
    branch = torch.zeros(len(sequences), dtype=torch.int64)
    tokens, parents, hidden, read = torch.tensor([EOS]), None, None, 0
    for depth, targets in enumerate(table.unbind(1)):
        alive = lengths >= depth
        parts = []
        for begin in range(0, len(tokens), ROWS):
            rows = slice(begin, begin + ROWS)
            before = None if parents is None else take_states(hidden, parents[rows].to(device))
            scores, after = model(tokens[rows].to(device), before)
            parts.append(after)
            here = (alive & (branch >= begin) & (branch < begin + ROWS)).nonzero().squeeze(1)
            total[here] += _chosen(scores, branch[here] - begin, targets[here])
        read += len(tokens)
        going = lengths > depth
        grown, branch[going] = torch.unique(
            branch[going] * base + targets[going], return_inverse=True
        )
        tokens, parents, hidden = grown % base, grown // base, join_states(parts)
    return total, read


def _chosen(scores: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the targets after the rows."""
    if scores.dtype in (torch.bfloat16, torch.float16):
        scores = scores.float()
    rows, targets = rows.to(scores.device), targets.to(scores.device)
    return (scores[rows, targets] - scores.logsumexp(1)[rows]).cpu().double()


def take_states(hidden: Any, rows: torch.Tensor) -> Any:
    """States of some rows of a batch (the second dimension)."""
    if isinstance(hidden, tuple):
        return tuple(part.index_select(1, rows) for part in hidden)
    return hidden.index_select(1, rows)


def join_states(parts: Sequence[Any]) -> Any:
    """Concatenates the states of several batches."""
    if isinstance(parts[0], tuple):
        return tuple(torch.cat(pieces, 1) for pieces in zip(*parts, strict=True))
    return torch.cat(list(parts), 1)


class Node:
    """A token in a language model's prefix tree, and the scores of the next tokens.

    before: state before the token; None at the root
    total: log-probability of all tokens after the first ``<eos>``
    """

    __slots__ = ("_children", "_norm", "_scores", "before", "hidden", "token", "total")

    def __init__(self, token: int, before: Any, total: float) -> None:
        self.token, self.before, self.total = token, before, total
        self.hidden: Any = None
        self._scores: np.ndarray | None = None
        self._norm = 0.0
        self._children: dict[int, Node] = {}

    @property
    def is_read(self) -> bool:
        """Whether the model has processed the token."""
        return self._scores is not None

    def take(self, scores: np.ndarray, norm: float, hidden: Any) -> None:
        """Sets scores (tokens,) of the next token, their normalizer, and the state after it."""
        self._scores, self._norm, self.hidden, self.before = scores, norm, hidden, None

    def child(self, token: int) -> Node:
        """The node of one more token, cached."""
        child = self._children.get(token)
        if child is None:
            total = self.total + float(self._scores[token]) - self._norm
            child = self._children[token] = Node(token, self.hidden, total)
        return child

    def fresh(self) -> Node:
        """The same node without children."""
        copy = Node(self.token, self.before, self.total)
        copy.hidden, copy._scores, copy._norm = self.hidden, self._scores, self._norm
        return copy


@torch.no_grad()
def read_nodes(model: nn.Module, nodes: Sequence[Node]) -> None:
    """Processes the tokens of nodes as batches; a root must be alone."""
    device = next(model.parameters()).device
    for begin in range(0, len(nodes), ROWS):
        some = nodes[begin : begin + ROWS]
        tokens = torch.tensor([node.token for node in some], device=device)
        before = None if some[0].before is None else join_states([n.before for n in some])
        scores, hidden = model(tokens, before)
        if scores.dtype in (torch.bfloat16, torch.float16):
            scores = scores.float()
        norms = scores.logsumexp(1).tolist()
        table = scores.cpu().numpy()
        for i, node in enumerate(some):
            node.take(table[i].copy(), norms[i], _row(hidden, i))


def _row(hidden: Any, row: int) -> Any:
    """A copy of the state of one row, which does not keep the others in memory."""
    if isinstance(hidden, tuple):
        return tuple(part[:, row : row + 1].clone() for part in hidden)
    return hidden[:, row : row + 1].clone()
