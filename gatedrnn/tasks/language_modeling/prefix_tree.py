"""What a language model has read, as a tree that grows where a search goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from gatedrnn.tasks.language_modeling.prefix_scores import ROWS, join_states


class Node:
    """What a language model has read, and the scores of what may come next.

    Arguments
    ---------
    token : int
        The last token.
    before : torch.Tensor or tuple or None
        State before it was read.
    total : float
        Log-probability of all tokens after the first ``<eos>``.
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
        """Whether the model has read the last token."""
        return self._scores is not None

    def take(self, scores: np.ndarray, norm: float, hidden: Any) -> None:
        """Takes what the model makes of the last token.

        Arguments
        ---------
        scores : np.ndarray
            Of the next token, (tokens,).
        norm : float
            What is to be subtracted from them.
        hidden : torch.Tensor or tuple
            State after it.
        """
        self._scores, self._norm, self.hidden, self.before = scores, norm, hidden, None

    def child(self, token: int) -> Node:
        """What there is after one more token.

        Arguments
        ---------
        token : int
            The next token.

        Returns
        -------
        Node
            Always the same for the same token.
        """
        found = self._children.get(token)
        if found is None:
            total = self.total + float(self._scores[token]) - self._norm
            found = self._children[token] = Node(token, self.hidden, total)
        return found

    def fresh(self) -> Node:
        """The same without what has come after it."""
        copy = Node(self.token, self.before, self.total)
        copy.hidden, copy._scores, copy._norm = self.hidden, self._scores, self._norm
        return copy


@torch.no_grad()
def read_nodes(model: nn.Module, nodes: Sequence[Node]) -> None:
    """Has a language model read the last tokens of some nodes, as one batch.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)`` with a token for each row, like
        :class:`~gatedrnn.tasks.language_modeling.model.TextModel`.
    nodes : sequence of Node
        Those; either all have something before them, or there is only one.

    Example
    -------
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> root = Node(0, None, 0.0)
    >>> read_nodes(TextModel(5, hidden_size=4), [root])
    >>> root.child(3).total < 0 and root.child(3) is root.child(3)
    True
    """
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
    """State of one row, by itself, so that it does not hold those of all."""
    if isinstance(hidden, tuple):
        return tuple(part[:, row : row + 1].clone() for part in hidden)
    return hidden[:, row : row + 1].clone()
