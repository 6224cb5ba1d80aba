"""Additive attention, and decoder cells (soft, top-down, late) around a recurrent stack."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import torch
from torch import nn

from gatedrnn.data.config import Choices, Config, Range
from gatedrnn.nnet import RecurrentStack
from gatedrnn.nnet.stack import Hidden

#: How attention and recurrence are connected, see :class:`~gatedrnn.seq2seq.decoder.Decoder`.
KINDS = ("soft", "top_down", "late")
#: Makes a recurrent stack, given its input size and its number of layers.
MakeStack = Callable[[int, int], RecurrentStack]


@dataclass(frozen=True)
class AttentionOptions(Config):
    """Attention options of a decoder.

    Arguments
    ---------
    kind : str
        ``"soft"``, ``"top_down"`` or ``"late"``; see :class:`~gatedrnn.seq2seq.decoder.Decoder`.
    size : int
        Width of the space in which regions and queries are compared, at least 1.
    penalty : float
        Weight of the doubly stochastic loss term (Xu et al. 2015), which pushes the attention
        weights of every region to a sum of 1 over the sequence; at least 0, 0 disables it.

    Example
    -------
    >>> AttentionOptions.of("late").size
    512
    """

    kind: Annotated[str, Choices(*KINDS)] = "soft"
    size: Annotated[int, Range(1, 1 << 20)] = 512
    penalty: Annotated[float, Range(0, 1e6)] = 0.0

    @classmethod
    def of(cls, value: str | Mapping[str, Any] | AttentionOptions) -> AttentionOptions:
        """Reads the ``attention`` of a YAML: the kind alone, or a mapping of all options."""
        if isinstance(value, AttentionOptions):
            return value
        return cls.from_dict({"kind": value} if isinstance(value, str) else value, "attention")


#: Type of the ``attention`` of a decoder in files.
AttentionValue = Annotated[str, Choices(*KINDS)] | AttentionOptions


class AdditiveAttention(nn.Module):
    """Additive attention, ``softmax(v tanh(W_f f + W_q q))`` (Bahdanau et al. 2015).

    Arguments
    ---------
    feature_size : int
        Width of the regions.
    query_size : int
        Width of the query.
    size : int
        Width of the space in which the two are compared.

    Example
    -------
    >>> attend = AdditiveAttention(8, 6, 4)
    >>> features = torch.rand(2, 5, 8)
    >>> context, weights = attend(torch.rand(2, 6), attend.keys(features), features)
    >>> context.shape, weights.sum(1).round(decimals=4).tolist()
    (torch.Size([2, 8]), [1.0, 1.0])
    """

    def __init__(self, feature_size: int, query_size: int, size: int) -> None:
        super().__init__()
        self.of_features = nn.Linear(feature_size, size)
        self.of_query = nn.Linear(query_size, size, bias=False)
        # A bias would be the same for all regions, and its gradient zero.
        self.of_both = nn.Linear(size, 1, bias=False)

    def keys(self, features: torch.Tensor) -> torch.Tensor:
        """Projects regions (batch, regions, feature_size) to keys (batch, regions, size).

        They do not depend on the query: a decoder computes them once per sequence.
        """
        return self.of_features(features)

    def forward(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        features: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the context vectors (batch, [time,] feature_size) and weights of queries.

        Arguments
        ---------
        query : torch.Tensor
            (batch, query_size), or (batch, time, query_size) for all steps at once.
        keys : torch.Tensor
            Of :meth:`keys`, (batch, regions, size).
        features : torch.Tensor
            (batch, regions, feature_size), zero where they are not valid.
        valid : torch.Tensor or None
            Mask of the valid regions, bool (batch, regions); ``None``: all are valid.
        """
        projected = self.of_query(query)
        single_step = projected.dim() == 2
        projected = projected.unsqueeze(1) if single_step else projected
        energies = self.of_both(torch.tanh(keys.unsqueeze(1) + projected.unsqueeze(2))).squeeze(3)
        if valid is not None:
            energies = energies.masked_fill(~valid.unsqueeze(1), -torch.inf)
        weights = energies.softmax(2)
        context = weights.to(features.dtype) @ features
        return (context.squeeze(1), weights.squeeze(1)) if single_step else (context, weights)


class DecoderContext(NamedTuple):
    """What a decoder cell reads of the encoder output; the same at every step.

    features: (batch, regions, width), zero where they are not valid.
    valid: Mask of the valid regions, bool (batch, regions); ``None``: all are valid.
    keys: Attention keys, (batch, regions, size).
    mean: Mean of the valid regions, (batch, width).
    """

    features: torch.Tensor
    valid: torch.Tensor | None
    keys: torch.Tensor
    mean: torch.Tensor


