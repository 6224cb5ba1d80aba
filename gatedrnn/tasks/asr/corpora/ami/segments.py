"""From segments of AMI's transcribers to utterances: segmentation and text normalization.

Segmentations: ``unsplit`` keeps the segments and times of the transcribers. ``words30`` splits each
segment at full stops; what then has more than 30 words is split at the comma nearest to its middle,
repeatedly. Times are those of the words.

Text normalizations: ``plain`` is upper case with letters, digits and apostrophes only; hyphens
separate words (``MM HMM``), acronyms are one word (``LCD``). ``kaldi`` is that of Kaldi's recipe,
so that word error rates can be compared: ``L. C. D.``, ``MM-HMM`` and ``UH-HUH``; all other hyphens
separate words. Kaldi's own script deletes both words beside a comma without spaces (``UM,I``); here
the comma separates them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gatedrnn.data.report import Report
from gatedrnn.tasks.asr.corpora.ami.annotations import NxtSegment, NxtToken

#: Longest utterance of ``words30``, in words, where there is a comma to split at.
MAX_WORDS = 30
_OTHER = re.compile(r"[^A-Z0-9' ]+")
#: Stands where a letter of an acronym ends until all other punctuation is gone.
_LETTER = "_"
#: The two phrases that Kaldi keeps hyphens in, whether the transcriber wrote one or not.
_HYPHENATED = re.compile(r"(?<!\S)(MM) (HMM)(?!\S)|(?<!\S)(UH) (HUH)(?!\S)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a segment that becomes an utterance; times are in seconds.

    Example
    -------
    >>> Piece(0.5, 2.0, (NxtToken("w0", "word", "Hi", 1.0, 1.5, True),)).text
    'Hi'
    """

    start: float
    end: float
    words: tuple[NxtToken, ...]

    @property
    def text(self) -> str:
        """The words as in the annotations."""
        return " ".join(word.text for word in self.words)


def unsplit(segment: NxtSegment) -> list[Piece]:
    """Keeps a segment whole.

    Example
    -------
    >>> laugh = NxtToken("w0", "vocalsound", "", 1.0, 1.5, True)
    >>> unsplit(NxtSegment("s", 0.0, 2.0, (laugh,)))
    []
    """
    words = segment.words
    return [Piece(segment.start, segment.end, words)] if words else []


def words30(segment: NxtSegment) -> list[Piece]:
    """Splits a segment at full stops, and what is still long at commas."""
    pieces = []
    for sentence in _split(segment.tokens, "."):
        for part in _split_long(sentence):
            words = tuple(token for token in part if token.kind == "word")
            if words:
                timed = [word for word in words if word.timed] or words
                start, end = min(w.start for w in timed), max(w.end for w in timed)
                pieces.append(Piece(start, end, words))
    return pieces


#: Name -> segmentation.
SEGMENTATIONS: dict[str, Callable[[NxtSegment], list[Piece]]] = {
    "unsplit": unsplit,
    "words30": words30,
}


def clip(piece: Piece, seconds: float) -> Piece | None:
    """Cuts a piece where its audio ends, and drops words of which less than half is left."""
    if piece.end <= seconds:
        return piece
    words = tuple(word for word in piece.words if (word.start + word.end) / 2 < seconds)
    if piece.start >= seconds or not words:
        return None
    return replace(piece, end=seconds, words=words)


def report_overlaps(name: str, pieces: Iterable[Piece], report: Report) -> None:
    """Names the pieces of one speaker that begin before an earlier one has ended.

    Example
    -------
    >>> report = Report("AMI")
    >>> report_overlaps("M.A", [Piece(0.0, 2.0, ()), Piece(1.0, 3.0, ())], report)
    >>> report.items("segment-overlap")
    {'M.A 1.000': 'the one before ends at 2.000 s'}
    """
    running = 0.0
    for piece in sorted(pieces, key=lambda piece: (piece.start, piece.end)):
        if piece.start < running:
            item = f"{name} {piece.start:.3f}"
            report.add("segment-overlap", item, f"the one before ends at {running:.3f} s")
        running = max(running, piece.end)


def _split(tokens: Sequence[NxtToken], mark: str) -> list[list[NxtToken]]:
    """Splits at a punctuation mark, which is dropped."""
    parts: list[list[NxtToken]] = [[]]
    for token in tokens:
        if token.kind == "punctuation" and token.text == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _split_long(tokens: list[NxtToken]) -> list[list[NxtToken]]:
    """Splits at the comma nearest to the middle until no part is too long, or no comma is left."""
    words = [token.kind == "word" for token in tokens]
    total = sum(words)
    if total <= MAX_WORDS:
        return [tokens]
    before = 0
    best: tuple[float, int] | None = None
    for place, token in enumerate(tokens):
        before += words[place]
        is_comma = token.kind == "punctuation" and token.text == ","
        # A comma at either end would split nothing off.
        if is_comma and 0 < before < total:
            distance = abs(before - total / 2)
            if best is None or distance < best[0]:
                best = (distance, place)
    if best is None:
        return [tokens]
    place = best[1]
    return [*_split_long(tokens[:place]), *_split_long(tokens[place + 1 :])]


def plain(text: str) -> str:
    """Upper case with letters, digits and apostrophes; acronyms are one word."""
    return _letters(text.replace(_LETTER, ""))


def kaldi(text: str) -> str:
    """Normalizes a transcript as Kaldi does, without the bug that deletes words beside commas."""
    pieces = [_letters(piece) for piece in text.split(_LETTER)]
    # Each underscore becomes a full stop after the letter before it.
    text = ". ".join(pieces)
    text = " ".join(re.sub(r"(?<!\S)\. ", " ", text).split())
    return _HYPHENATED.sub(lambda match: "-".join(filter(None, match.groups())), text)


def _letters(text: str) -> str:
    """Upper case without punctuation; accents are taken off."""
    letters = text.upper()
    if not letters.isascii():
        letters = unicodedata.normalize("NFKD", letters)
        letters = "".join(c for c in letters if not unicodedata.combining(c))
    return " ".join(_OTHER.sub(" ", letters).split())


#: Name -> text normalization.
NORMALIZATIONS: dict[str, Callable[[str], str]] = {"plain": plain, "kaldi": kaldi}
