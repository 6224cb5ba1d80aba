"""AMI's annotations in NXT's format, and their way to utterances: segmentation, normalization.

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
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple

from gatedrnn.data.files import list_files
from gatedrnn.data.report import Report

_ID = "{http://nite.sourceforge.net/}id"
_CHILD = "{http://nite.sourceforge.net/}child"
_LINK = re.compile(r"^(?P<file>[^#]+)#id\((?P<first>[^)]+)\)(?:\.\.id\((?P<last>[^)]+)\))?$")
_FOLDERS = ("words", "segments", "corpusResources")
_MEETINGS = "corpusResources/meetings.xml"
#: Longest utterance of ``words30``, in words, where there is a comma to split at.
MAX_WORDS = 30
_OTHER = re.compile(r"[^A-Z0-9' ]+")
#: Stands where a letter of an acronym ends until all other punctuation is gone.
_LETTER = "_"
#: The two phrases that Kaldi keeps hyphens in, whether the transcriber wrote one or not.
_HYPHENATED = re.compile(r"(?<!\S)(MM) (HMM)(?!\S)|(?<!\S)(UH) (HUH)(?!\S)")


class Annotations:
    """The files of the AMI manual annotations.

    ``path`` is the folder that has ``words``, ``segments`` and ``corpusResources``, at any depth,
    or the zip file ``ami_public_manual_1.6.2.zip``, which need not be unpacked.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            self._names = {
                str(PurePosixPath(file.relative_to(self.path))): file
                for file in list_files(self.path)
                if file.suffix == ".xml" and file.parent.name in _FOLDERS
            }
        elif self.path.is_file():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except zipfile.BadZipFile as error:
                raise ValueError(
                    f"{self.path}: {error}; must be a folder or the zip file of the AMI manual "
                    "annotations (another archive must be unpacked first)"
                ) from error
            self._names = dict.fromkeys(self._zip.namelist(), self.path)
        else:
            raise FileNotFoundError(f"{self.path}: no such folder or zip file of annotations")
        roots = sorted(
            name[: -len(_MEETINGS)]
            for name in self._names
            if name == _MEETINGS or name.endswith(f"/{_MEETINGS}")
        )
        if not roots:
            self.close()
            raise FileNotFoundError(
                f"{self.path}: has no {_MEETINGS}; must be the AMI manual annotations, with the "
                "folders words, segments and corpusResources"
            )
        if len(roots) > 1:
            self.close()
            raise ValueError(
                f"{self.path}: has the annotations {len(roots)} times, in "
                f"{', '.join(root or '.' for root in roots)}; give the folder of one of them"
            )
        self._root = roots[0]

    def __enter__(self) -> Annotations:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the zip file."""
        if self._zip is not None:
            self._zip.close()

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder."""
        prefix = f"{self._root}{folder}/"
        return sorted(
            name[len(prefix) :]
            for name in self._names
            if name.startswith(prefix) and "/" not in name[len(prefix) :] and name != prefix
        )

    def read(self, folder: str, name: str) -> bytes:
        """Reads a file of a folder."""
        full = f"{self._root}{folder}/{name}"
        if self._zip is not None:
            return self._zip.read(full)
        return self._names[full].read_bytes()

    def inputs(self) -> list[Path]:
        """All files on the disk from which annotations are read."""
        return sorted(set(self._names.values()))


# A tuple, since there are 1.2 million: a frozen dataclass takes several times as long to make.
class NxtToken(NamedTuple):
    """An element of a file of words; there is one for each, since links count them all.

    ``kind`` is ``"word"``, ``"punctuation"``, or the name of the XML element (``"vocalsound"``,
    ...). ``start`` and ``end`` are in seconds, repaired where they were missing or reversed;
    ``timed`` tells whether the file has both.
    """

    id: str
    kind: str
    text: str
    start: float
    end: float
    timed: bool


@dataclass(frozen=True, slots=True)
class NxtSegment:
    """A segment of the transcriber: times in seconds, and the tokens that it refers to."""

    id: str
    start: float
    end: float
    tokens: tuple[NxtToken, ...]

    @property
    def words(self) -> tuple[NxtToken, ...]:
        """The words, without punctuation, laughter and the like."""
        return tuple(token for token in self.tokens if token.kind == "word")


@dataclass(frozen=True)
class Participant:
    """Somebody in a meeting.

    Example
    -------
    >>> Participant("FEE041", 0).name
    'FEE041'
    """

    name: str
    channel: int


def read_meetings(data: bytes, name: str) -> dict[tuple[str, str], Participant]:
    """Reads the list of meetings.

    Returns: (meeting, agent) -> participant.

    Example
    -------
    >>> xml = b'''<root><meeting observation="ES2002a">
    ... <speaker nxt_agent="A" channel="1" global_name="MEE006"/></meeting></root>'''
    >>> read_meetings(xml, "meetings.xml")[("ES2002a", "A")]
    Participant(name='MEE006', channel=1)
    """
    try:
        root = ET.fromstring(data)
        people = {
            (meeting.attrib["observation"], speaker.attrib["nxt_agent"]): Participant(
                speaker.attrib["global_name"], int(speaker.attrib["channel"])
            )
            for meeting in root.iter("meeting")
            for speaker in meeting.iter("speaker")
        }
    except (ET.ParseError, KeyError, ValueError) as error:
        raise ValueError(
            f"{name}: {error!r}; must be the complete meetings.xml of the AMI annotations"
        ) from error
    if not people:
        raise ValueError(f"{name}: lists no <meeting> with a <speaker>")
    return people


