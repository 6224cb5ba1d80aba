"""Shallow fusion: a language model is combined with a recognizer in its beam search.

The score of a hypothesis is ``recognizer + weight * language model + insertion * words``, as in
rescoring, but here the language model also affects which hypotheses stay in the beam. Recognizer
and language model need not have the same tokens: the text of a partial hypothesis is tokenized
again for the language model, word by word, when a space (or the end) completes a word; by
characters as they come if the language model's tokens are characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.language_modeling.prefix_scores import Node, read_nodes
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tokens import EOS, Tokens

#: Stands for the end of a hypothesis where a token would stand.
_END = -1
#: Size of the cache of tokenized words.
_WORDS = 1 << 16


class Prefix:
    """State of fusion for a partial hypothesis.

    ``bonus`` is added to the recognizer's score; while tokens are ``due`` it is an upper bound.
    """

    __slots__ = ("any", "bonus", "children", "due", "known", "node", "unknown", "word")

    def __init__(self, node: Node) -> None:
        #: Position in the language model's prefix tree.
        self.node = node
        #: Tokens that the language model has yet to score.
        self.due: tuple[int, ...] = ()
        #: Characters of an incomplete word, and whether there is a word before it.
        self.word, self.any = "", False
        #: Score besides the language model's, and nats for characters of unknown words.
        self.known, self.unknown = 0.0, 0.0
        self.bonus = 0.0
        self.children: dict[int, Prefix] | None = None


class Fusion:
    """A language model beside a recognizer, for ``PrefixBeam``.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)`` with one token per row, as
        :class:`~gatedrnn.tasks.language_modeling.model.TextModel`; set to evaluation mode.
    model_tokens : Tokens
        Its tokens.
    tokens : Tokens
        The recognizer's tokens.
    weights : LMWeights
        Weight of the language model, of each word, and of the recognizer's internal language model,
        which is subtracted.
    label_prior : torch.Tensor or None
        Natural logarithms of the unigram probabilities of the recognizer's tokens, (tokens,): its
        internal language model; see :class:`~gatedrnn.tasks.asr.internal_lm.LabelPrior`.

    Raises
    ------
    ValueError
        If the weights cannot be searched with, or no letter of the recognizer's is in the alphabet
        of the language model.

    Example
    -------
    >>> from gatedrnn.tasks.asr.ctc_search import prefix_beam_search
    >>> from gatedrnn.tasks.asr.decode import SearchOptions
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> from gatedrnn.tokens import EOS_NAME, Characters, Words
    >>> words, letters = Words.learn(["GO ON"], EOS_NAME), Characters.learn(["GO ON"])
    >>> model = TextModel(len(words), hidden_size=8).eval()
    >>> fusion = Fusion(model, words, letters, LMWeights(0.5, 1.0))
    >>> log_probs = torch.rand(2, 7, len(letters)).log_softmax(-1)
    >>> lists = prefix_beam_search(log_probs, torch.tensor([7, 4]), SearchOptions(8), fusion)
    >>> len(lists), sorted(lists[0][0].parts)
    (2, ['am', 'lm'])
    """

    def __init__(
        self,
        model: nn.Module,
        model_tokens: Tokens,
        tokens: Tokens,
        weights: LMWeights,
        label_prior: torch.Tensor | None = None,
    ) -> None:
        _check(weights, label_prior, len(tokens))
        self.model, self.model_tokens, self.weights = model.eval(), model_tokens, weights
        self._texts = [""] + [tokens.token_text(token) for token in range(1, len(tokens))]
        letters = set("".join(self._texts)) - {" "}
        if letters and letters.isdisjoint(model_tokens.alphabet):
            raise ValueError(
                "the language model knows no letter of the recogniser, such as "
                f"{min(letters)!r}: was it trained on text of another case?"
            )
        self._by_character = model_tokens.kind == "characters"
        self._encode = lru_cache(maxsize=_WORDS)(self._encoded)
        self._costs = [0.0] * len(tokens)
        if weights.internal:
            self._costs = (weights.internal * label_prior.double()).tolist()
        # A token may end the word before it, and contain further words.
        gain = max(0.0, weights.insertion)
        self._gains = [
            gain * (1 + len(text.split())) - cost
            for text, cost in zip(self._texts, self._costs, strict=True)
        ]
        self._root = Node(EOS, None, 0.0)

    def begin(self) -> Prefix:
        """The empty prefix, for one utterance."""
        if self.weights.weight and not self._root.is_read:
            read_nodes(self.model, [self._root])
        # The tree below the root is freed with the utterance.
        return Prefix(self._root.fresh())

    def upper_bound(self, prefix: Prefix, token: int) -> float:
        """Maximum bonus after one more token of the recognizer; nothing must be due."""
        return prefix.bonus + self._gains[token]

    def grow(self, prefix: Prefix, token: int) -> Prefix:
        """The prefix with one more token, cached; if something is due, :meth:`settle` it."""
        child = None if prefix.children is None else prefix.children.get(token)
        if child is None:
            child = self._child(prefix, token)
            child.known -= self._costs[token]
            for character in self._texts[token]:
                if character == " ":
                    self._end_word(child)
                else:
                    self._add_character(child, character)
            self._update(child)
        return child

    def ended(self, prefix: Prefix) -> Prefix:
        """The prefix as a complete hypothesis: with its last word and the end, to be settled."""
        child = None if prefix.children is None else prefix.children.get(_END)
        if child is None:
            child = self._child(prefix, _END)
            self._end_word(child)
            if self.weights.weight:
                child.due += (EOS,)
            self._update(child)
        return child

    def settle(self, prefixes: Iterable[Prefix]) -> None:
        """Scores what is due in prefixes of any utterances: one batch for each due token."""
        waiting = changed = [prefix for prefix in prefixes if prefix.due]
        while waiting:
            unread = {id(p.node): p.node for p in waiting if not p.node.is_read}
            read_nodes(self.model, list(unread.values()))
            for prefix in waiting:
                prefix.node = prefix.node.child(prefix.due[0])
                prefix.due = prefix.due[1:]
            waiting = [prefix for prefix in waiting if prefix.due]
        for prefix in changed:
            self._update(prefix)

    def parts(self, prefix: Prefix) -> dict[str, float]:
        """``lm``: log-probability of a settled hypothesis by a language model with a weight."""
        return {"lm": prefix.node.total - prefix.unknown} if self.weights.weight else {}

    def _child(self, prefix: Prefix, token: int) -> Prefix:
        child = Prefix(prefix.node)
        if prefix.children is None:
            prefix.children = {}
        prefix.children[token] = child
        child.word, child.any = prefix.word, prefix.any
        child.known, child.unknown = prefix.known, prefix.unknown
        return child

    def _update(self, prefix: Prefix) -> None:
        log_prob = prefix.node.total - prefix.unknown if self.weights.weight else 0.0
        prefix.bonus = prefix.known + self.weights.weight * log_prob

    def _add_character(self, prefix: Prefix, character: str) -> None:
        if self._by_character:
            self._add_due(prefix, character if prefix.word or not prefix.any else f" {character}")
            prefix.known += 0.0 if prefix.word else self.weights.insertion
        prefix.word += character

    def _end_word(self, prefix: Prefix) -> None:
        if prefix.word and not self._by_character:
            self._add_due(prefix, prefix.word)
            prefix.known += self.weights.insertion
        prefix.any = prefix.any or bool(prefix.word)
        prefix.word = ""

    def _add_due(self, prefix: Prefix, part: str) -> None:
        if self.weights.weight:
            tokens, unknown_nats = self._encode(part)
            prefix.due += tokens
            prefix.unknown += unknown_nats

    def _encoded(self, part: str) -> tuple[tuple[int, ...], float]:
        """Tokens of a part of a text, and nats for its unknown words."""
        tokens = self.model_tokens.encode(part)
        unknown: list[Any] = (
            self.model_tokens.unknown(part) if self.model_tokens.unk in tokens else []
        )
        return tuple(tokens), math.fsum(map(self.model_tokens.unknown_nats, unknown))


def _check(weights: LMWeights, label_prior: torch.Tensor | None, vocabulary: int) -> None:
    values = (weights.weight, weights.insertion, weights.internal)
    if not all(map(math.isfinite, values)) or weights.weight < 0:
        raise ValueError(
            "the language model's weight must be a number from 0, and insertion and internal must "
            f"be numbers, not {', '.join(f'{value:g}' for value in values)}"
        )
    if weights.internal and label_prior is None:
        raise ValueError(
            "to subtract the internal language model in the search, the unigram probabilities of "
            "the tokens are needed (label_prior)"
        )
    if label_prior is not None and label_prior.shape != (vocabulary,):
        raise ValueError(
            f"label_prior must be ({vocabulary},), as the recogniser has tokens, not "
            f"{tuple(label_prior.shape)}"
        )
