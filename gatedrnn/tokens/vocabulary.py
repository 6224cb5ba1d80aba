"""Words of captions: a vocabulary that also splits captions into words."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gatedrnn.tokens.ptb_tokenizer import tokenize
from gatedrnn.tokens.tokens import EOS_NAME, UNKNOWN_NAME, Words, frequent_words

#: Index of ``<unk>`` in a :class:`Vocabulary`.
UNKNOWN = 1
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


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

        Returns
        -------
        Vocabulary

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
        """See :meth:`Tokens.to_dict`."""
        return {
            "kind": self.kind,
            "names": self.names,
            "words": self.words,
            "max_length": self.max_length,
        }
