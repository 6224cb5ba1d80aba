"""The attention decoder around any recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.modules.network_options import DropoutRates, build_stack
from gatedrnn.modules.softmax import FullSoftmax
from gatedrnn.nnet.stack import Hidden
from gatedrnn.seq2seq.decoder_cells import (
    AttentionOptions,
    CellOutput,
    DecoderContext,
    make_decoder_cell,
)
from gatedrnn.seq2seq.encoder import EncoderOutput
from gatedrnn.tokens import EOS

#: Embedding and output layer are initialized uniformly between minus and plus this.
INIT_RANGE = 0.1


class DecoderState(NamedTuple):
    """State of a decoder between two steps; ``valid``, ``keys`` and ``mean`` as in the context.

    Encoder features are not part of it, so that beams do not copy them.
    """

    hidden: tuple[Hidden, ...]
    valid: torch.Tensor | None
    keys: torch.Tensor
    mean: torch.Tensor


class DecoderOutput(NamedTuple):
    """Output of a decoder over whole sequences.

    Arguments
    ---------
    scores : torch.Tensor
        Logits of the next token after each, at least float32, (batch, time, vocabulary).
    attention : torch.Tensor
        Attention weights, (batch, time, regions).
    auxiliary : torch.Tensor or None
        In training, the sum of the recurrence's own loss term and the attention penalty over the
        sequences, without the padding.
    """

    scores: torch.Tensor
    attention: torch.Tensor
    auxiliary: torch.Tensor | None


class Decoder(nn.Module):
    """Attention decoder: previous tokens and an encoder output to logits of the next token.

    An input sequence begins with ``<eos>``; shorter sequences of a batch are padded with ``<eos>``.

    Attention and recurrence are connected in one of three ways:

    - ``"soft"`` (Xu et al. 2015, "Show, attend and tell"): the query is the previous state, the
      gated context is an input of the recurrence beside the token, and the output layer reads
      token, state and context. The initial state is computed from the mean region.
    - ``"top_down"`` (Anderson et al. 2018): a recurrent layer over the previous output, the mean
      region and the token gives the query; a stack over the context and that layer's output gives
      the output.
    - ``"late"`` (Lu et al. 2017, "Knowing when to look", without the sentinel): the stack reads the
      token and the mean region, its output is the query, and the output layer reads token, output
      and context. The context does not go back into the stack, so that a stack of any depth runs
      over a whole sequence in one fused pass under teacher forcing.

    Arguments
    ---------
    vocabulary : int
        Number of tokens, including ``<eos>`` and ``<unk>``.
    encoder_size : int
        Width of the encoder output.
    network, num_layers, hidden_size, proj_size, network_options, init
        The stack, see :func:`~gatedrnn.modules.network_options.build_stack`.
    attention : str or Mapping
        The kind, or the options of :class:`~gatedrnn.seq2seq.decoder_cells.AttentionOptions`.
    embedding_size : int
        Width of the token embedding.
    tied : bool
        Use the embedding matrix as the output layer's matrix.
    dropout : float or Mapping
        Of the embedding, between recurrent layers and before the output layer: see
        :class:`~gatedrnn.modules.DropoutRates`, without ``words`` and ``locked``.

    Example
    -------
    >>> decoder = Decoder(20, 8, "ran", hidden_size=16, embedding_size=12)
    >>> encoded = EncoderOutput(torch.rand(2, 9, 8), shape=(3, 3))
    >>> output = decoder(torch.tensor([[0, 4, 5], [0, 7, 0]]), encoded)
    >>> output.scores.shape, output.attention.shape
    (torch.Size([2, 3, 20]), torch.Size([2, 3, 9]))
    >>> state = decoder.initial_state(encoded)
    >>> scores, state, attention = decoder.step(torch.tensor([0, 0]), state, encoded)
    >>> torch.allclose(scores, output.scores[:, 0], atol=1e-5)
    True
    """

    def __init__(
        self,
        vocabulary: int,
        encoder_size: int,
        network: str = "lstmp",
        num_layers: int = 1,
        hidden_size: int = 512,
        proj_size: int | None = None,
        network_options: Mapping[str, Any] | None = None,
        attention: str | Mapping[str, Any] = "soft",
        embedding_size: int = 512,
        tied: bool = False,
        dropout: float | Mapping[str, Any] = 0.0,
        init: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        self.drop = DropoutRates.of(dropout)
        if self.drop.words or self.drop.locked:
            raise ValueError("dropout: a decoder drops neither words nor locked masks")
        self.options = AttentionOptions.of(attention)

        def make_stack(input_size: int, layers: int) -> nnet.RecurrentStack:
            return build_stack(
                network,
                network_options,
                init,
                proj_size=proj_size,
                input_size=input_size,
                hidden_size=hidden_size,
                num_layers=layers,
                dropout=self.drop.layers,
                re_init=False,
            )

        #: Width of the encoder output.
        self.encoder_size = encoder_size
        self.embedding = nn.Embedding(vocabulary, embedding_size)
        # The names of the submodules stand in checkpoints and bundles.
        self.core = make_decoder_cell(
            self.options, make_stack, num_layers, embedding_size, encoder_size
        )
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
        """Number of tokens."""
        return self.embedding.num_embeddings

    def initial_state(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first token."""
        keys = self.core.attention.keys(encoded.features)
        context = DecoderContext(encoded.features, encoded.valid(), keys, encoded.mean())
        hidden = self.core.initial_state(context)
        return DecoderState(hidden, context.valid, context.keys, context.mean)

    def step(
        self, tokens: torch.Tensor, state: DecoderState, encoded: EncoderOutput
    ) -> tuple[torch.Tensor, DecoderState, torch.Tensor]:
        """Advances every sequence by one token.

        Arguments
        ---------
        tokens : torch.Tensor
            The previous tokens, (batch,); ``<eos>`` at the first step.
        state : DecoderState
            Of :meth:`initial_state` or the previous call.
        encoded : EncoderOutput
            The same as that of the state.

        Returns
        -------
        tuple
            Logits of the next token, (batch, vocabulary); the state after the tokens; attention
            weights, (batch, regions).
        """
        output = self._step(tokens, state, encoded)
        return self._score(output.output), state._replace(hidden=output.hidden), output.attention

    def forward(
        self,
        tokens: torch.Tensor,
        encoded: EncoderOutput,
        sampling_probability: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> DecoderOutput:
        """Scores the next token after every token of given sequences (teacher forcing).

        Arguments
        ---------
        tokens : torch.Tensor
            ``<eos>`` and the tokens, padded with ``<eos>``, (batch, time).
        encoded : EncoderOutput
            The encoder output, of the same batch.
        sampling_probability : float
            Scheduled sampling (Bengio et al. 2015): with this probability a token after the first
            ``<eos>`` is replaced by one that is sampled from the decoder's own distribution.
        generator : torch.Generator or None
            Random generator of the sampling, on the device of the tokens.

        Raises
        ------
        ValueError
            If ``sampling_probability`` is not in [0, 1].
        """
        if not 0.0 <= sampling_probability <= 1.0:
            raise ValueError(f"sampling_probability must be in [0, 1], not {sampling_probability}")
        state = self.initial_state(encoded)
        if not sampling_probability and hasattr(self.core, "sequence"):
            context = _context(state, encoded)
            output = self.core.sequence(self._embed(tokens), state.hidden, context)
            scores = self._score(output.output)
        else:
            steps, step_scores = [], []
            for t in range(tokens.shape[1]):
                inputs = tokens[:, t]
                if sampling_probability and t:
                    own = step_scores[-1].detach()
                    inputs = _mixed(inputs, own, sampling_probability, generator)
                steps.append(self._step(inputs, state, encoded))
                state = state._replace(hidden=steps[-1].hidden)
                step_scores.append(self._score(steps[-1].output))
            scores, output = torch.stack(step_scores, 1), _stacked(steps)
        auxiliary = self._auxiliary(tokens, output, state.valid) if self.training else None
        return DecoderOutput(scores, output.attention, auxiliary)

    def _step(
        self, tokens: torch.Tensor, state: DecoderState, encoded: EncoderOutput
    ) -> CellOutput:
        return self.core.step(self._embed(tokens), state.hidden, _context(state, encoded))

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.embedding(tokens), self.drop.embedding, self.training)

    def _score(self, output: torch.Tensor) -> torch.Tensor:
        output = nn.functional.dropout(output, self.drop.output, self.training)
        if self.projection is not None:
            output = self.projection(output)
        scores = self.softmax(output)
        return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores

    def _auxiliary(
        self, tokens: torch.Tensor, output: CellOutput, valid: torch.Tensor | None
    ) -> torch.Tensor | None:
        if output.prior is None and not self.options.penalty:
            return None
        # A sequence ends at its second <eos>.
        inside = ((tokens == EOS).cumsum(1) - (tokens[:, :1] == EOS).int()) == 0
        total = output.attention.new_zeros(())
        if output.prior is not None:
            total = total + torch.where(inside, output.prior, 0.0).sum()
        if self.options.penalty:
            coverage = (output.attention * inside.unsqueeze(2)).sum(1)
            missing = (1.0 - coverage) ** 2
            if valid is not None:
                missing = torch.where(valid, missing, 0.0)
            total = total + self.options.penalty * missing.sum()
        return total