class CellOutput(NamedTuple):
    """Output of a decoder cell, of one step or of all steps of a sequence.

    output: Input of the output layer, (batch, [time,] width).
    hidden: States of the stacks.
    attention: Attention weights, (batch, [time,] regions).
    prior: The recurrence's own loss term in training, (batch, [time]), or ``None``.
    """

    output: torch.Tensor
    hidden: tuple[Hidden, ...]
    attention: torch.Tensor
    prior: torch.Tensor | None


class DecoderCell(nn.Module):
    """Base class of decoder cells: token embeddings to inputs of the output layer.

    A cell whose recurrence does not read the attention's context also has ``sequence``, which runs
    over all steps at once.
    """

    def __init__(self, attention: AdditiveAttention, output_size: int) -> None:
        super().__init__()
        self.attention = attention
        self.output_size = output_size

    @abstractmethod
    def initial_state(self, context: DecoderContext) -> tuple[Hidden, ...]:
        """States before the first token."""

    @abstractmethod
    def step(
        self, embedded: torch.Tensor, hidden: tuple[Hidden, ...], context: DecoderContext
    ) -> CellOutput:
        """Advances by one token, whose embedding is (batch, embedding_size)."""


class SoftAttentionCell(DecoderCell):
    """Soft attention (Xu et al. 2015).

    The previous output is the attention's query; the gated context is an input of the recurrence.
    """

    def __init__(
        self,
        stack: RecurrentStack,
        attention: AdditiveAttention,
        embedding_size: int,
        encoder_size: int,
    ) -> None:
        super().__init__(attention, embedding_size)
        self.stack = stack
        self._widths = list(stack.layer(0).cell.states().values())
        self.initial = nn.Linear(encoder_size, stack.num_layers * sum(self._widths))
        self.gate = nn.Linear(stack.output_size, encoder_size)
        self.output = DeepOutput(embedding_size, stack.output_size, encoder_size)

    def initial_state(self, context: DecoderContext) -> tuple[Hidden, ...]:
        """States that a linear layer computes from the mean region."""
        first = torch.tanh(self.initial(context.mean)).unflatten(1, (self.stack.num_layers, -1))
        parts = first.transpose(0, 1).split(self._widths, dim=2)
        return (parts[0] if len(parts) == 1 else tuple(parts),)

    def step(
        self, embedded: torch.Tensor, hidden: tuple[Hidden, ...], context: DecoderContext
    ) -> CellOutput:
        """Attends with the previous output, then advances the stack."""
        previous = top_output(hidden[0])
        attended, weights = self.attention(previous, context.keys, context.features, context.valid)
        attended = torch.sigmoid(self.gate(previous)) * attended
        output, after, prior = advance(self.stack, torch.cat([embedded, attended], 1), hidden[0])
        return CellOutput(self.output(embedded, output, attended), (after,), weights, prior)


class TopDownCell(DecoderCell):
    """Top-down attention (Anderson et al. 2018): one recurrence attends, another generates.

    ``first`` reads the previous output, the mean region and the token; its output is the query.
    ``stack`` reads the attention's context and the output of ``first``.
    """

    def __init__(
        self, first: RecurrentStack, stack: RecurrentStack, attention: AdditiveAttention
    ) -> None:
        super().__init__(attention, stack.output_size)
        self.first = first
        self.stack = stack

    def initial_state(self, context: DecoderContext) -> tuple[Hidden, ...]:
        """Zeros."""
        return zero_state(self.first, context.mean), zero_state(self.stack, context.mean)

    def step(
        self, embedded: torch.Tensor, hidden: tuple[Hidden, ...], context: DecoderContext
    ) -> CellOutput:
        """Advances ``first``, attends, advances ``stack``."""
        inputs = torch.cat([top_output(hidden[1]), context.mean, embedded], 1)
        query, first_after, first_prior = advance(self.first, inputs, hidden[0])
        attended, weights = self.attention(query, context.keys, context.features, context.valid)
        output, after, prior = advance(self.stack, torch.cat([attended, query], 1), hidden[1])
        prior = None if prior is None else first_prior + prior
        return CellOutput(output, (first_after, after), weights, prior)


