"""Sampling of text from a language model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from gatedrnn.tokens import EOS, Tokens


@dataclass(frozen=True)
class GenerationOptions:
    """Options of sampling.

    Arguments
    ---------
    count : int
        Number of texts.
    length : int
        Maximum number of tokens of each.
    lines : int
        Number of lines after which a text ends; 0 for no limit but ``length``.
    temperature : float
        Divides the logits: below 1 sharper; 0 for the most probable token (greedy).
    top_k : int
        Sample among this number of the most probable tokens; 0 for all.
    top_p : float
        Sample among the most probable tokens whose probabilities sum to this, in (0, 1].
    unknown : bool
        Whether ``<unk>`` may be sampled.
    seed : int
        Seed of the sampling.
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
def generate(
    model: nn.Module, tokens: Tokens, options: GenerationOptions, prompt: str = ""
) -> list[str]:
    """Continues a text.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)``, like ``TextModel``; its mode is restored.
    tokens : Tokens
        Its tokens.
    options : GenerationOptions
        Options of sampling.
    prompt : str
        Prefix of the texts; it may have several lines.

    Returns
    -------
    list of str
        The texts with the prompt.

    Example
    -------
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> from gatedrnn.tokens import Words
    >>> tokens = Words.learn(["YES I DO", "NO I DO NOT"], "<eos>")
    >>> model = TextModel(len(tokens), hidden_size=8)
    >>> texts = generate(model, tokens, GenerationOptions(count=2, length=5), "YES I")
    >>> [text.startswith("YES I") for text in texts]
    [True, True]
    """
    parts = [tokens.encode(" ".join(line.split())) for line in prompt.split("\n")]
    begun = [token for part in parts for token in (EOS, *part)]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(options.seed)
    training = model.training
    model.eval()
    try:
        prefix = torch.tensor([begun], device=device).expand(options.count, -1)
        scores, hidden = model(prefix)
        scores = scores[:, -1]
        chosen: list[list[int]] = [[] for _ in range(options.count)]
        running = [True] * options.count
        for _ in range(options.length):
            picked = _choose(scores.float().cpu(), tokens.unk, options, generator)
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
    return [tokens.decode([*begun[1:], *sampled]).rstrip("\n") for sampled in chosen]


def _choose(
    scores: torch.Tensor, unknown: int, options: GenerationOptions, generator: torch.Generator
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
    places = torch.multinomial(probabilities, 1, generator=generator)
    return order.gather(1, places).squeeze(1)
