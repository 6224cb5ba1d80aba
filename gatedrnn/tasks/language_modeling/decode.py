"""Text that a language model makes up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gatedrnn.tokens import EOS


@dataclass(frozen=True)
class Generation:
    """How text is made up.

    Arguments
    ---------
    count : int
        Number of texts.
    length : int
        Most tokens of each.
    lines : int
        Lines after which a text ends; 0 for as many as its length allows.
    temperature : float
        Below 1 the probable becomes more probable; 0 always takes the most probable token.
    top_k : int
        Choose among so many most probable tokens; 0 for all.
    top_p : float
        Choose among the most probable tokens that have so much of the probability together.
    unknown : bool
        Whether ``<unk>`` may be chosen.
    seed : int
        Decides all choices.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    count: int = 1
    length: int = 50
    lines: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    unknown: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.length < 0 or self.lines < 0 or self.top_k < 0:
            raise ValueError(
                "count must be at least 1, and length, lines and top_k at least 0, not "
                f"{self.count}, {self.length}, {self.lines} and {self.top_k}"
            )
        if not self.temperature >= 0.0 or not 0.0 < self.top_p <= 1.0:
            raise ValueError(
                "temperature must be at least 0 and top_p above 0 and at most 1, not "
                f"{self.temperature} and {self.top_p}"
            )


@torch.no_grad()
def generate(model: nn.Module, tokens: Any, options: Generation, prompt: str = "") -> list[str]:
    """Goes on with a text.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)``, like ``TextModel``.
    tokens : Tokens
        Its tokens.
    options : Generation
        How.
    prompt : str
        What the texts begin with; it may have several lines.

    Returns
    -------
    list of str
        The texts, the prompt in front.

    Example
    -------
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["YES I DO", "NO I DO NOT"], "<eos>")
    >>> model = TextModel(len(tokens), hidden_size=8)
    >>> texts = generate(model, tokens, Generation(count=2, length=5), "YES I")
    >>> [text.startswith("YES I") for text in texts]
    [True, True]
    """
    parts = [tokens.encode(" ".join(line.split())) for line in prompt.split("\n")]
    begun = [token for part in parts for token in (EOS, *part)]
    device = next(model.parameters()).device
    draw = torch.Generator().manual_seed(options.seed)
    training = model.training
    model.eval()
    try:
        read = torch.tensor([begun], device=device).expand(options.count, -1)
        scores, hidden = model(read)
        scores = scores[:, -1]
        chosen: list[list[int]] = [[] for _ in range(options.count)]
        running = [True] * options.count
        for _ in range(options.length):
            picked = _choose(scores.float().cpu(), tokens.unk, options, draw)
            for i, token in enumerate(picked.tolist()):
                if running[i]:
                    chosen[i].append(token)
                    ends = chosen[i].count(EOS) if token == EOS else 0
                    running[i] = not (options.lines and ends >= options.lines)
            if not any(running):
                break
            scores, hidden = model(picked.to(device), hidden)
    finally:
        model.train(training)
    return [tokens.decode([*begun[1:], *found]).rstrip("\n") for found in chosen]


def _choose(
    scores: torch.Tensor, unknown: int, options: Generation, draw: torch.Generator
) -> torch.Tensor:
    """One token for each text."""
    if not options.unknown:
        scores = scores.index_fill(1, torch.tensor([unknown]), -torch.inf)
    if options.temperature == 0.0:
        return scores.argmax(1)
    scores, order = (scores / options.temperature).sort(dim=1, descending=True)
    if options.top_k:
        scores[:, options.top_k :] = -torch.inf
    probabilities = scores.softmax(1)
    # The token that crosses the threshold is still among them.
    before = probabilities.cumsum(1) - probabilities
    probabilities = probabilities.masked_fill(before >= options.top_p, 0.0)
    places = torch.multinomial(probabilities, 1, generator=draw)
    return order.gather(1, places).squeeze(1)
