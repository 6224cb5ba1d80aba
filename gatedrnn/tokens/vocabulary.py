"""Words of captions as numbers."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gatedrnn.tokens.ptb_tokenizer import tokenize

#: The word that ends a caption; it also stands before the first one.
EOS = 0
#: What stands for words that are too rare.
UNKNOWN = 1
_NAMES = ("<eos>", "<unk>")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain_words(text: str) -> tuple[str, ...]:
    """Words as Karpathy's files and the code after them make them: punctuation is struck out.

    Arguments
    ---------
    text : str
        A caption.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> plain_words("A man's T-shirt , torn .")
    ('a', 'mans', 'tshirt', 'torn')
    """
    return tuple(text.lower().translate(_NO_PUNCTUATION).split())


#: Name -> what makes words of a caption. Captions of the second kind are scored as they are.
WORDS: dict[str, Callable[[str], tuple[str, ...]]] = {"plain": plain_words, "ptb": tokenize}


class Vocabulary:
    """Words of captions as numbers: ``<eos>``, ``<unk>``, then words from frequent to rare.

    Arguments
    ---------
    names : sequence of str
        The words, the first two as above.
    words : str
        What makes words of a caption, a key of ``WORDS``.
    max_length : int
        Words of a caption; longer ones are cut.

    Raises
    ------
    ValueError
        If the names are not such, or a value is out of its range.

    Example
    -------
    >>> vocabulary = Vocabulary.learn(["A dog runs."] * 6 + ["A dog barks."])
    >>> vocabulary.names
    ('<eos>', '<unk>', 'a', 'dog', 'runs')
    >>> vocabulary.encode("The dog runs!"), vocabulary.decode([2, 3, 4, 0, 4])
    ([1, 3, 4], 'a dog runs')
    """

    def __init__(self, names: Sequence[str], words: str = "plain", max_length: int = 16) -> None:
        self.names = tuple(names)
        if self.names[:2] != _NAMES or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"words must begin with {' and '.join(_NAMES)}, and each be there once"
            )
        if words not in WORDS:
            raise ValueError(f"words must be one of {', '.join(WORDS)}, not {words!r}")
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}")
        self.words = words
        self.max_length = max_length
        self._numbers = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        more_than: int = 5,
        words: str = "plain",
        max_length: int = 16,
    ) -> Vocabulary:
        """Takes the words that are frequent enough.

        Arguments
        ---------
        captions : iterable of str
            Of the training items.
        more_than : int
            A word must come more often than this.
        words : str
            What makes words of a caption, a key of ``WORDS``.
        max_length : int
            Words of a caption; longer ones are cut. All their words are counted.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If no word is frequent enough.
        """
        empty = cls(_NAMES, words, max_length)
        counts = Counter(word for caption in captions for word in WORDS[words](caption))
        kept = [word for word, times in counts.items() if times > more_than and word not in _NAMES]
        if not kept:
            raise ValueError(
                f"no word comes more than {more_than} times in the captions, of {len(counts)} "
                "different ones; lower more_than"
            )
        kept.sort(key=lambda word: (-counts[word], word))
        return cls((*_NAMES, *kept), empty.words, empty.max_length)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, caption: str) -> list[int]:
        """Numbers of a caption's words, ``max_length`` at most, without ``<eos>``.

        Arguments
        ---------
        caption : str
            The caption.

        Returns
        -------
        list of int
        """
        found = WORDS[self.words](caption)[: self.max_length]
        return [self._numbers.get(word, UNKNOWN) for word in found]

    def decode(self, numbers: Iterable[int]) -> str:
        """The caption that ends where ``<eos>`` stands.

        Arguments
        ---------
        numbers : iterable of int
            Of words.

        Returns
        -------
        str
        """
        found = []
        for number in numbers:
            if number == EOS:
                break
            found.append(self.names[number])
        return " ".join(found)

    def figures(self, captions: Iterable[str]) -> dict[str, int]:
        """What becomes of captions: how much is unknown, how many are cut.

        Arguments
        ---------
        captions : iterable of str
            The captions.

        Returns
        -------
        dict

        Example
        -------
        >>> Vocabulary(("<eos>", "<unk>", "a"), max_length=2).figures(["a dog", "a a a"])
        {'captions': 2, 'words': 5, 'unknown': 1, 'cut': 1}
        """
        found = {"captions": 0, "words": 0, "unknown": 0, "cut": 0}
        for caption in captions:
            words = WORDS[self.words](caption)
            found["captions"] += 1
            found["words"] += len(words)
            found["unknown"] += sum(word not in self._numbers for word in words)
            found["cut"] += len(words) > self.max_length
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything there is to know, as plain data."""
        return {"names": list(self.names), "words": self.words, "max_length": self.max_length}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that :meth:`to_dict` wrote down.

        Arguments
        ---------
        data : Mapping
            Plain data.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If something is missing, too much, or not what it should be.

        Example
        -------
        >>> Vocabulary.from_dict(Vocabulary(("<eos>", "<unk>", "a")).to_dict()).max_length
        16
        """
        wanted = {"names", "words", "max_length"}
        if set(data) != wanted:
            raise ValueError(f"a vocabulary has {sorted(wanted)}, not {sorted(data)}")
        names, length = data["names"], data["max_length"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("a vocabulary's names must be a list of strings")
        if type(length) is not int:
            raise ValueError(f"a vocabulary's max_length must be a whole number, not {length!r}")
        return cls(names, data["words"], length)
