"""Characters, words and SentencePiece pieces, of speech and of texts; words of captions."""

from __future__ import annotations

import io
import math
import string
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sentencepiece
import torch

from gatedrnn.data.tables import Text
from gatedrnn.tokens.ptb_tokenizer import tokenize

#: Index of ``<blank>`` in the tokens of speech recognizers.
BLANK = 0
#: Index of ``<eos>`` in the tokens of texts; it also stands before the first token.
EOS = 0
BLANK_NAME, EOS_NAME, UNKNOWN_NAME = "<blank>", "<eos>", "<unk>"

#: How SentencePiece marks the start of a word.
_MARK = "\u2581"
#: SentencePiece skips longer sentences in training.
_TRAINED_WORDS = 200
#: Words that are encoded at a time: a corpus can be one line.
_ENCODED_WORDS = 2000
#: Nats of a character that is not in the training text: any of Unicode.
_FOREIGN = math.log(0x110000)
#: Index of ``<unk>`` in a :class:`Vocabulary`.
UNKNOWN = 1
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Encoded:
    """A text as tokens.

    Arguments
    ---------
    ids : torch.Tensor
        All tokens in a row, int32, (tokens,).
    offsets : torch.Tensor
        Index of the first token of each line, and the end of the last, int64, (lines + 1,).
    unknown : int
        Number of words, characters or pieces that became ``<unk>`` and are not literally ``<unk>``
        in the text.
    unknown_nats : float
        Sum of their :meth:`Tokens.unknown_nats`.
    """

    text: Text
    ids: torch.Tensor
    offsets: torch.Tensor
    unknown: int
    unknown_nats: float


