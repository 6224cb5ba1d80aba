"""What the output layer spells with: characters, words, or pieces of words."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from gatedrnn.tokens.symbols import BLANK, BLANK_NAME, Characters, Symbols, Tokens, Words

__all__ = ["BLANK", "Characters", "Pieces", "Symbols", "Tokens", "Words", "learn", "load", "save"]


class Pieces(Tokens):
    """Spells with SentencePiece's pieces of words.

    Arguments
    ---------
    model : bytes
        A SentencePiece model, serialised; its piece i is token i + 1.

    Example
    -------
    >>> tokens = Pieces.learn(["GO ON", "NO GO", "ON AND ON"], size=9)
    >>> tokens.decode(tokens.encode("ON AND GO"))
    'ON AND GO'
    """

    kind = "pieces"
    #: How SentencePiece marks the beginning of a word.
    MARK = "\u2581"

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = [self._processor.id_to_piece(i) for i in range(len(self._processor))]
        super().__init__([BLANK_NAME, *pieces])

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, model_type: str = "unigram") -> Pieces:
        """Learns pieces from transcripts.

        Arguments
        ---------
        texts : iterable of str
            Transcripts.
        size : int
            Number of pieces.
        model_type : str
            ``"unigram"`` or ``"bpe"``.

        Returns
        -------
        Pieces

        Raises
        ------
        ValueError
            If the texts do not give so many pieces.
        """
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(list(texts)),
                model_writer=model,
                vocab_size=size,
                model_type=model_type,
                character_coverage=1.0,
                bos_id=-1,
                eos_id=-1,
                normalization_rule_name="identity",
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(
                f"cannot learn {size} pieces from the training transcripts: {error}"
            ) from error
        return cls(model.getvalue())

    @property
    def unknown_token(self) -> int:
        """The token of what cannot be spelled; :meth:`encode` leaves it out."""
        return self._processor.unk_id() + 1

    def spell(self, text: str) -> list[tuple[int, str]]:
        """Tokens of a text with what each stands for, also what cannot be spelled.

        Arguments
        ---------
        text : str
            The text.

        Returns
        -------
        list of tuple
            (token, the part of the text).
        """
        numbers = self._processor.encode(text)
        parts = self._processor.encode(text, out_type=str)
        return [(i + 1, part) for i, part in zip(numbers, parts, strict=True)]

    def encode(self, text: str) -> list[int]:
        """See :meth:`Tokens.encode`."""
        unknown = self._processor.unk_id()
        return [i + 1 for i in self._processor.encode(text) if i != unknown]

    def unknown(self, texts: Iterable[str]) -> Counter[str]:
        """See :meth:`Tokens.unknown`."""
        spelled = (pair for text in texts for pair in self.spell(text))
        return Counter(part for token, part in spelled if token == self.unknown_token)

    def decode(self, tokens: Sequence[int]) -> str:
        """See :meth:`Tokens.decode`."""
        return " ".join("".join(self.names[t] for t in tokens).replace(self.MARK, " ").split())

    def spelled(self, token: int) -> str:
        """See :meth:`Tokens.spelled`."""
        return self.names[token].replace(self.MARK, " ")

    def words(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """See :meth:`Tokens.words`."""
        starts = [i for i, t in enumerate(tokens) if i == 0 or self.names[t].startswith(self.MARK)]
        spans = zip(starts, [*starts[1:], len(tokens)], strict=True)
        words = [(self.decode(tokens[a:b]), a, b) for a, b in spans]
        return [word for word in words if word[0]]

    def to_dict(self) -> dict[str, Any]:
        """See :meth:`Tokens.to_dict`."""
        return {"kind": self.kind, "model": self.model.hex()}


#: Kinds whose names are all there is to know.
SYMBOLS: dict[str, type[Symbols]] = {tokens.kind: tokens for tokens in (Characters, Words)}


def learn(texts: Iterable[str], kind: str, pieces: int = 500) -> Tokens:
    """Makes the tokens of a training.

    Arguments
    ---------
    texts : iterable of str
        Training transcripts.
    kind : str
        ``"characters"``, ``"words"``, or ``"unigram"`` or ``"bpe"``, the kinds of SentencePiece's
        pieces.
    pieces : int
        Number of pieces.

    Returns
    -------
    Tokens

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind in SYMBOLS:
        return SYMBOLS[kind].learn(texts)
    if kind in ("unigram", "bpe"):
        return Pieces.learn(texts, pieces, kind)
    raise ValueError(f"tokens must be characters, words, unigram or bpe, not {kind!r}")


def save(tokens: Tokens, path: str | Path) -> None:
    """Writes tokens as JSON.

    Arguments
    ---------
    tokens : Tokens
        The tokens.
    path : str or Path
        File to write.
    """
    draft = Path(f"{path}.draft")
    draft.write_text(json.dumps(tokens.to_dict(), ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(draft, path)


def load(path: str | Path) -> Tokens:
    """Reads tokens.

    Arguments
    ---------
    path : str or Path
        File that :func:`save` wrote.

    Returns
    -------
    Tokens

    Raises
    ------
    ValueError
        If the file is not one.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tokens.json"
    >>> save(Characters.learn(["AB"]), path)
    >>> load(path).names
    ['<blank>', ' ', 'A', 'B']
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if data["kind"] in SYMBOLS:
            return SYMBOLS[data["kind"]](data["names"])
        return Pieces(bytes.fromhex(data["model"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not hold tokens ({error}); delete it to make it anew"
        ) from error
