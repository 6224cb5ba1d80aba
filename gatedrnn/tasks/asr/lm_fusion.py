"""Shallow fusion: a language model has its say while a recogniser's search goes on.

A reading counts ``recogniser + weight * language model + insertion * words``, as in rescoring
(``rescoring``), but here the language model also decides which readings are
kept. Recogniser and language model need not have the same tokens: the beginnings of readings are
spelled, and what a space (or the end) makes a whole word of is what the language model scores. If
its tokens are characters, each is scored as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from gatedrnn.tasks.language_modeling.prefix_scores import EOS
from gatedrnn.tasks.language_modeling.prefix_tree import Node, read_nodes
from gatedrnn.tasks.language_modeling.rescoring import Setting
from gatedrnn.tokens.hypotheses import Tokens

#: Stands for the end of a reading where a token would stand.
_END = -1
#: Words whose tokens are remembered.
_WORDS = 1 << 16


class Prefix:
    """What fusion knows of a beginning of a reading.

    ``bonus`` is what is added to the recogniser's score; while tokens are ``due``, no less than
    what it will be.

    Arguments
    ---------
    node : Node
        What the language model has read.
    """

    __slots__ = ("any", "bonus", "children", "due", "known", "node", "unknown", "word")

    def __init__(self, node: Node) -> None:
        self.node = node
        #: Tokens that the language model has yet to read.
        self.due: tuple[int, ...] = ()
        #: What is spelled of a word that may go on, and whether there is one before it.
        self.word, self.any = "", False
        #: What is added besides the language model's part; what that is charged for spelling.
        self.known, self.unknown = 0.0, 0.0
        self.bonus = 0.0
        self.children: dict[int, Prefix] | None = None


class Fusion:
    """A language model beside a recogniser, for ``PrefixBeam``.

    Arguments
    ---------
    model : torch.nn.Module
        Called as ``model(tokens, hx)`` with a token for each row, like
        :class:`~gatedrnn.tasks.language_modeling.model.TextModel`; in evaluation mode.
    model_tokens : Tokens
        Its tokens.
    tokens : Tokens
        The recogniser's.
    setting : Setting
        How much the language model counts, and each word; and how much of the recogniser's internal
        language model is subtracted.
    label_prior : torch.Tensor or None
        Natural logarithms of the probabilities of the recogniser's tokens by themselves, (tokens,):
        its internal language model; see :class:`~gatedrnn.tasks.asr.internal_lm.LabelPrior`.

    Raises
    ------
    ValueError
        If the setting cannot be searched with, or the language model knows no letter of the
        recogniser's.

    Example
    -------
    >>> from gatedrnn.tasks.asr.prefix_beam import prefix_beam_search
    >>> from gatedrnn.tasks.language_modeling.model import TextModel
    >>> from gatedrnn.tokens import Characters, Words
    >>> words, letters = Words.learn(["GO ON"], "<eos>"), Characters.learn(["GO ON"])
    >>> model = TextModel(len(words), hidden_size=8).eval()
    >>> fusion = Fusion(model, words, letters, Setting(0.5, 1.0))
    >>> log_probs = torch.rand(2, 7, len(letters)).log_softmax(-1)
    >>> found = prefix_beam_search(log_probs, torch.tensor([7, 4]), beam_size=8, fusion=fusion)
    >>> len(found), sorted(found[0][0].parts)
    (2, ['am', 'lm'])
    """

    def __init__(
        self,
        model: nn.Module,
        model_tokens: Any,
        tokens: Tokens,
        setting: Setting,
        label_prior: torch.Tensor | None = None,
    ) -> None:
        _check(setting, label_prior, len(tokens))
        self.model, self.model_tokens, self.setting = model.eval(), model_tokens, setting
        self._spelled = [""] + [tokens.token_text(token) for token in range(1, len(tokens))]
        letters = set("".join(self._spelled)) - {" "}
        if letters and letters.isdisjoint(model_tokens.alphabet):
            raise ValueError(
                "the language model knows no letter of the recogniser, such as "
                f"{min(letters)!r}: was it trained on text of another case?"
            )
        self._by_character = model_tokens.kind == "characters"
        self._encode = lru_cache(maxsize=_WORDS)(self._encoded)
        self._costs = [0.0] * len(tokens)
        if setting.internal:
            self._costs = (setting.internal * label_prior.double()).tolist()
        # A token may end a word before it, and hold some.
        gain = max(0.0, setting.insertion)
        self._gains = [
            gain * (1 + len(spelled.split())) - cost
            for spelled, cost in zip(self._spelled, self._costs, strict=True)
        ]
        self._root = Node(EOS, None, 0.0)

    def begin(self) -> Prefix:
        """The beginning of every reading.

        Returns
        -------
        Prefix
            For one utterance.
        """
        if self.setting.weight and not self._root.is_read:
            read_nodes(self.model, [self._root])
        # What comes after the root is forgotten with the utterance.
        return Prefix(self._root.fresh())

    def most(self, prefix: Prefix, token: int) -> float:
        """What is added to the recogniser's score at most, after one more token.

        Arguments
        ---------
        prefix : Prefix
            A beginning, with nothing due.
        token : int
            The recogniser's token.

        Returns
        -------
        float
        """
        return prefix.bonus + self._gains[token]

    def grow(self, prefix: Prefix, token: int) -> Prefix:
        """A beginning with one more token.

        Arguments
        ---------
        prefix : Prefix
            A beginning, with nothing due.
        token : int
            The recogniser's token.

        Returns
        -------
        Prefix
            Always the same for the same token. If something is due, :meth:`settle` it.
        """
        found = None if prefix.children is None else prefix.children.get(token)
        if found is None:
            found = self._after(prefix, token)
            found.known -= self._costs[token]
            for character in self._spelled[token]:
                if character == " ":
                    self._end_word(found)
                else:
                    self._spell(found, character)
            self._weigh(found)
        return found

    def ended(self, prefix: Prefix) -> Prefix:
        """A beginning that is the whole reading.

        Arguments
        ---------
        prefix : Prefix
            A beginning, with nothing due.

        Returns
        -------
        Prefix
            With the last word and the end; :meth:`settle` it.
        """
        found = None if prefix.children is None else prefix.children.get(_END)
        if found is None:
            found = self._after(prefix, _END)
            self._end_word(found)
            if self.setting.weight:
                found.due += (EOS,)
            self._weigh(found)
        return found

    def settle(self, prefixes: Iterable[Prefix]) -> None:
        """Has the language model score what is due.

        Arguments
        ---------
        prefixes : iterable of Prefix
            Of any utterances: what is new in them is read as one batch for each token that is due.
        """
        waiting = changed = [prefix for prefix in prefixes if prefix.due]
        while waiting:
            unread = {id(p.node): p.node for p in waiting if not p.node.is_read}
            read_nodes(self.model, list(unread.values()))
            for prefix in waiting:
                prefix.node = prefix.node.child(prefix.due[0])
                prefix.due = prefix.due[1:]
            waiting = [prefix for prefix in waiting if prefix.due]
        for prefix in changed:
            self._weigh(prefix)

    def parts(self, prefix: Prefix) -> dict[str, float]:
        """What the language model makes of a reading.

        Arguments
        ---------
        prefix : Prefix
            Of :meth:`ended`, with nothing due.

        Returns
        -------
        dict
            ``lm``, its log-probability, as rescoring has it; nothing without a weight.
        """
        return {"lm": prefix.node.total - prefix.unknown} if self.setting.weight else {}

    def _after(self, prefix: Prefix, token: int) -> Prefix:
        found = Prefix(prefix.node)
        if prefix.children is None:
            prefix.children = {}
        prefix.children[token] = found
        found.word, found.any = prefix.word, prefix.any
        found.known, found.unknown = prefix.known, prefix.unknown
        return found

    def _weigh(self, prefix: Prefix) -> None:
        linguistic = prefix.node.total - prefix.unknown if self.setting.weight else 0.0
        prefix.bonus = prefix.known + self.setting.weight * linguistic

    def _spell(self, prefix: Prefix, character: str) -> None:
        if self._by_character:
            self._owe(prefix, character if prefix.word or not prefix.any else f" {character}")
            prefix.known += 0.0 if prefix.word else self.setting.insertion
        prefix.word += character

    def _end_word(self, prefix: Prefix) -> None:
        if prefix.word and not self._by_character:
            self._owe(prefix, prefix.word)
            prefix.known += self.setting.insertion
        prefix.any = prefix.any or bool(prefix.word)
        prefix.word = ""

    def _owe(self, prefix: Prefix, part: str) -> None:
        if self.setting.weight:
            tokens, spelling = self._encode(part)
            prefix.due += tokens
            prefix.unknown += spelling

    def _encoded(self, part: str) -> tuple[tuple[int, ...], float]:
        """Tokens of a part of a text, and what spelling the unknown among it costs."""
        found = self.model_tokens.encode(part)
        unknown = self.model_tokens.unknown(part) if self.model_tokens.unk in found else []
        return tuple(found), math.fsum(map(self.model_tokens.unknown_nats, unknown))


def _check(setting: Setting, label_prior: torch.Tensor | None, vocabulary: int) -> None:
    values = (setting.weight, setting.insertion, setting.internal)
    if not all(map(math.isfinite, values)) or setting.weight < 0:
        raise ValueError(
            "the language model's weight must be a number from 0, and insertion and internal must "
            f"be numbers, not {', '.join(f'{value:g}' for value in values)}"
        )
    if setting.internal and label_prior is None:
        raise ValueError(
            "to subtract the internal language model in the search, it must be given the tokens' "
            "probabilities by themselves (label_prior)"
        )
    if label_prior is not None and label_prior.shape != (vocabulary,):
        raise ValueError(
            f"label_prior must be ({vocabulary},), as the recogniser has tokens, not "
            f"{tuple(label_prior.shape)}"
        )