class Tokens(ABC):
    """Base class of all tokens: a list of names whose indices are the tokens.

    There are two sets of special symbols. Tokens of speech recognizers have ``<blank>`` at index 0
    and leave out what they do not know. Tokens of texts have ``<eos>`` at index 0 and ``<unk>``.

    Arguments
    ---------
    names : sequence of str
        Names of the tokens, the special symbols among them.
    alphabet : str or None
        All characters of the training text, for tokens of texts; None for tokens of speech
        recognizers.

    Raises
    ------
    ValueError
        If the special symbols are not where they should be.
    """

    #: Name of the class in files.
    kind: str

    def __init__(self, names: Sequence[str], alphabet: str | None = None) -> None:
        self.names = list(names)
        self.alphabet = alphabet
        special = BLANK_NAME if alphabet is None else EOS_NAME
        if not all(isinstance(name, str) for name in (alphabet or "", *self.names)):
            raise ValueError("names must be a list of strings, and alphabet a string")
        if self.names[:1] != [special]:
            raise ValueError(f"the first token must be {special}")
        if alphabet is not None and UNKNOWN_NAME not in self.names:
            raise ValueError(f"tokens must begin with {EOS_NAME} and have {UNKNOWN_NAME}")
        self._alphabet = set(alphabet or "")
        self._index = {name: i for i, name in enumerate(self.names) if i}
        #: Index of ``<unk>``; None for tokens of speech recognizers.
        self.unk = None if alphabet is None else self.names.index(UNKNOWN_NAME)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def split(self, text: str) -> Sequence[str]:
        """The parts of a line that are to have tokens."""

    def encode(self, text: str) -> list[int]:
        """Tokenizes a line; what is unknown becomes ``<unk>``, or is left out without ``<unk>``."""
        tokens = (self._index.get(part, self.unk) for part in self.split(text))
        return [token for token in tokens if token is not None]

    def unknown(self, text: str) -> list[str]:
        """The parts of a line that have no token."""
        return [part for part in self.split(text) if part not in self._index]

    @abstractmethod
    def token_text(self, token: int) -> str:
        """The text that a token adds, with a space where a word starts or ends."""

    @abstractmethod
    def word_spans(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Words as (word, index of its first token, index after its last)."""

    @abstractmethod
    def begins_word(self, token: int) -> bool:
        """Whether a token begins a word."""

    @abstractmethod
    def join(self, tokens: Sequence[int]) -> str:
        """The text of the tokens of one line, without ``<blank>`` or ``<eos>``."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; in tokens of texts, ``<eos>`` ends a line."""
        if self.alphabet is None:
            return self.join(list(tokens))
        lines: list[list[int]] = [[]]
        for token in tokens:
            if token == EOS:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(map(self.join, lines))

    def encode_as_ids(self, text: str) -> list[int]:
        """The name that SpeechBrain's rescorers have for :meth:`encode`."""
        return self.encode(text)

    def unknown_nats(self, part: str) -> float:
        """Nats of an unknown word, by its characters, after ``<unk>``.

        Each character of the training text is as probable as the end of the word; another one is
        any of Unicode. So every text has a probability, and perplexities can be compared whatever
        the tokens.
        """
        foreign = sum(character not in self._alphabet for character in part)
        return (len(part) + 1) * math.log(len(self._alphabet) + 1) + foreign * _FOREIGN

    def encode_text(self, text: Text) -> Encoded:
        """Tokenizes a whole text; each line ends with ``<eos>`` where ``text.ends``."""
        ids, offsets, unknown = array("i"), [0], []
        for line in text.lines:
            tokens = self.encode(line)
            if self.unk in tokens:
                unknown += self.unknown(line)
            ids.extend(tokens)
            if text.ends:
                ids.append(EOS)
            offsets.append(len(ids))
        return self._encoded(text, np.array(ids, dtype=np.int32), torch.tensor(offsets), unknown)

    def _encoded(
        self, text: Text, ids: np.ndarray, offsets: torch.Tensor, unknown: Sequence[str]
    ) -> Encoded:
        nats = math.fsum(map(self.unknown_nats, unknown))
        return Encoded(text, torch.from_numpy(ids), offsets, len(unknown), nats)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``tokens.json``: what :func:`from_dict` needs."""
        data = {"kind": self.kind, "names": self.names}
        return data if self.alphabet is None else {**data, "alphabet": self.alphabet}


class Words(Tokens):
    """Whole words.

    Arguments
    ---------
    names, alphabet
        See :class:`Tokens`.

    Example
    -------
    >>> tokens = Words.learn(["GO ON", "NO"])
    >>> tokens.names, tokens.encode("NO WAY GO"), tokens.decode([2, 1])
    (['<blank>', 'GO', 'NO', 'ON'], [2, 1], 'NO GO')
    >>> tokens = Words.learn(["YES I DO", "I DO", "DO"], EOS_NAME, min_count=2)
    >>> tokens.names, tokens.encode("YES DO"), tokens.unknown("YES DO")
    (['<eos>', '<unk>', 'DO', 'I'], [1, 2], ['YES'])
    """

    kind = "words"

    @classmethod
    def learn(
        cls,
        lines: Iterable[str],
        special: str = BLANK_NAME,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Words:
        """Takes the words of a text.

        Arguments
        ---------
        lines : iterable of str
            The training text.
        special : str
            ``"<blank>"`` for speech recognizers: words in alphabetical order; ``"<eos>"`` for
            texts: words by frequency.
        min_count : int
            Occurrences that a word must have.
        max_size : int or None
            Maximum number of tokens, the special ones included: the most frequent words are kept.

        Raises
        ------
        ValueError
            If no word is left.
        """
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line.split())
        first = [BLANK_NAME] if special == BLANK_NAME else [EOS_NAME, UNKNOWN_NAME]
        alphabet = "".join(sorted(set().union(*counts)))
        names = frequent_words(counts, min_count, first)[
            : max_size and max(0, max_size - len(first))
        ]
        if special == BLANK_NAME:
            return cls([*first, *sorted(names)])
        if not names:
            raise ValueError(
                f"no word is left for the vocabulary with min_count {min_count} and a vocabulary "
                f"of at most {max_size}"
            )
        return cls([*first, *names], alphabet)

    def split(self, text: str) -> Sequence[str]:
        return text.split()

    def token_text(self, token: int) -> str:
        return f"{self.names[token]} "

    def word_spans(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        return [(self.names[token], i, i + 1) for i, token in enumerate(tokens)]

    def begins_word(self, token: int) -> bool:
        return True

    def join(self, tokens: Sequence[int]) -> str:
        return " ".join(self.names[token] for token in tokens)


class Characters(Tokens):
    """Characters; the space is one of them, and each has the same index for speech and texts.

    Arguments
    ---------
    names, alphabet
        See :class:`Tokens`.

    Example
    -------
    >>> tokens = Characters.learn(["GO ON", "NO"])
    >>> tokens.names
    ['<blank>', ' ', 'G', 'N', 'O']
    >>> tokens.encode("NO GO"), tokens.decode([3, 4, 1, 2, 4])
    ([3, 4, 1, 2, 4], 'NO GO')
    >>> Characters(["<blank>", " ", "A", "B"]).word_spans([2, 1, 3, 3])
    [('A', 0, 1), ('BB', 2, 4)]
    >>> tokens = Characters.learn(["GO ON"], EOS_NAME)
    >>> tokens.names, tokens.encode("NOT")
    (['<eos>', ' ', 'G', 'N', 'O', '<unk>'], [3, 4, 5])
    """

    kind = "characters"

    @classmethod
    def learn(cls, lines: Iterable[str], special: str = BLANK_NAME) -> Characters:
        """Takes the characters of a text and the space; for ``special`` see :class:`Words`."""
        alphabet = "".join(sorted({" "}.union(*lines)))
        if special == BLANK_NAME:
            return cls([BLANK_NAME, *alphabet])
        return cls([EOS_NAME, *alphabet, UNKNOWN_NAME], alphabet)

    def split(self, text: str) -> str:
        # A part of a text may begin or end with a space that counts; a transcript may not.
        return " ".join(text.split()) if self.alphabet is None else text

    def token_text(self, token: int) -> str:
        return self.names[token]

    def word_spans(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        spans, word, start = [], "", 0
        for position, name in enumerate([*(self.names[token] for token in tokens), " "]):
            if name != " ":
                start, word = (start, word + name) if word else (position, name)
            elif word:
                spans.append((word, start, position))
                word = ""
        return spans

    def begins_word(self, token: int) -> bool:
        return self.names[token] == " "

    def join(self, tokens: Sequence[int]) -> str:
        return self.split("".join(self.names[token] for token in tokens))

    def encode_text(self, text: Text) -> Encoded:
        """See :meth:`Tokens.encode_text`; all at once, as texts of characters are long."""
        end = "\n" if text.ends else ""
        codes = np.frombuffer(end.join([*text.lines, ""]).encode("utf-32-le"), dtype=np.uint32)
        table = np.full(0x110000, self.unk, dtype=np.int32)
        for token, name in enumerate(self.names):
            if len(name) == 1:
                table[ord(name)] = token
        if end:
            table[ord(end)] = EOS
        ids = table[codes]
        unknown = [chr(code) for code in codes[ids == self.unk]]
        sizes = torch.tensor([0] + [len(line) + len(end) for line in text.lines])
        return self._encoded(text, ids, sizes.cumsum(0), unknown)


class Pieces(Tokens):
    """Pieces of words, by SentencePiece; a piece has the same index for speech and texts.

    Arguments
    ---------
    model : bytes
        A serialized SentencePiece model; its piece i is token i + 1.
    alphabet : str or None
        See :class:`Tokens`.

    Example
    -------
    >>> tokens = Pieces.learn(["GO ON", "NO GO", "ON AND ON"], size=9)
    >>> tokens.decode(tokens.encode("ON AND GO"))
    'ON AND GO'
    >>> tokens = Pieces.learn(["GO ON", "NO GO", "ON AND ON"], EOS_NAME, size=9, kind="bpe")
    >>> tokens.join(tokens.encode("ON AND GO")), tokens.unknown("ON TOP")
    ('ON AND GO', ['T', 'P'])
    """

    kind = "pieces"

    def __init__(self, model: bytes, alphabet: str | None = None) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = [self._processor.id_to_piece(i) for i in range(len(self._processor))]
        super().__init__([BLANK_NAME if alphabet is None else EOS_NAME, *pieces], alphabet)
        self._unknown = self._processor.unk_id()

    @classmethod
    def learn(
        cls,
        lines: Iterable[str],
        special: str = BLANK_NAME,
        size: int = 500,
        kind: str = "unigram",
    ) -> Pieces:
        """Learns pieces from a text.

        Arguments
        ---------
        lines : iterable of str
            The training text.
        special : str
            ``"<blank>"`` for speech recognizers, ``"<eos>"`` for texts.
        size : int
            Number of pieces.
        kind : str
            ``"unigram"`` or ``"bpe"``.

        Raises
        ------
        ValueError
            If the text is too small for so many pieces.
        """
        short = [part for line in lines for part in _parts(line, _TRAINED_WORDS)]
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(short),
                model_writer=model,
                vocab_size=size,
                model_type=kind,
                character_coverage=1.0,
                bos_id=-1,
                eos_id=-1,
                normalization_rule_name="identity",
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(
                f"cannot learn {size} pieces from the training text: {error}"
            ) from error
        alphabet = "".join(sorted({" "}.union(*short)))
        return cls(model.getvalue(), None if special == BLANK_NAME else alphabet)

    def _encode(self, text: str, out_type: type) -> list[Any]:
        # The mark is SentencePiece's own character for a space: in a text it would begin a word.
        parts = _parts(text.replace(_MARK, "_"), _ENCODED_WORDS)
        return [i for part in parts for i in self._processor.encode(part, out_type=out_type)]

    def split(self, text: str) -> list[str]:
        return self._encode(text, str)

    def encode(self, text: str) -> list[int]:
        pieces = self._encode(text, int)
        return [i + 1 for i in pieces if self.unk is not None or i != self._unknown]

    def unknown(self, text: str) -> list[str]:
        pairs = zip(self._encode(text, int), self.split(text), strict=True)
        return [part for i, part in pairs if i == self._unknown]

    def token_text(self, token: int) -> str:
        return self.names[token].replace(_MARK, " ")

    def word_spans(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        starts = [i for i, token in enumerate(tokens) if i == 0 or self.begins_word(token)]
        spans = zip(starts, [*starts[1:], len(tokens)], strict=True)
        words = [(self.join(tokens[a:b]), a, b) for a, b in spans]
        return [word for word in words if word[0]]

    def begins_word(self, token: int) -> bool:
        return self.names[token].startswith(_MARK)

    def join(self, tokens: Sequence[int]) -> str:
        return " ".join("".join(map(self.token_text, tokens)).split())

    def to_dict(self) -> dict[str, Any]:
        data = super().to_dict()
        del data["names"]
        return {**data, "model": self.model.hex()}


def frequent_words(counts: Counter[str], min_count: int, special: Sequence[str]) -> list[str]:
    """Words from frequent to rare; equally frequent ones in alphabetical order."""
    words = [w for w, count in counts.items() if count >= min_count and w not in special]
    return sorted(words, key=lambda word: (-counts[word], word))


def _parts(line: str, words: int) -> list[str]:
    """A line in parts of at most so many words."""
    split = line.split()
    return [" ".join(split[i : i + words]) for i in range(0, len(split), words)]


def plain_words(text: str) -> tuple[str, ...]:
    """Words of a caption in lower case without punctuation, as in Karpathy's files.

    Example
    -------
    >>> plain_words("A man's T-shirt , torn .")
    ('a', 'mans', 'tshirt', 'torn')
    """
    return tuple(text.lower().translate(_NO_PUNCTUATION).split())


#: Name -> word tokenizer of captions. Captions of ``ptb`` words are scored as they are.
_WORD_TOKENIZERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "plain": plain_words,
    "ptb": tokenize,
}


class Vocabulary(Words):
    """Words of captions: ``<eos>``, ``<unk>``, then words by frequency.

    Arguments
    ---------
    names : sequence of str
        The words, ``<eos>`` and ``<unk>`` first.
    words : str
        Word tokenizer: ``"plain"`` (lower case without punctuation) or ``"ptb"`` (Penn Treebank).
    max_length : int
        Maximum words of a caption; longer captions are cut.

    Raises
    ------
    ValueError
        If the names are not such, or a value is out of its range.

    Example
    -------
    >>> vocabulary = Vocabulary.learn(["A dog runs."] * 6 + ["A dog barks."])
    >>> vocabulary.names
    ['<eos>', '<unk>', 'a', 'dog', 'runs']
    >>> vocabulary.encode("The dog runs!"), vocabulary.decode([2, 3, 4, 0, 4])
    ([1, 3, 4], 'a dog runs')
    """

    kind = "captions"

    def __init__(self, names: Sequence[str], words: str = "plain", max_length: int = 16) -> None:
        if list(names[:2]) != [EOS_NAME, UNKNOWN_NAME] or len(set(names)) < len(names):
            raise ValueError(
                f"words must begin with {EOS_NAME} and {UNKNOWN_NAME}, and each be there once"
            )
        super().__init__(names, "")
        if words not in _WORD_TOKENIZERS:
            known = ", ".join(_WORD_TOKENIZERS)
            raise ValueError(f"words must be one of {known}, not {words!r}")
        if type(max_length) is not int:
            raise ValueError(f"max_length must be a whole number, not {max_length!r}")
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}")
        self.words, self.max_length = words, max_length

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        more_than: int = 5,
        words: str = "plain",
        max_length: int = 16,
    ) -> Vocabulary:
        """Takes the words of captions that occur more than ``more_than`` times.

        Arguments
        ---------
        captions : iterable of str
            Captions of the training items.
        more_than : int
            Occurrences that a word must exceed; also those past ``max_length`` are counted.
        words : str
            Word tokenizer, ``"plain"`` or ``"ptb"``.
        max_length : int
            Maximum words of a caption.

        Raises
        ------
        ValueError
            If no word is frequent enough.
        """
        first = (EOS_NAME, UNKNOWN_NAME)
        empty = cls(first, words, max_length)
        counts = Counter(word for caption in captions for word in empty.split(caption))
        names = frequent_words(counts, more_than + 1, first)
        if not names:
            raise ValueError(
                f"no word comes more than {more_than} times in the captions, of {len(counts)} "
                "different ones; lower more_than"
            )
        return cls((*first, *names), words, max_length)

    def split(self, text: str) -> tuple[str, ...]:
        """The words of a caption, however many."""
        return _WORD_TOKENIZERS[self.words](text)

    def encode(self, text: str) -> list[int]:
        """Tokens of the first ``max_length`` words of a caption, without ``<eos>``."""
        return super().encode(text)[: self.max_length]

    def decode(self, tokens: Iterable[int]) -> str:
        """The caption up to the first ``<eos>``."""
        return super().decode(tokens).split("\n")[0]

    def statistics(self, captions: Iterable[str]) -> dict[str, int]:
        """Counts captions, words, unknown words, and captions that are cut.

        Example
        -------
        >>> Vocabulary(("<eos>", "<unk>", "a"), max_length=2).statistics(["a dog", "a a a"])
        {'captions': 2, 'words': 5, 'unknown': 1, 'cut': 1}
        """
        every = [self.split(caption) for caption in captions]
        return {
            "captions": len(every),
            "words": sum(map(len, every)),
            "unknown": sum(word not in self._index for words in every for word in words),
            "cut": sum(len(words) > self.max_length for words in every),
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "names": self.names,
            "words": self.words,
            "max_length": self.max_length,
        }
