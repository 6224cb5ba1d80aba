"""Three ways for attention and recurrence to work together in a decoder of captions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gatedrnn.nnet import RecurrentStack
from gatedrnn.nnet.stack import Hidden
from gatedrnn.seq2seq.attention import AdditiveAttention, AttentionOptions
from gatedrnn.seq2seq.decoder_cells import Core, DeepOutput, Scene, Step, advance, top, zeros

#: Makes a stack, given the width of its input and its depth.
MakeStack = Callable[[int, int], RecurrentStack]


class SoftCore(Core):
    """The context of the previous state goes into the recurrence with the word (Xu et al. 2015).

    Arguments
    ---------
    stack : RecurrentStack
        Reads word and context.
    attention : AdditiveAttention
        Asked by the stack's previous output.
    word_size : int
        Width of the word's embedding.
    memory_size : int
        Width of the regions.
    """

    def __init__(
        self, stack: RecurrentStack, attention: AdditiveAttention, word_size: int, memory_size: int
    ) -> None:
        super().__init__(attention, word_size)
        self.stack = stack
        self._widths = list(stack.layer(0).cell.states().values())
        self.initial = nn.Linear(memory_size, stack.num_layers * sum(self._widths))
        self.gate = nn.Linear(stack.output_size, memory_size)
        self.output = DeepOutput(word_size, stack.output_size, memory_size)

    def begin(self, scene: Scene) -> tuple[Hidden, ...]:
        """States made of the mean region by a layer."""
        first = torch.tanh(self.initial(scene.mean)).unflatten(1, (self.stack.num_layers, -1))
        parts = first.transpose(0, 1).split(self._widths, dim=2)
        return (parts[0] if len(parts) == 1 else tuple(parts),)

    def step(self, word: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene) -> Step:
        """Attends with the state, then advances it."""
        last = top(hidden[0])
        context, weights = self.attention(last, scene.keys, scene.features, scene.valid)
        context = torch.sigmoid(self.gate(last)) * context
        output, after, prior = advance(self.stack, torch.cat([word, context], 1), hidden[0])
        return Step(self.output(word, output, context), (after,), weights, prior)


class TopDownCore(Core):
    """One recurrence attends, another one speaks (Anderson et al. 2018).

    Arguments
    ---------
    first : RecurrentStack
        Reads the previous output, the mean region and the word; its output asks.
    stack : RecurrentStack
        Reads the context and the first one's output; its output speaks.
    attention : AdditiveAttention
        The attention.
    """

    def __init__(
        self, first: RecurrentStack, stack: RecurrentStack, attention: AdditiveAttention
    ) -> None:
        super().__init__(attention, stack.output_size)
        self.first = first
        self.stack = stack

    def begin(self, scene: Scene) -> tuple[Hidden, ...]:
        """Zeros."""
        return zeros(self.first, scene.mean), zeros(self.stack, scene.mean)

    def step(self, word: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene) -> Step:
        """Advances the first, attends, advances the stack."""
        read = torch.cat([top(hidden[1]), scene.mean, word], 1)
        asking, first, before = advance(self.first, read, hidden[0])
        context, weights = self.attention(asking, scene.keys, scene.features, scene.valid)
        speaking = torch.cat([context, asking], 1)
        output, after, prior = advance(self.stack, speaking, hidden[1])
        return Step(output, (first, after), weights, None if prior is None else before + prior)


class LateCore(Core):
    """The stack's output attends, and nothing of it goes back into the stack (Lu et al. 2017).

    Arguments
    ---------
    stack : RecurrentStack
        Reads word and mean region.
    attention : AdditiveAttention
        Asked by the stack's output.
    word_size : int
        Width of the word's embedding.
    memory_size : int
        Width of the regions.
    """

    def __init__(
        self, stack: RecurrentStack, attention: AdditiveAttention, word_size: int, memory_size: int
    ) -> None:
        super().__init__(attention, word_size)
        self.stack = stack
        self.output = DeepOutput(word_size, stack.output_size, memory_size)

    def begin(self, scene: Scene) -> tuple[Hidden, ...]:
        """Zeros."""
        return (zeros(self.stack, scene.mean),)

    def step(self, word: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene) -> Step:
        """Advances the stack, then attends."""
        return self._run(word, scene.mean, hidden, scene)

    def whole(self, words: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene) -> Step:
        """Reads all words of captions at once.

        Arguments
        ---------
        words : torch.Tensor
            Their embeddings, (batch, time, width).
        hidden : tuple
            States before them.
        scene : Scene
            The items.

        Returns
        -------
        Step
        """
        mean = scene.mean.unsqueeze(1).expand(-1, words.shape[1], -1)
        return self._run(words, mean, hidden, scene)

    def _run(
        self, words: torch.Tensor, mean: torch.Tensor, hidden: tuple[Hidden, ...], scene: Scene
    ) -> Step:
        output, after, prior = advance(self.stack, torch.cat([words, mean], -1), hidden[0])
        context, weights = self.attention(output, scene.keys, scene.features, scene.valid)
        return Step(self.output(words, output, context), (after,), weights, prior)


def make_core(
    options: AttentionOptions, make: MakeStack, num_layers: int, word_size: int, memory_size: int
) -> Core:
    """Makes attention and recurrence.

    Arguments
    ---------
    options : AttentionOptions
        How they work together.
    make : callable
        Makes a stack, given the width of its input and its depth.
    num_layers : int
        Depth of the stack.
    word_size : int
        Width of a word's embedding.
    memory_size : int
        Width of the regions.

    Returns
    -------
    Core
    """
    if options.kind == "top_down":
        sizes = _output_size(make), memory_size + word_size
        first = make(sum(sizes), 1)
        stack = make(memory_size + first.output_size, num_layers)
        attention = AdditiveAttention(memory_size, first.output_size, options.size)
        return TopDownCore(first, stack, attention)
    stack = make(word_size + memory_size, num_layers)
    attention = AdditiveAttention(memory_size, stack.output_size, options.size)
    kind = SoftCore if options.kind == "soft" else LateCore
    return kind(stack, attention, word_size, memory_size)


def _output_size(make: MakeStack) -> int:
    """Width of a stack's output, which does not depend on that of its input."""
    with torch.device("meta"):
        return make(1, 1).output_size
