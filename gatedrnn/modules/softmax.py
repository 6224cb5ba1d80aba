"""Output layers of language models: all words at once, or rare ones in clusters of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

#: Target that no loss counts, as in ``torch.nn.CrossEntropyLoss``.
IGNORE = -100


class FullSoftmax(nn.Module):
    """A linear layer with a score for every token.

    Arguments
    ---------
    width : int
        Width of the input.
    vocabulary : int
        Number of tokens.
    weight : torch.nn.Parameter or None
        The matrix, (vocabulary, width), where it is shared with the embedding.

    Example
    -------
    >>> layer = FullSoftmax(4, 9)
    >>> layer.losses(torch.rand(2, 3, 4), torch.tensor([[1, 2, -100], [8, 0, 3]])).shape
    torch.Size([2, 3])
    """

    def __init__(self, width: int, vocabulary: int, weight: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary, width)) if weight is None else weight
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def reset_parameters(self, bound: float) -> None:
        """Initialises the matrix uniformly within ``bound``, the bias with zeros."""
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of all tokens: (..., width) -> (..., vocabulary)."""
        return nn.functional.linear(x, self.weight, self.bias)

    def losses(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Negative log-probabilities: x (..., width), targets (...) -> (...).

        A target of ``-100`` counts as none and has a loss of zero. At least in single precision.
        """
        scores = _precise(self(x)).flatten(0, -2)
        losses = nn.functional.cross_entropy(
            scores, targets.flatten(), ignore_index=IGNORE, reduction="none"
        )
        return losses.view(targets.shape)


class AdaptiveSoftmax(nn.AdaptiveLogSoftmaxWithLoss):
    """Clusters of tokens, the rarer the narrower (Grave et al. 2017, arXiv 1609.04309).

    Tokens must be in the order of their frequency. A training step computes the clusters that its
    targets are in, and no others.

    Arguments
    ---------
    width : int
        Width of the input.
    vocabulary : int
        Number of tokens.
    cutoffs : sequence of int
        Where clusters begin: ``[2000, 10000]`` for the 2000 most frequent tokens, the next 8000,
        and the others.
    div_value : float
        How many times narrower each cluster is than the one before.

    Raises
    ------
    ValueError
        If the cutoffs do not rise from at least 1 to below the size of the vocabulary.

    Example
    -------
    >>> layer = AdaptiveSoftmax(16, 50, [5, 20])
    >>> layer(torch.rand(2, 3, 16)).exp().sum(-1).round(decimals=4).unique().tolist()
    [1.0]
    """

    def __init__(
        self, width: int, vocabulary: int, cutoffs: Sequence[int], div_value: float = 4.0
    ) -> None:
        rising = [0, *cutoffs, vocabulary]
        if len(rising) < 3 or any(a >= b for a, b in zip(rising, rising[1:], strict=False)):
            raise ValueError(
                f"cutoffs must rise from at least 1 to below the number of tokens, {vocabulary}; "
                f"they are {list(cutoffs)}"
            )
        if width // div_value ** len(cutoffs) < 1:
            raise ValueError(
                f"{len(cutoffs)} clusters, each {div_value:g} times narrower than the one before, "
                f"leave nothing of a width of {width}: take fewer cutoffs"
            )
        super().__init__(width, vocabulary, list(cutoffs), div_value)

    def reset_parameters(self, bound: float | None = None) -> None:
        """Initialises the weights uniformly within ``bound``; None for torch's own way."""
        if bound is None:
            super().reset_parameters()
        else:
            for weight in self.parameters():
                nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all tokens: (..., width) -> (..., vocabulary)."""
        with torch.autocast(x.device.type, enabled=False):
            return self.log_prob(self._as_weights(x).flatten(0, -2)).view(*x.shape[:-1], -1)

    def losses(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Negative log-probabilities, as those of :class:`FullSoftmax`."""
        valid = (targets != IGNORE).flatten()
        # Losses of the clusters are combined in the precision of the input.
        with torch.autocast(x.device.type, enabled=False):
            x = self._as_weights(x).flatten(0, -2)
            losses = x.new_zeros(len(x))
            if bool(valid.any()):
                log_probs = super().forward(x[valid], targets.flatten()[valid]).output
                losses = losses.index_put((valid.nonzero().squeeze(1),), -log_probs)
            if self.training:
                # Clusters without a target get a gradient of zero, not none: data parallelism
                # waits for the gradients of all.
                losses = losses + sum(0.0 * weight.sum() for weight in self.tail.parameters())
        return losses.view(targets.shape)

    def _as_weights(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.head.weight.dtype)


def _precise(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
