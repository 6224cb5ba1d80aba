"""Learning, saving and loading tokens; ``tokens.json`` of every version is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.tokens.tokens import (
    BLANK_NAME,
    EOS_NAME,
    Characters,
    Pieces,
    Tokens,
    Vocabulary,
    Words,
)

#: Values of ``kind`` in :func:`learn` -> the kind that files name.
KINDS = {"words": "words", "characters": "characters", "unigram": "pieces", "bpe": "pieces"}
_CLASSES = {tokens.kind: tokens for tokens in (Words, Characters, Pieces, Vocabulary)}
#: Kind in a file -> the keys that it must have; others may have ``alphabet``, those of texts.
_KEYS = {"pieces": {"model"}, "captions": {"names", "words", "max_length"}}


def learn(
    lines: Iterable[str],
    kind: str,
    special: str = BLANK_NAME,
    pieces: int | None = None,
    min_count: int = 1,
    max_size: int | None = None,
) -> Tokens:
    """Learns the tokens of a training.

    Arguments
    ---------
    lines : iterable of str
        The training text, or transcripts.
    kind : str
        ``"words"``, ``"characters"``, ``"unigram"`` or ``"bpe"``; the last two are kinds of
        SentencePiece's pieces.
    special : str
        ``"<blank>"`` for speech recognizers: what is unknown is left out; ``"<eos>"`` for texts,
        with ``<unk>``.
    pieces : int or None
        Number of pieces; None for 500 for speech recognizers and 1000 for texts.
    min_count : int
        Occurrences that a word must have.
    max_size : int or None
        Maximum number of words, the special ones included.
    """
    if kind == "words":
        return Words.learn(lines, special, min_count, max_size)
    if kind == "characters":
        return Characters.learn(lines, special)
    if kind in KINDS:
        size = pieces or (500 if special == BLANK_NAME else 1000)
        return Pieces.learn(lines, special, size, kind)
    raise ValueError(f"tokens must be {', '.join(list(KINDS)[:-1])} or bpe, not {kind!r}")


def learn_once(
    path: Path, lines: Iterable[str], kind: str, special: str, key: str = "tokens", **options: Any
) -> Tokens:
    """Learns and saves tokens, or loads them where the file of an earlier start is there.

    ``key`` is the YAML key of ``kind``, for messages; ``options`` are those of :func:`learn`.
    """
    if not path.is_file():
        tokens = learn(lines, kind, special, **options)
        save(tokens, path)
        return tokens
    tokens = load(path, special)
    if tokens.kind != KINDS.get(kind, kind):
        raise ValueError(
            f"{path}: holds {tokens.kind} of an earlier training, but {key} is {kind}; use another "
            "output_folder"
        )
    return tokens


def from_dict(data: Mapping[str, Any]) -> Tokens:
    """Makes tokens from the content of a ``tokens.json``, also from one of an older version.

    Arguments
    ---------
    data : Mapping
        What :meth:`Tokens.to_dict` returned. Files of older versions have no ``kind`` for captions.

    Raises
    ------
    ValueError
        If a key is missing or unknown, or has a wrong value.

    Example
    -------
    >>> from_dict(Characters.learn(["AB"], EOS_NAME).to_dict()).names
    ['<eos>', ' ', 'A', 'B', '<unk>']
    >>> from_dict({"names": ["<eos>", "<unk>", "a"], "words": "plain", "max_length": 16}).kind
    'captions'
    """
    if not isinstance(data, Mapping):
        raise ValueError("must be an object with named values")
    values = dict(data)
    kind = values.pop("kind", None if "max_length" not in data else Vocabulary.kind)
    if kind not in _CLASSES:
        raise ValueError(f"kind must be one of {', '.join(_CLASSES)}, not {kind!r}")
    keys = _KEYS.get(kind, {"names"})
    if set(values) - {"alphabet"} != keys or (kind == "captions" and "alphabet" in values):
        raise ValueError(f"tokens of kind {kind} have {sorted(keys)}, not {sorted(values)}")
    names = values.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("names must be a list of strings")
    if "model" in values:
        values["model"] = bytes.fromhex(values["model"])
    return _CLASSES[kind](**values)


def save(tokens: Tokens, path: str | Path) -> None:
    """Writes tokens as JSON, atomically."""
    write_atomically(path, json.dumps(tokens.to_dict(), ensure_ascii=False) + "\n")


def load(
    path: str | Path,
    special: str | None = None,
    count: int | None = None,
    model: str = "config.json",
) -> Tokens:
    """Reads tokens.

    Arguments
    ---------
    path : str or Path
        A ``tokens.json`` of this or an older version.
    special : str or None
        First token that they must have: ``"<blank>"`` or ``"<eos>"``; None for either.
    count : int or None
        Number of tokens that the model has; None for any.
    model : str
        File that tells the number, for the message.

    Raises
    ------
    ValueError
        If the file is broken, or holds other tokens.

    Example
    -------
    >>> path = getfixture("tmp_path") / "tokens.json"
    >>> save(Characters.learn(["AB"]), path)
    >>> load(path).names
    ['<blank>', ' ', 'A', 'B']
    """
    try:
        tokens = from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        if special not in (None, tokens.names[0]):
            raise ValueError(f"the first token is {tokens.names[0]}, and must be {special}")
    except (ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"{path}: does not hold the tokens of a model: {error}") from error
    if count not in (None, len(tokens)):
        raise ValueError(
            f"{path}: has {len(tokens)} tokens, and the model of {model} knows {count}"
        )
    return tokens


def load_vocabulary(path: str | Path, count: int | None = None) -> Vocabulary:
    """Reads the vocabulary of captions; for ``count`` see :func:`load`."""
    tokens = load(path, EOS_NAME, count)
    if not isinstance(tokens, Vocabulary):
        raise ValueError(f"{path}: holds {tokens.kind}; must hold the words of captions")
    return tokens


def read_text_tokens(
    path: str | Path, count: int | None = None, model: str = "config.json"
) -> Tokens:
    """Reads the tokens of a text, such as a language model's; see :func:`load`."""
    return load(path, EOS_NAME, count, model)
