"""Words, characters and pieces of words, for language models."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatedrnn.data.text import Text
from gatedrnn.tokens.text_symbols import EOS, EOS_NAME, UNKNOWN_NAME, Encoded, TextTokens
from gatedrnn.tokens.tokens import Pieces

__all__ = [
    "EOS",
    "Encoded",
    "TextCharacters",
    "TextPieces",
    "TextTokens",
    "TextWords",
    "from_dict",
    "learn",
    "load",
]

#: Words that are spelled at a time: a corpus can be one line.
_WORDS = 2000


class TextWords(TextTokens):
    """Whole words, the frequent ones first; all others are ``<unk>``.

    Arguments
    ---------
    names : sequence of str
        ``<eos>``, ``<unk>``, the words.
    alphabet : str
        All characters of the training text.

    Example
    -------
    >>> tokens = TextWords.learn(["YES I DO", "I DO", "DO"], min_count=2)
    >>> tokens.names, tokens.encode("YES DO"), tokens.unknown("YES DO")
    (['<eos>', '<unk>', 'DO', 'I'], [1, 2], ['YES'])
    """

    kind = "words"

    def __init__(self, names: Sequence[str], alphabet: str) -> None:
        super().__init__(names, alphabet)
        self._index = {name: i for i, name in enumerate(self.names) if i != EOS}

    @classmethod
    def learn(
        cls, lines: Iterable[str], min_count: int = 1, max_size: int | None = None
    ) -> TextWords:
        """Takes the words of a text.

        Arguments
        ---------
        lines : iterable of str
            The training text.
        min_count : int
            How often a word must occur.
        max_size : int or None
            Most tokens, with ``<eos>`` and ``<unk>``: the most frequent words.

        Returns
        -------
        TextWords

        Raises
        ------
        ValueError
            If no word is left.
        """
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line.split())
        alphabet = "".join(sorted(set().union(*counts)))
        for name in (EOS_NAME, UNKNOWN_NAME):
            counts.pop(name, None)
        words = [word for word, count in counts.items() if count >= min_count]
        # Words as frequent as each other in the order of the alphabet: always the same tokens.
        words.sort(key=lambda word: (-counts[word], word))
        words = words[: None if max_size is None else max(0, max_size - 2)]
        if not words:
            raise ValueError(
                f"no word is left for the vocabulary with min_count {min_count} and a vocabulary "
                f"of at most {max_size}"
            )
        return cls([EOS_NAME, UNKNOWN_NAME, *words], alphabet)

    def encode(self, line: str) -> list[int]:
        """See :meth:`TextTokens.encode`."""
        return [self._index.get(word, self.unk) for word in line.split()]

    def unknown(self, line: str) -> list[str]:
        """See :meth:`TextTokens.unknown`."""
        return [word for word in line.split() if word not in self._index]

    def begins_word(self, token: int) -> bool:
        """See :meth:`TextTokens.begins_word`."""
        return True

    def join(self, tokens: Sequence[int]) -> str:
        """See :meth:`TextTokens.join`."""
        return " ".join(self.names[token] for token in tokens)


class TextCharacters(TextTokens):
    """Characters; the space is one of them.

    They have the numbers that :class:`~gatedrnn.tokens.tokens.Characters` of the same text has.

    Arguments
    ---------
    names : sequence of str
        ``<eos>``, the characters, ``<unk>``.
    alphabet : str
        All characters of the training text.

    Example
    -------
    >>> tokens = TextCharacters.learn(["GO ON"])
    >>> tokens.names, tokens.encode("NOT")
    (['<eos>', ' ', 'G', 'N', 'O', '<unk>'], [3, 4, 5])
    """

    kind = "characters"

    def __init__(self, names: Sequence[str], alphabet: str) -> None:
        super().__init__(names, alphabet)
        self._index = {name: i for i, name in enumerate(self.names) if len(name) == 1}

    @classmethod
    def learn(cls, lines: Iterable[str]) -> TextCharacters:
        """Takes the characters of a text.

        Arguments
        ---------
        lines : iterable of str
            The training text.

        Returns
        -------
        TextCharacters
        """
        alphabet = "".join(sorted({" "}.union(*lines)))
        return cls([EOS_NAME, *alphabet, UNKNOWN_NAME], alphabet)

    def encode(self, line: str) -> list[int]:
        """See :meth:`TextTokens.encode`."""
        return [self._index.get(character, self.unk) for character in line]

    def unknown(self, line: str) -> list[str]:
        """See :meth:`TextTokens.unknown`."""
        return [character for character in line if character not in self._index]

    def encode_text(self, text: Text) -> Encoded:
        """See :meth:`TextTokens.encode_text`; all at once, as texts of characters are long."""
        end = "\n" if text.ends else ""
        whole = end.join([*text.lines, ""])
        codes = np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32)
        table = np.full(0x110000, self.unk, dtype=np.int32)
        for name, token in self._index.items():
            table[ord(name)] = token
        if end:
            table[ord(end)] = EOS
        ids = table[codes]
        unknown = [chr(code) for code in codes[ids == self.unk]]
        sizes = torch.tensor([0] + [len(line) + len(end) for line in text.lines])
        spelling = math.fsum(map(self.spelling, unknown))
        return Encoded(text, torch.from_numpy(ids), sizes.cumsum(0), len(unknown), spelling)

    def begins_word(self, token: int) -> bool:
        """See :meth:`TextTokens.begins_word`."""
        return self.names[token] == " "

    def join(self, tokens: Sequence[int]) -> str:
        """See :meth:`TextTokens.join`."""
        return "".join(self.names[token] for token in tokens)


class TextPieces(TextTokens):
    """SentencePiece's pieces of words.

    They have the numbers of :class:`~gatedrnn.tokens.tokens.Pieces`, whose blank is ``<eos>``.

    Arguments
    ---------
    model : bytes
        A SentencePiece model, serialised.
    alphabet : str
        All characters of the training text.

    Example
    -------
    >>> tokens = TextPieces.learn(["GO ON", "NO GO", "ON AND ON"], size=9, kind="bpe")
    >>> tokens.join(tokens.encode("ON AND GO")), tokens.unknown("ON TOP")
    ('ON AND GO', ['T', 'P'])
    """

    kind = "pieces"

    def __init__(self, model: bytes, alphabet: str) -> None:
        self.pieces = Pieces(model)
        super().__init__([EOS_NAME, *self.pieces.names[1:]], alphabet)

    @classmethod
    def learn(cls, lines: Iterable[str], size: int, kind: str = "unigram") -> TextPieces:
        """Learns pieces from a text.

        Arguments
        ---------
        lines : iterable of str
            The training text.
        size : int
            Number of pieces.
        kind : str
            ``"unigram"`` or ``"bpe"``.

        Returns
        -------
        TextPieces
        """
        # SentencePiece passes over long sentences.
        short = [part for line in lines for part in _parts(line, 200)]
        alphabet = "".join(sorted({" "}.union(*short)))
        return cls(Pieces.learn(short, size, kind).model, alphabet)

    def encode(self, line: str) -> list[int]:
        """See :meth:`TextTokens.encode`."""
        return [token for token, _ in self._spell(line)]

    def unknown(self, line: str) -> list[str]:
        """See :meth:`TextTokens.unknown`."""
        return [part for token, part in self._spell(line) if token == self.unk]

    def begins_word(self, token: int) -> bool:
        """See :meth:`TextTokens.begins_word`."""
        return self.names[token].startswith(Pieces.MARK)

    def join(self, tokens: Sequence[int]) -> str:
        """See :meth:`TextTokens.join`."""
        return self.pieces.decode(tokens)

    def to_dict(self) -> dict[str, Any]:
        """See :meth:`TextTokens.to_dict`."""
        model = self.pieces.model.hex()
        return {"kind": self.kind, "model": model, "alphabet": self.alphabet}

    def _spell(self, line: str) -> list[tuple[int, str]]:
        # The mark is SentencePiece's own word for a space: in a text it would begin a word.
        line = line.replace(Pieces.MARK, "_")
        return [pair for part in _parts(line, _WORDS) for pair in self.pieces.spell(part)]


def learn(
    text: Text, kind: str, pieces: int = 1000, min_count: int = 1, max_size: int | None = None
) -> TextTokens:
    """Makes the tokens of a training.

    Arguments
    ---------
    text : Text
        The training text.
    kind : str
        ``"words"``, ``"characters"``, or ``"unigram"`` or ``"bpe"``, the kinds of SentencePiece's
        pieces.
    pieces : int
        Number of pieces.
    min_count : int
        How often a word must occur.
    max_size : int or None
        Most words.

    Returns
    -------
    TextTokens

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind == "words":
        return TextWords.learn(text.lines, min_count, max_size)
    if kind == "characters":
        return TextCharacters.learn(text.lines)
    if kind in ("unigram", "bpe"):
        return TextPieces.learn(text.lines, pieces, kind)
    raise ValueError(f"tokens must be words, characters, unigram or bpe, not {kind!r}")