def select_state(state: DecoderState, rows: torch.Tensor, same_items: bool = False) -> DecoderState:
    """Takes sequences of a state, for beam search.

    rows: Indices of sequences, int64, (new batch,).
    same_items: Whether every row keeps its item and the batch its size: then the tensors that
        belong to the items are not copied.
    """

    def select(hidden: Hidden) -> Hidden:
        if isinstance(hidden, torch.Tensor):
            return hidden[:, rows]
        return tuple(part[:, rows] for part in hidden)

    hidden = tuple(select(part) for part in state.hidden)
    if same_items:
        return state._replace(hidden=hidden)
    valid = None if state.valid is None else state.valid[rows]
    return DecoderState(hidden, valid, state.keys[rows], state.mean[rows])


def _context(state: DecoderState, encoded: EncoderOutput) -> DecoderContext:
    return DecoderContext(encoded.features, state.valid, state.keys, state.mean)


def _mixed(
    tokens: torch.Tensor,
    scores: torch.Tensor,
    probability: float,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """Replaces tokens by sampled ones with a probability."""
    sampled = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)
    replaced = torch.rand(tokens.shape, generator=generator, device=tokens.device) < probability
    return torch.where(replaced, sampled, tokens)


def _stacked(steps: list[CellOutput]) -> CellOutput:
    prior = None
    if steps[0].prior is not None:
        prior = torch.stack([step.prior for step in steps], 1)
    attention = torch.stack([step.attention for step in steps], 1)
    return CellOutput(steps[-1].output, steps[-1].hidden, attention, prior)
