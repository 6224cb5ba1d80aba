"""Dynamic evaluation: a model that learns from the text it predicts, after it has predicted it.

B. Krause et al., "Dynamic evaluation of neural sequence models", 2018, arXiv 1709.07432.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.language_modeling.data import Window
from gatedrnn.tokens import IGNORE


@dataclass(frozen=True)
class Dynamic:
    """How a model learns from what it reads.

    Arguments
    ---------
    lr : float
        Step size on the gradient of the mean over a window's tokens.
    decay : float
        Part of the way back to the weights of the training after each window, in [0, 1].
    window : int
        Tokens between two steps.
    rms : bool
        Divide each weight's gradient by its root mean square in training, which has to be
        collected first (:func:`gradient_squares`), and let weights go back faster whose gradient
        was large.
    epsilon : float
        Added to that root mean square.

    Raises
    ------
    ValueError
        If a value is out of its range.
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


class Adapted:
    """A copy of a model that learns while it reads.

    Arguments
    ---------
    model : torch.nn.Module
        It stays as it is.
    options : Dynamic
        How the copy learns.
    squares : Mapping or None
        Of :func:`gradient_squares`, for ``rms``.

    Raises
    ------
    ValueError
        If ``rms`` is asked for without them.
    """

    def __init__(
        self, model: nn.Module, options: Dynamic, squares: Mapping[str, torch.Tensor] | None = None
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
        """Predicts a window, then learns from it.

        Arguments
        ---------
        window : Window
            What is read.
        hidden : torch.Tensor or tuple or None
            State before it.

        Returns
        -------
        losses : torch.Tensor
            Of the tokens, before anything was learnt from them, (rows, time).
        hidden : torch.Tensor or tuple
            State after it.
        """
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
        options, back = self.options, self.options.decay
        if self.roots is not None:
            root = self.roots[name]
            gradient = None if gradient is None else gradient / (root + options.epsilon)
            back = (back * root / self._mean).clamp(max=1.0)
        home = (self.start[name] - weight) * back
        if gradient is not None:
            weight.sub_(gradient, alpha=options.lr)
        weight.add_(home)


def gradient_squares(model: nn.Module, windows: Iterable[Window]) -> dict[str, torch.Tensor]:
    """Mean square of the gradient of each weight over some windows of training text.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx, targets)``; it is left as it was.
    windows : iterable of Window
        The windows, in order: the state is carried on.

    Returns
    -------
    dict
        Name of the weight -> mean square.

    Raises
    ------
    ValueError
        If there are no windows.
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
        raise ValueError("there is no training text to collect gradients from")
    return {name: square / count for name, square in squares.items()}


def _count(window: Window) -> int:
    return max(1, int((window.targets != IGNORE).sum()))


def detached(hidden: Any) -> Any:
    """A state through which no gradient flows.

    Arguments
    ---------
    hidden : torch.Tensor or tuple
        The state.

    Returns
    -------
    torch.Tensor or tuple

    Example
    -------
    >>> detached((torch.ones(1, requires_grad=True), torch.ones(1)))[0].requires_grad
    False
    """
    if isinstance(hidden, tuple):
        return tuple(part.detach() for part in hidden)
    return hidden.detach()