class LateAttentionCell(DecoderCell):
    """Late attention (Lu et al. 2017, without the sentinel).

    The stack reads the token and the mean region; its output is the attention's query, and the
    context goes to the output layer only.
    """

    def __init__(
        self,
        stack: RecurrentStack,
        attention: AdditiveAttention,
        embedding_size: int,
        encoder_size: int,
    ) -> None:
        super().__init__(attention, embedding_size)
        self.stack = stack
        self.output = DeepOutput(embedding_size, stack.output_size, encoder_size)

    def initial_state(self, context: DecoderContext) -> tuple[Hidden, ...]:
        """Zeros."""
        return (zero_state(self.stack, context.mean),)

    def step(
        self, embedded: torch.Tensor, hidden: tuple[Hidden, ...], context: DecoderContext
    ) -> CellOutput:
        """Advances the stack, then attends."""
        return self._run(embedded, context.mean, hidden, context)

    def sequence(
        self, embedded: torch.Tensor, hidden: tuple[Hidden, ...], context: DecoderContext
    ) -> CellOutput:
        """Runs over all tokens at once; their embeddings are (batch, time, embedding_size)."""
        mean = context.mean.unsqueeze(1).expand(-1, embedded.shape[1], -1)
        return self._run(embedded, mean, hidden, context)

    def _run(
        self,
        embedded: torch.Tensor,
        mean: torch.Tensor,
        hidden: tuple[Hidden, ...],
        context: DecoderContext,
    ) -> CellOutput:
        output, after, prior = advance(self.stack, torch.cat([embedded, mean], -1), hidden[0])
        attended, weights = self.attention(output, context.keys, context.features, context.valid)
        return CellOutput(self.output(embedded, output, attended), (after,), weights, prior)


class DeepOutput(nn.Module):
    """Sum of embedding, state and context, ``tanh(e + L_h h + L_z z)`` (Xu et al. 2015)."""

    def __init__(self, embedding_size: int, state_size: int, context_size: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(state_size, embedding_size)
        self.of_context = nn.Linear(context_size, embedding_size, bias=False)

    def forward(
        self, embedded: torch.Tensor, state: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        """Takes (..., size) of each to (..., embedding_size)."""
        return torch.tanh(embedded + self.of_state(state) + self.of_context(context))


def make_decoder_cell(
    options: AttentionOptions,
    make_stack: MakeStack,
    num_layers: int,
    embedding_size: int,
    encoder_size: int,
) -> DecoderCell:
    """Makes the decoder cell of ``options.kind`` around stacks that ``make_stack`` makes."""
    if options.kind == "top_down":
        # The width of a stack's output does not depend on that of its input.
        with torch.device("meta"):
            output_size = make_stack(1, 1).output_size
        first = make_stack(output_size + encoder_size + embedding_size, 1)
        stack = make_stack(encoder_size + first.output_size, num_layers)
        attention = AdditiveAttention(encoder_size, first.output_size, options.size)
        return TopDownCell(first, stack, attention)
    stack = make_stack(embedding_size + encoder_size, num_layers)
    attention = AdditiveAttention(encoder_size, stack.output_size, options.size)
    kind = SoftAttentionCell if options.kind == "soft" else LateAttentionCell
    return kind(stack, attention, embedding_size, encoder_size)


def top_output(hidden: Hidden) -> torch.Tensor:
    """Output of the highest layer, (batch, N): the first part of a stack's state."""
    return (hidden if isinstance(hidden, torch.Tensor) else hidden[0])[-1]


def zero_state(stack: RecurrentStack, like: torch.Tensor) -> Hidden:
    """Zero state of a stack, with the batch size, device and dtype of ``like`` (batch, ...)."""
    widths = stack.layer(0).cell.states().values()
    parts = tuple(like.new_zeros(stack.num_layers, len(like), width) for width in widths)
    return parts[0] if len(parts) == 1 else parts


def advance(
    stack: RecurrentStack, x: torch.Tensor, hidden: Hidden | None
) -> tuple[torch.Tensor, Hidden, torch.Tensor | None]:
    """Runs a stack over a frame or a sequence, with its own loss term of every frame.

    ``RecurrentStack.auxiliary_loss`` is of the last call and summed over all sequences; a decoder
    makes many calls, and frames after a sequence's end must not count.

    x: (batch, [time,] features).
    Returns: output (batch, [time,] N), state, and loss term (batch, [time]), which is ``None``
        if the recurrence has none, or outside training.
    """
    single_step = x.dim() == 2
    names = stack.layer(0).cell.auxiliary() if stack.training else ()
    output, after, kept = stack.run(x.unsqueeze(1) if single_step else x, hidden, keep=names)
    prior = None
    if names:
        cells = [stack.layer(index).cell for index in range(stack.num_layers)]
        terms = [cell.auxiliary_loss(k[0]).sum(2) for cell, k in zip(cells, kept, strict=True)]
        prior = torch.stack(terms).sum(0)
    if single_step:
        output, prior = output.squeeze(1), None if prior is None else prior.squeeze(1)
    return output, after, prior
