"""From segments of the transcribers to utterances: kept whole, or split at punctuation.

``unsplit``
    The segments and times of the transcribers; those without words are left out.
``words30``
    Each segment is split at full stops; what then has more than 30 words is split at the comma
    nearest to its middle, again and again. Times are those of the words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from gatedrnn.data.report import Report
from gatedrnn.tasks.asr.corpora.ami.nxt import Segment, Token

#: Longest utterance of ``words30``, in words, where there is a comma to split at.
MAX_WORDS = 30


@dataclass(frozen=True, slots=True)
class Piece:
    """An utterance to be, still in seconds and words.

    Arguments
    ---------
    start, end : float
        Seconds.
    words : tuple of Token
        What is said.

    Example
    -------
    >>> Piece(0.5, 2.0, (Token("w0", "word", "Hi", 1.0, 1.5, True),)).text
    'Hi'
    """

    start: float
    end: float
    words: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The words as they stand in the annotations."""
        return " ".join(word.text for word in self.words)


def unsplit(segment: Segment) -> list[Piece]:
    """Keeps a segment whole.

    Arguments
    ---------
    segment : Segment
        As the transcriber made it.

    Returns
    -------
    list of Piece
        One, or none if it has no words.

    Example
    -------
    >>> laugh = Token("w0", "vocalsound", "", 1.0, 1.5, True)
    >>> unsplit(Segment("s", 0.0, 2.0, (laugh,)))
    []
    """
    words = segment.words
    return [Piece(segment.start, segment.end, words)] if words else []


def words30(segment: Segment) -> list[Piece]:
    """Splits a segment at full stops, and what is still long at commas.

    Arguments
    ---------
    segment : Segment
        As the transcriber made it.

    Returns
    -------
    list of Piece

    Example
    -------
    >>> def token(i, text):
    ...     kind = "punctuation" if text in ".," else "word"
    ...     return Token(f"w{i}", kind, text, float(i), i + 0.5, True)
    >>> tokens = tuple(token(i, text) for i, text in enumerate("Okay . So , yes .".split()))
    >>> [(piece.text, piece.start, piece.end) for piece in words30(Segment("s", 0, 9, tokens))]
    [('Okay', 0.0, 0.5), ('So yes', 2.0, 4.5)]
    """
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
SEGMENTATIONS: dict[str, Callable[[Segment], list[Piece]]] = {
    "unsplit": unsplit,
    "words30": words30,
}


def clip(piece: Piece, seconds: float) -> Piece | None:
    """Cuts a piece where its audio ends, and drops the words of which that leaves less than half.

    Arguments
    ---------
    piece : Piece
        A piece.
    seconds : float
        Duration of the audio.

    Returns
    -------
    Piece, or None
        None if no word is left.

    Example
    -------
    >>> words = (Token("w0", "word", "Hi", 1.0, 1.5, True),
    ...          Token("w1", "word", "there", 5.0, 5.5, True))
    >>> clip(Piece(0.5, 6.0, words), 3.0).text
    'Hi'
    """
    if piece.end <= seconds:
        return piece
    words = tuple(word for word in piece.words if (word.start + word.end) / 2 < seconds)
    if piece.start >= seconds or not words:
        return None
    return replace(piece, end=seconds, words=words)


def report_overlaps(name: str, pieces: Iterable[Piece], report: Report) -> None:
    """Names the pieces of one speaker that begin before an earlier one has ended.

    Arguments
    ---------
    name : str
        The speaker, for the report.
    pieces : iterable of Piece
        All of the speaker's, in any order.
    report : Report
        Told about them.

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


def _split(tokens: Sequence[Token], mark: str) -> list[list[Token]]:
    """Splits at a punctuation mark, which is dropped."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "punctuation" and token.text == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _split_long(tokens: list[Token]) -> list[list[Token]]:
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