def from_dict(data: dict[str, Any]) -> TextTokens:
    """Makes tokens of what :meth:`TextTokens.to_dict` gave.

    Arguments
    ---------
    data : dict
        Plain data.

    Returns
    -------
    TextTokens

    Example
    -------
    >>> from_dict(TextCharacters.learn(["AB"]).to_dict()).names
    ['<eos>', ' ', 'A', 'B', '<unk>']
    """
    if data["kind"] == TextPieces.kind:
        return TextPieces(bytes.fromhex(data["model"]), data["alphabet"])
    kinds = {TextWords.kind: TextWords, TextCharacters.kind: TextCharacters}
    return kinds[data["kind"]](data["names"], data["alphabet"])


def load(path: str | Path) -> TextTokens:
    """Reads tokens.

    Arguments
    ---------
    path : str or Path
        File that :func:`gatedrnn.tokens.tokens.save` wrote.

    Returns
    -------
    TextTokens

    Raises
    ------
    ValueError
        If the file is not one.
    """
    try:
        return from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold a language model's tokens ({error}); delete it to make it anew"
        ) from error


def _parts(line: str, words: int) -> list[str]:
    """A line in parts of so many words."""
    split = line.split()
    return [" ".join(split[i : i + words]) for i in range(0, len(split), words)]
