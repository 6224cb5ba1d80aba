"""Tokens that are spelled as they are called: characters, and whole words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gatedrnn.tasks.asr.model import BLANK

BLANK_NAME = "<blank>"


class Tokens(ABC):
    """What kinds of tokens have in common: names, the blank first, whose places are the tokens.

    Arguments
    ---------
    names : sequence of str
        The tokens.

    Raises
    ------
    ValueError
        If the first is not the blank.
    """

    #: How files call them.
    kind: str

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        if not self.names or self.names[BLANK] != BLANK_NAME:
            raise ValueError(f"the first token must be {BLANK_NAME}")

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Tokens of a text; what cannot be spelled is left out.

        Arguments
        ---------
        text : str
            The transcript.

        Returns
        -------
        list of int
        """

    @abstractmethod
    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """What cannot be spelled in some texts, with its number.

        Arguments
        ---------
        texts : iterable of str
            Transcripts.

        Returns
        -------
        Counter
        """

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens.

        Arguments
        ---------
        tokens : sequence of int
            Without blanks.

        Returns
        -------
        str
        """

    @abstractmethod
    def spelled(self, token: int) -> str:
        """What a token adds to a text: what the tokens of a text add is :meth:`decode` of them.

        Arguments
        ---------
        token : int
            Not the blank.

        Returns
        -------
        str
            With a space where a word before it ends, or its own.
        """

    @abstractmethod
    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Words with the tokens that spell them.

        Arguments
        ---------
        tokens : sequence of int
            Without blanks.

        Returns
        -------
        list of tuple
            (word, first token, token after the last), positions in ``tokens``.
        """

    def to_dict(self) -> dict[str, Any]:
        """Everything there is to know, as plain data.

        Returns
        -------
        dict
        """
        return {"kind": self.kind, "names": self.names}


class Symbols(Tokens):
    """Spells with what the training transcripts are made of.

    Arguments
    ---------
    names : sequence of str
        The tokens, the blank first.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._index = {name: i for i, name in enumerate(self.names)}

    @staticmethod
    @abstractmethod
    def split(text: str) -> Sequence[str]:
        """What a text is made of.

        Arguments
        ---------
        text : str
            The transcript.

        Returns
        -------
        sequence of str
        """

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Symbols:
        """Takes all that some transcripts are made of.

        Arguments
        ---------
        texts : iterable of str
            Transcripts.

        Returns
        -------
        Symbols
        """
        return cls([BLANK_NAME, *sorted({part for text in texts for part in cls.split(text)})])

    def encode(self, text: str) -> list[int]:
        """See :meth:`Tokens.encode`."""
        return [self._index[part] for part in self.split(text) if part in self._index]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """See :meth:`Tokens.unknown`."""
        parts = (part for text in texts for part in self.split(text))
        return Counter(part for part in parts if part not in self._index)


class Characters(Symbols):
    """Spells with characters; the space is one of them.

    Arguments
    ---------
    names : sequence of str
        The tokens, the blank first.

    Example
    -------
    >>> tokens = Characters.learn(["GO ON", "NO"])
    >>> tokens.names
    ['<blank>', ' ', 'G', 'N', 'O']
    >>> tokens.encode("NO GO"), tokens.decode([3, 4, 1, 2, 4])
    ([3, 4, 1, 2, 4], 'NO GO')
    >>> Characters(["<blank>", " ", "A", "B"]).words([2, 1, 3, 3])
    [('A', 0, 1), ('BB', 2, 4)]
    """

    kind = "characters"

    @staticmethod
    def split(text: str) -> Sequence[str]:
        """See :meth:`Symbols.split`."""
        return " ".join(text.split())

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Symbols:
        """See :meth:`Symbols.learn`; the space is always among them."""
        return cls([BLANK_NAME, *sorted({" "}.union(*texts))])

    def decode(self, tokens: Sequence[int]) -> str:
        """See :meth:`Tokens.decode`."""
        return " ".join("".join(self.names[t] for t in tokens).split())

    def spelled(self, token: int) -> str:
        """See :meth:`Tokens.spelled`."""
        return self.names[token]

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """See :meth:`Tokens.words`."""
        words: list[tuple[str, int, int]] = []
        start = None
        for position, token in enumerate([*tokens, self._index.get(" ", BLANK)]):
            space = position == len(tokens) or self.names[token] == " "
            if space and start is not None:
                spelled = "".join(self.names[t] for t in tokens[start:position])
                words.append((spelled, start, position))
                start = None
            elif not space and start is None:
                start = position
        return words


class Words(Symbols):
    """Spells with whole words, for tasks that have few.

    Arguments
    ---------
    names : sequence of str
        The tokens, the blank first.

    Example
    -------
    >>> tokens = Words.learn(["GO ON", "NO"])
    >>> tokens.names, tokens.encode("NO WAY GO"), tokens.decode([2, 1])
    (['<blank>', 'GO', 'NO', 'ON'], [2, 1], 'NO GO')
    >>> tokens.words([2, 1])
    [('NO', 0, 1), ('GO', 1, 2)]
    """

    kind = "words"

    @staticmethod
    def split(text: str) -> Sequence[str]:
        """See :meth:`Symbols.split`."""
        return text.split()

    def decode(self, tokens: Sequence[int]) -> str:
        """See :meth:`Tokens.decode`."""
        return " ".join(self.names[t] for t in tokens)

    def spelled(self, token: int) -> str:
        """See :meth:`Tokens.spelled`."""
        return f"{self.names[token]} "

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """See :meth:`Tokens.words`."""
        return [(self.names[t], i, i + 1) for i, t in enumerate(tokens)]
