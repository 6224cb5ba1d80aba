"""What tokens of running text have in common, whether words, characters or pieces of words.

Perplexities are comparable only if they are of the same thing. All kinds of tokens count the same
words, an end of a line among them; what one kind cannot spell is charged for its spelling, so that
a small vocabulary is no advantage (see :meth:`TextTokens.spelling`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gatedrnn.data.text import Text

#: The token that ends a line; it also stands before the first one.
EOS = 0
EOS_NAME = "<eos>"
UNKNOWN_NAME = "<unk>"
#: Nats of a character that the training text does not have: any of Unicode.
_FOREIGN = math.log(0x110000)


@dataclass(frozen=True)
class Encoded:
    """A text as tokens.

    Arguments
    ---------
    text : Text
        The text.
    ids : torch.Tensor
        All tokens in a row, int32.
    offsets : torch.Tensor
        Where each line begins, and the end of the last, int64, (lines + 1,).
    unknown : int
        Number of words, characters or pieces that became ``<unk>`` and do not stand so in the text.
    spelling : float
        Nats of spelling them.
    """

    text: Text
    ids: torch.Tensor
    offsets: torch.Tensor
    unknown: int
    spelling: float


class TextTokens(ABC):
    """What kinds of tokens have in common: names, whose places are the tokens.

    Arguments
    ---------
    names : sequence of str
        The tokens: ``<eos>`` first, ``<unk>`` somewhere.
    alphabet : str
        All characters of the training text.
    """

    #: How files call them.
    kind: str

    def __init__(self, names: Sequence[str], alphabet: str) -> None:
        self.names = list(names)
        self.alphabet = alphabet
        self._known = set(alphabet)
        if not self.names or self.names[EOS] != EOS_NAME or UNKNOWN_NAME not in self.names:
            raise ValueError(f"tokens must begin with {EOS_NAME} and hold {UNKNOWN_NAME}")
        #: The token of all that has none of its own.
        self.unk = self.names.index(UNKNOWN_NAME)

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def encode(self, line: str) -> list[int]:
        """Tokens of a line, without its end.

        Arguments
        ---------
        line : str
            Words separated by single spaces.

        Returns
        -------
        list of int
        """

    @abstractmethod
    def unknown(self, line: str) -> list[str]:
        """What becomes ``<unk>`` in a line, and does not stand so in it.

        Arguments
        ---------
        line : str
            The line.

        Returns
        -------
        list of str
        """

    @abstractmethod
    def begins_word(self, token: int) -> bool:
        """Whether a token begins a word.

        Arguments
        ---------
        token : int
            The token.

        Returns
        -------
        bool
        """

    @abstractmethod
    def join(self, tokens: Sequence[int]) -> str:
        """Text of tokens of one line.

        Arguments
        ---------
        tokens : sequence of int
            Without ``<eos>``.

        Returns
        -------
        str
        """

    def encode_as_ids(self, line: str) -> list[int]:
        """:meth:`encode`, as SpeechBrain's rescorers call it."""
        return self.encode(line)

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of tokens; a line ends where an ``<eos>`` stands.

        Arguments
        ---------
        tokens : iterable of int
            Tokens.

        Returns
        -------
        str
        """
        lines: list[list[int]] = [[]]
        for token in tokens:
            if token == EOS:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(self.join(line) for line in lines)

    def spelling(self, part: str) -> float:
        """Nats of spelling out what has no token, after ``<unk>``.

        Each character of the training text is as likely as the end of the spelling; another one is
        any of Unicode. With it the model gives a probability to every text, whatever its tokens:
        such perplexities can be compared.

        Arguments
        ---------
        part : str
            The word, or piece of one.

        Returns
        -------
        float
        """
        foreign = sum(character not in self._known for character in part)
        return (len(part) + 1) * math.log(len(self.alphabet) + 1) + foreign * _FOREIGN

    def encode_text(self, text: Text) -> Encoded:
        """Turns a text into tokens.

        Arguments
        ---------
        text : Text
            The text.

        Returns
        -------
        Encoded
        """
        ids, offsets, unknown = array("i"), [0], []
        for line in text.lines:
            found = self.encode(line)
            if self.unk in found:
                unknown += self.unknown(line)
            ids.extend(found)
            if text.ends:
                ids.append(EOS)
            offsets.append(len(ids))
        spelling = math.fsum(map(self.spelling, unknown))
        numbers = torch.from_numpy(np.array(ids, dtype=np.int32))
        return Encoded(text, numbers, torch.tensor(offsets), len(unknown), spelling)

    def to_dict(self) -> dict[str, Any]:
        """Everything there is to know, as plain data.

        Returns
        -------
        dict
        """
        return {"kind": self.kind, "names": self.names, "alphabet": self.alphabet}
