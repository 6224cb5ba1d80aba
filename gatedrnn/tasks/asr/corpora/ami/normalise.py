"""Spellings of AMI's transcripts.

``plain``: upper case; letters, digits and apostrophes only; hyphens part words (``MM HMM``),
spelled letters make one word (``LCD``).

``kaldi``: as Kaldi's recipe spells, so that word error rates can be compared: ``L. C. D.``,
``MM-HMM`` and ``UH-HUH``, all other hyphens part words. Kaldi's own script deletes both words of
a comma without spaces (``UM,I``); here the comma parts them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_NOT_SPELLED = re.compile(r"[^A-Z0-9' ]+")
#: Stands where a letter of an acronym ends until all other punctuation is gone.
_LETTER = "_"
#: The two phrases that Kaldi keeps hyphens in, whether the transcriber wrote one or not.
_HYPHENATED = re.compile(r"(?<!\S)(MM) (HMM)(?!\S)|(?<!\S)(UH) (HUH)(?!\S)")


def plain(text: str) -> str:
    """Spells a transcript plainly.

    Arguments
    ---------
    text : str
        As it stands in the annotations.

    Returns
    -------
    str

    Example
    -------
    >>> plain("Yeah um,I think the L_C_D T_V_ Mm-hmm anti-trust .")
    'YEAH UM I THINK THE LCD TV MM HMM ANTI TRUST'
    """
    return _spell(text.replace(_LETTER, ""))


def kaldi(text: str) -> str:
    """Spells a transcript as Kaldi does, without the bug that deletes words beside commas.

    Arguments
    ---------
    text : str
        As it stands in the annotations.

    Returns
    -------
    str

    Example
    -------
    >>> kaldi("Yeah um,I think the L_C_D T_V_ Mm-hmm anti-trust .")
    'YEAH UM I THINK THE L. C. D T. V. MM-HMM ANTI TRUST'
    """
    pieces = [_spell(piece) for piece in text.split(_LETTER)]
    # Each underscore becomes a full stop after the letter before it.
    spelled = ". ".join(pieces)
    spelled = " ".join(re.sub(r"(?<!\S)\. ", " ", spelled).split())
    return _HYPHENATED.sub(lambda match: "-".join(filter(None, match.groups())), spelled)


def _spell(text: str) -> str:
    """Upper case without punctuation; accents are taken off."""
    letters = text.upper()
    if not letters.isascii():
        letters = unicodedata.normalize("NFKD", letters)
        letters = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(_NOT_SPELLED.sub(" ", letters).split())


#: Name -> spelling.
NORMALISERS: dict[str, Callable[[str], str]] = {"plain": plain, "kaldi": kaldi}
