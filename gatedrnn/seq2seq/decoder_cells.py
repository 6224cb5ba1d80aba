"""What the ways have in common in which a decoder's attention and recurrence work together."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from gatedrnn.nnet import RecurrentStack
from gatedrnn.nnet.stack import Hidden
from gatedrnn.seq2seq.attention import AdditiveAttention


class Scene(NamedTuple):
    """What a decoder knows of its items while their captions are made.

    Arguments
    ---------
    features : torch.Tensor
        (batch, regions, width), zero where there is no region.
    valid : torch.Tensor or None
        Which regions there are, (batch, regions).
    keys : torch.Tensor
        Of the attention, (batch, regions, size).
    mean : torch.Tensor
        (batch, width).
    """

    features: torch.Tensor
    valid: torch.Tensor | None
    keys: torch.Tensor
    mean: torch.Tensor


class Step(NamedTuple):
    """What becomes of a word, or of all words of a caption.

    Arguments
    ---------
    read : torch.Tensor
        What the output layer reads, (batch, [time,] width).
    hidden : tuple
        States of the stacks.
    attention : torch.Tensor
        (batch, [time,] regions).
    prior : torch.Tensor or None
        The recurrence's own loss term in training, (batch, [time]).
    """

    read: torch.Tensor
    hidden: tuple[Hidden, ...]
    attention: torch.Tensor
    prior: torch.Tensor | None


class Core(nn.Module):
    """Attention and recurrence: words in, what the output layer reads out.

    Arguments
    ---------
    attention : AdditiveAttention
        The attention.
    output_size : int
        Width of what the output layer reads.
    """

    def __init__(self, attention: AdditiveAttention, output_size: int) -> None:
        super().__init__()
        self.attention = attention
        self.output_size = output_size

    @abstractmethod
    def begin(self, scene: Scene) -> tuple[Hidden, ...]:
        """States before the first word.

        Arguments
        ---------
        scene : Scene
            The items.

        Returns
        -------
        tuple
        """

    @abstractmethod
    def step(self, word: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene) -> Step:
        """Reads a word.

        Arguments
        ---------
        word : torch.Tensor
            Its embedding, (batch, width).
        hidden : tuple
            States before it.
        scene : Scene
            The items.

        Returns
        -------
        Step
        """


class DeepOutput(nn.Module):
    """Word, state and context as one, ``tanh(word + L_h h + L_z z)`` (Xu et al. 2015).

    Arguments
    ---------
    word_size : int
        Width of the word's embedding, and of the output.
    state_size : int
        Width of the stack's output.
    context_size : int
        Width of the context.
    """

    def __init__(self, word_size: int, state_size: int, context_size: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(state_size, word_size)
        self.of_context = nn.Linear(context_size, word_size, bias=False)

    def forward(
        self, word: torch.Tensor, state: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        """Puts them together.

        Arguments
        ---------
        word : torch.Tensor
            (..., word_size).
        state : torch.Tensor
            (..., state_size).
        context : torch.Tensor
            (..., context_size).

        Returns
        -------
        torch.Tensor
            (..., word_size).
        """
        return torch.tanh(word + self.of_state(state) + self.of_context(context))


def top(hidden: Hidden) -> torch.Tensor:
    """Output of the highest layer, which is the first of its states.

    Arguments
    ---------
    hidden : torch.Tensor or tuple
        State of a stack.

    Returns
    -------
    torch.Tensor
        (batch, N).
    """
    return (hidden if isinstance(hidden, torch.Tensor) else hidden[0])[-1]


def advance(
    stack: RecurrentStack, x: torch.Tensor, hidden: Hidden | None
) -> tuple[torch.Tensor, Hidden, torch.Tensor | None]:
    """Runs a stack over a frame or a sequence; its own loss term comes frame by frame.

    ``RecurrentStack.auxiliary_loss`` is of the last call and of all sequences together; here calls
    are many, and words after a caption's end do not count.

    Arguments
    ---------
    stack : RecurrentStack
        The stack.
    x : torch.Tensor
        (batch, [time,] features).
    hidden : torch.Tensor, tuple or None
        State before; ``None`` for zeros.

    Returns
    -------
    output : torch.Tensor
        (batch, [time,] N).
    hidden : torch.Tensor or tuple
        State after.
    prior : torch.Tensor or None
        (batch, [time]); ``None`` if the recurrence has none, or outside training.
    """
    one = x.dim() == 2
    names = stack.layer(0).cell.auxiliary() if stack.training else ()
    output, after, kept = stack.run(x.unsqueeze(1) if one else x, hidden, keep=names)
    prior = None
    if names:
        cells = [stack.layer(index).cell for index in range(stack.num_layers)]
        terms = [cell.auxiliary_loss(k[0]).sum(2) for cell, k in zip(cells, kept, strict=True)]
        prior = torch.stack(terms).sum(0)
    if one:
        output, prior = output.squeeze(1), None if prior is None else prior.squeeze(1)
    return output, after, prior


def zeros(stack: RecurrentStack, like: torch.Tensor) -> Hidden:
    """The state of a stack before anything.

    Arguments
    ---------
    stack : RecurrentStack
        The stack.
    like : torch.Tensor
        (batch, ...), of the device and dtype that are wanted.

    Returns
    -------
    torch.Tensor or tuple
        Each (layers, batch, width).
    """
    widths = stack.layer(0).cell.states().values()
    parts = tuple(like.new_zeros(stack.num_layers, len(like), width) for width in widths)
    return parts[0] if len(parts) == 1 else parts
