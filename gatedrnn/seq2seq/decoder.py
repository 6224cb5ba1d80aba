"""The decoder of captions: attention over a memory, around any recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.dropout import DropoutRates
from gatedrnn.modules.initialisation import start_from
from gatedrnn.modules.softmax import FullSoftmax
from gatedrnn.nnet.stack import Hidden
from gatedrnn.seq2seq.attention import AttentionOptions
from gatedrnn.seq2seq.decoder_cell_kinds import make_core
from gatedrnn.seq2seq.decoder_cells import Scene, Step
from gatedrnn.seq2seq.encoder_output import Memory
from gatedrnn.tokens.vocabulary import EOS

#: Embedding and output layer start uniform between minus and plus this.
INIT_RANGE = 0.1


class DecoderState(NamedTuple):
    """What a decoder goes on from.

    Arguments
    ---------
    hidden : tuple
        States of the stacks.
    valid : torch.Tensor or None
        Which regions there are, (batch, regions).
    keys : torch.Tensor
        Of the attention, (batch, regions, size).
    mean : torch.Tensor
        Mean region, (batch, width).
    """

    hidden: tuple[Hidden, ...]
    valid: torch.Tensor | None
    keys: torch.Tensor
    mean: torch.Tensor


class CaptionOutput(NamedTuple):
    """What a decoder makes of captions.

    Arguments
    ---------
    scores : torch.Tensor
        Of the next word after each, before normalisation, at least float32, (batch, time,
        vocabulary).
    attention : torch.Tensor
        Where it looked, (batch, time, regions).
    auxiliary : torch.Tensor or None
        In training, the recurrence's own loss term and the attention's penalty, each summed over
        the captions, without words after their ends.
    """

    scores: torch.Tensor
    attention: torch.Tensor
    auxiliary: torch.Tensor | None


class CaptionDecoder(nn.Module):
    """Words of a caption to scores of the next one, looking at a memory.

    A caption that is read begins with ``<eos>``; where captions of a batch are shorter than the
    longest, ``<eos>`` stands after their words too.

    Three ways for attention and recurrence to work together:

    - ``"soft"`` (Xu et al. 2015, "Show, attend and tell"): the previous state attends, the gated
      context goes into the recurrence with the word, and the output layer reads word, state and
      context. The first state is made of the mean region.
    - ``"top_down"`` (Anderson et al. 2018): a recurrent layer over the previous output, the mean
      region and the word attends; a stack over the context and that layer's output speaks.
    - ``"late"`` (Lu et al. 2017, "Knowing when to look", without the sentinel): the stack reads the
      word and the mean region, its output attends, and the output layer reads word, output and
      context. As no context goes back into it, a stack of any depth runs over the whole caption in
      one fused pass when the words are given.

    Arguments
    ---------
    vocabulary : int
        Number of words, with ``<eos>`` and ``<unk>``.
    memory_size : int
        Width of the memory.
    network : str
        A key that ``gatedrnn list`` prints.
    num_layers : int
        Depth of the stack.
    hidden_size : int
        K, memory cells of a layer.
    proj_size : int or None
        N, width of a layer's output; left out by recurrences without projection.
    network_options : Mapping or None
        Further options of the recurrence.
    attention : str or Mapping
        The way, or arguments of :class:`~gatedrnn.seq2seq.attention.AttentionOptions`.
    embedding_size : int
        Width in which words are read.
    tied : bool
        Use the embedding as the output layer's matrix.
    dropout : float or Mapping
        Of the embedding, between recurrent layers and before the output layer: see
        ``of``; words and locked masks cannot be dropped
        here.
    start : Mapping or None
        Starting values of weights of the stack: see ``start_from``.

    Raises
    ------
    ValueError
        If there is no such recurrence or attention, or a value is impossible.

    Example
    -------
    >>> decoder = CaptionDecoder(20, 8, "ran", hidden_size=16, embedding_size=12)
    >>> memory = Memory(torch.rand(2, 9, 8), shape=(3, 3))
    >>> output = decoder(torch.tensor([[0, 4, 5], [0, 7, 0]]), memory)
    >>> output.scores.shape, output.attention.shape
    (torch.Size([2, 3, 20]), torch.Size([2, 3, 9]))
    >>> scores, state, attention = decoder.step(torch.tensor([0, 0]), decoder.begin(memory), memory)
    >>> torch.allclose(scores, output.scores[:, 0], atol=1e-5)
    True
    """

    def __init__(
        self,
        vocabulary: int,
        memory_size: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 512,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        attention: str | Mapping[str, Any] = "soft",
        embedding_size: int = 512,
        tied: bool = False,
        dropout: float | Mapping[str, Any] = 0.0,
        start: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        self.drop = DropoutRates.of(dropout)
        if self.drop.words or self.drop.locked:
            raise ValueError("dropout: a decoder of captions drops neither words nor locked masks")
        self.options = AttentionOptions.of(attention)

        def stack(input_size: int, layers: int) -> nnet.RecurrentStack:
            made = nnet.build(
                network,
                proj_size=proj_size,
                input_size=input_size,
                hidden_size=hidden_size,
                num_layers=layers,
                dropout=self.drop.layers,
                re_init=False,
                **(network_options or {}),
            )
            if start:
                start_from(made, start)
            return made

        #: Width of the memory that is read.
        self.memory_size = memory_size
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        self.core = make_core(self.options, stack, num_layers, embedding_size, memory_size)
        width = self.core.output_size
        self.projection = None
        if tied and width != embedding_size:
            self.projection = nn.Linear(width, embedding_size, bias=False)
            width = embedding_size
        weight = self.embedding.weight
        self.softmax = FullSoftmax(width, vocabulary, weight if tied else None)
        nn.init.uniform_(weight, -INIT_RANGE, INIT_RANGE)
        self.softmax.reset_parameters(INIT_RANGE)

    @property
    def vocabulary(self) -> int:
        """Number of words."""
        return self.embedding.num_embeddings

    def begin(self, memory: Memory) -> DecoderState:
        """What there is before the first word.

        Arguments
        ---------
        memory : Memory
            The items.

        Returns
        -------
        DecoderState
        """
        keys = self.core.attention.keys(memory.features)
        scene = Scene(memory.features, memory.valid(), keys, memory.mean())
        return DecoderState(self.core.begin(scene), scene.valid, scene.keys, scene.mean)

    def step(
        self, tokens: torch.Tensor, state: DecoderState, memory: Memory
    ) -> tuple[torch.Tensor, DecoderState, torch.Tensor]:
        """Reads one word of each caption.

        Arguments
        ---------
        tokens : torch.Tensor
            The words, (batch,); ``<eos>`` before the first one.
        state : DecoderState
            Of :meth:`begin`, or the last call's.
        memory : Memory
            The items, those of the state.

        Returns
        -------
        scores : torch.Tensor
            Of the next word, (batch, vocabulary).
        state : DecoderState
            After the word.
        attention : torch.Tensor
            Where the decoder looked for the next word, (batch, regions).
        """
        taken = self._take(tokens, state, memory)
        return self._score(taken.read), state._replace(hidden=taken.hidden), taken.attention

    def forward(
        self,
        tokens: torch.Tensor,
        memory: Memory,
        sampled_share: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> CaptionOutput:
        """Reads captions.

        Arguments
        ---------
        tokens : torch.Tensor
            ``<eos>`` and the words, (batch, time); ``<eos>`` also after shorter captions.
        memory : Memory
            The items.
        sampled_share : float
            Scheduled sampling (Bengio et al. 2015): with this probability a word after the first
            ``<eos>`` is not the given one, but drawn from the model's own scores.
        generator : torch.Generator or None
            Decides what is drawn; on the device of the tokens.

        Returns
        -------
        CaptionOutput

        Raises
        ------
        ValueError
            If ``sampled_share`` is not in [0, 1].
        """
        if not 0.0 <= sampled_share <= 1.0:
            raise ValueError(f"sampled_share must be in [0, 1], not {sampled_share}")
        state = self.begin(memory)
        if not sampled_share and hasattr(self.core, "whole"):
            words = self._embed(tokens)
            taken = self.core.whole(words, state.hidden, self._scene(state, memory))
            scores = self._score(taken.read)
        else:
            steps, found = [], []
            for t in range(tokens.shape[1]):
                read = tokens[:, t]
                if sampled_share and t:
                    read = _mixed(read, found[-1].detach(), sampled_share, generator)
                steps.append(self._take(read, state, memory))
                state = state._replace(hidden=steps[-1].hidden)
                found.append(self._score(steps[-1].read))
            scores, taken = torch.stack(found, 1), _joined(steps)
        auxiliary = self._auxiliary(tokens, taken, state.valid) if self.training else None
        return CaptionOutput(scores, taken.attention, auxiliary)

    # ---- details ----------------------------------------------------------------------------

    def _scene(self, state: DecoderState, memory: Memory) -> Scene:
        return Scene(memory.features, state.valid, state.keys, state.mean)

    def _take(self, tokens: torch.Tensor, state: DecoderState, memory: Memory) -> Step:
        return self.core.step(self._embed(tokens), state.hidden, self._scene(state, memory))

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.embedding(tokens), self.drop.embedding, self.training)

    def _score(self, read: torch.Tensor) -> torch.Tensor:
        read = nn.functional.dropout(read, self.drop.output, self.training)
        if self.projection is not None:
            read = self.projection(read)
        scores = self.softmax(read)
        return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores

    def _auxiliary(
        self, tokens: torch.Tensor, taken: Step, valid: torch.Tensor | None
    ) -> torch.Tensor | None:
        if taken.prior is None and not self.options.penalty:
            return None
        # A caption goes on until the second <eos>.
        inside = ((tokens == EOS).cumsum(1) - (tokens[:, :1] == EOS).int()) == 0
        total = taken.attention.new_zeros(())
        if taken.prior is not None:
            total = total + torch.where(inside, taken.prior, 0.0).sum()
        if self.options.penalty:
            looked = (taken.attention * inside.unsqueeze(2)).sum(1)
            missing = (1.0 - looked) ** 2
            if valid is not None:
                missing = torch.where(valid, missing, 0.0)
            total = total + self.options.penalty * missing.sum()
        return total


def select_state(state: DecoderState, rows: torch.Tensor, same_items: bool = False) -> DecoderState:
    """The state of some captions, in a given order: for beams.

    Arguments
    ---------
    state : DecoderState
        The state.
    rows : torch.Tensor
        Numbers of captions in the batch, int64.
    same_items : bool
        Whether every row stays with its item, and there are as many as before: then what belongs
        to the items is not copied.

    Returns
    -------
    DecoderState
    """

    def picked(hidden: Hidden) -> Hidden:
        if isinstance(hidden, torch.Tensor):
            return hidden[:, rows]
        return tuple(part[:, rows] for part in hidden)

    hidden = tuple(picked(part) for part in state.hidden)
    if same_items:
        return state._replace(hidden=hidden)
    valid = None if state.valid is None else state.valid[rows]
    return DecoderState(hidden, valid, state.keys[rows], state.mean[rows])


def _mixed(
    given: torch.Tensor, scores: torch.Tensor, share: float, generator: torch.Generator | None
) -> torch.Tensor:
    """Given words, some of them replaced by ones that are drawn."""
    drawn = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)
    own = torch.rand(given.shape, generator=generator, device=given.device) < share
    return torch.where(own, drawn, given)


def _joined(steps: list[Step]) -> Step:
    prior = None
    if steps[0].prior is not None:
        prior = torch.stack([step.prior for step in steps], 1)
    attention = torch.stack([step.attention for step in steps], 1)
    return Step(steps[-1].read, steps[-1].hidden, attention, prior)
