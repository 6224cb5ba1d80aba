"""Log-probabilities of words, whatever tokens they were predicted by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from gatedrnn.data.files import write_atomically

#: Stands for the end of a line.
END = "<eos>"


@dataclass(frozen=True)
class WordScore:
    """A word, or the end of a line, with its log-probability.

    Arguments
    ---------
    line : int
        Number of its line, from 1.
    word : str
        As it stands in the text.
    log_prob : float
        Natural logarithm of its probability given all before it; the sum over its tokens.
    tokens : int
        Number of its tokens.
    known : int
        0 if one of them is ``<unk>``.
    """

    line: int
    word: str
    log_prob: float
    tokens: int
    known: int


def word_scores(encoded: Any, tokens: Any, log_probs: torch.Tensor) -> Iterator[WordScore]:
    """Words of a text with their log-probabilities, which sum up to those of all tokens.

    Arguments
    ---------
    encoded : Encoded
        The text.
    tokens : Tokens
        Its tokens.
    log_probs : torch.Tensor
        Of :func:`~gatedrnn.tasks.language_modeling.perplexity.log_probabilities`.

    Returns
    -------
    iterator of WordScore

    Example
    -------
    >>> from gatedrnn.data.text import Text
    >>> from gatedrnn.tokens import Characters
    >>> tokens = Characters.learn(["GO ON"], "<eos>")
    >>> encoded = tokens.encode_text(Text("mine", ["GO ON"]))
    >>> [(s.word, s.tokens) for s in word_scores(encoded, tokens, torch.zeros(6))]
    [('GO', 2), ('ON', 3), ('<eos>', 1)]
    """
    offsets, ids, values = encoded.offsets.tolist(), encoded.ids.tolist(), log_probs.tolist()
    for number, line in enumerate(encoded.text.lines, start=1):
        start, stop = offsets[number - 1 : number + 1]
        end = stop - int(encoded.text.ends)
        groups = _group(ids[start:end], tokens)
        words = line.split()
        if len(words) != len(groups):
            # Spaces at the ends of a text that has been cut: its words as the tokens have them.
            words = [tokens.join([ids[start + i] for i in group]).strip() for group in groups]
        for word, group in zip(words, groups, strict=True):
            places = [start + i for i in group]
            known = all(ids[place] != tokens.unk for place in places)
            total = sum(values[place] for place in places)
            yield WordScore(number, word, total, len(places), int(known))
        if end < stop:
            yield WordScore(number, END, values[end], 1, 1)


def write_word_scores(path: str | Path, encoded: Any, tokens: Any, log_probs: torch.Tensor) -> None:
    """Writes the words of a text with their log-probabilities.

    Arguments
    ---------
    path : str or Path
        The file: a word per row, tabs between ``line``, ``word``, ``log_prob``, ``tokens`` and
        ``known``, which the first row names.
    encoded : Encoded
        The text.
    tokens : Tokens
        Its tokens.
    log_probs : torch.Tensor
        Of :func:`~gatedrnn.tasks.language_modeling.perplexity.log_probabilities`.
    """
    rows = ["\t".join(field.name for field in fields(WordScore))]
    for found in word_scores(encoded, tokens, log_probs):
        line, word, value, *rest = astuple(found)
        rows.append("\t".join([str(line), word, f"{value:.6f}", *map(str, rest)]))
    write_atomically(path, "\n".join(rows) + "\n")


def _group(ids: list[int], tokens: Any) -> list[list[int]]:
    """Places of the tokens of each word."""
    count, numbers = 0, []
    for place, token in enumerate(ids):
        count += place > 0 and tokens.begins_word(token)
        numbers.append(count)
    return [list(group) for _, group in groupby(range(len(ids)), key=numbers.__getitem__)]