def read_words(data: bytes, name: str, report: Report) -> list[NxtToken] | None:
    """Reads a file of words.

    Example
    -------
    >>> xml = b'''<nite:root xmlns:nite="http://nite.sourceforge.net/">
    ... <w nite:id="w0" starttime="1.0" endtime="1.5">Hi</w>
    ... <w nite:id="w1">there</w></nite:root>'''
    >>> report = Report("AMI")
    >>> [(word.text, word.start, word.end) for word in read_words(xml, "M.A.words.xml", report)]
    [('Hi', 1.0, 1.5), ('there', 1.5, 1.5)]
    >>> report.items("word-untimed")
    {'w1': "'there' in M.A.words.xml"}
    """
    root = _parse(data, name, report)
    if root is None:
        return None
    tokens: list[NxtToken] = []
    last = 0.0
    for element in root:
        identifier = element.get(_ID, "")
        text = (element.text or "").strip()
        kind = element.tag
        if kind == "w":
            kind = "punctuation" if element.get("punc") == "true" else "word"
        start, end = _seconds(element, "starttime"), _seconds(element, "endtime")
        timed = start is not None and end is not None
        if not timed:
            start = end = next((t for t in (start, end) if t is not None), last)
            if element.tag == "w":
                report.add("word-untimed", identifier, f"{text!r} in {name}")
        elif end < start:
            if element.tag == "w":
                report.add("word-negative", identifier, f"{text!r} from {start} to {end} s")
            end = start
        if kind == "transformerror":
            report.add("word-transform-error", identifier, f"{element.get('w', '')!r}")
        tokens.append(NxtToken(identifier, kind, text, start, end, timed))
        last = end
    return tokens


def read_segments(
    data: bytes, name: str, words_name: str, tokens: list[NxtToken], report: Report
) -> list[NxtSegment] | None:
    """Reads a file of segments, and finds the words that they refer to.

    The references decide which words belong to a segment, not the times: on the real annotations
    the references give each word to exactly one segment (8,665 dev and 7,490 eval segments with
    words), while some words lie outside of the times of their segment.
    """
    root = _parse(data, name, report)
    if root is None:
        return None
    places = {token.id: place for place, token in enumerate(tokens)}
    linked: set[int] = set()
    segments = []
    for element in root.iter("segment"):
        identifier = f"{name}#{element.get(_ID, '')}"
        span: list[int] | None = []
        for child in element.iter(_CHILD):
            linked_places = _places(child.get("href", ""), words_name, places)
            if linked_places is None:
                report.add("link-broken", identifier, child.get("href", ""))
                span = None
                break
            span += linked_places
        if span is None:
            continue
        if not span:
            report.add("link-missing", identifier)
            continue
        linked.update(span)
        inside = tuple(tokens[place] for place in span)
        segments.append(_segment(element, identifier, inside, report))
    for place, token in enumerate(tokens):
        if token.kind == "word" and place not in linked:
            report.add("word-unlinked", token.id, repr(token.text))
    return segments


def _segment(
    element: ET.Element, identifier: str, tokens: tuple[NxtToken, ...], report: Report
) -> NxtSegment:
    """Makes a segment, with the times of its words where it has none of its own."""
    start = _seconds(element, "transcriber_start")
    end = _seconds(element, "transcriber_end")
    if start is None or end is None or end <= start:
        if start is None or end is None:
            report.add("segment-untimed", identifier)
        else:
            report.add("segment-negative", identifier, f"from {start} to {end} s")
        timed = [token for token in tokens if token.timed] or tokens
        start = min(token.start for token in timed)
        end = max(token.end for token in timed)
    return NxtSegment(identifier, start, end, tokens)


def _places(href: str, words_name: str, places: Mapping[str, int]) -> list[int] | None:
    """Places of the words of a reference: one word, or all from one to another."""
    match = _LINK.match(href)
    if match is None or match["file"] != words_name:
        return None
    first, last = match["first"], match["last"] or match["first"]
    if first not in places or last not in places or places[last] < places[first]:
        return None
    return list(range(places[first], places[last] + 1))


def _parse(data: bytes, name: str, report: Report) -> ET.Element | None:
    """Parses XML from bytes: the file itself says that it is ISO-8859-1."""
    try:
        return ET.fromstring(data)
    except ET.ParseError as error:
        report.add("xml-broken", name, str(error))
        return None


def _seconds(element: ET.Element, name: str) -> float | None:
    """A time, or None where there is none that can be read."""
    try:
        value = float(element.get(name, ""))
    except ValueError:
        return None
    # NXT writes NaN where forced alignment failed.
    return value if 0 <= value < float("inf") else None


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
