"""Transcripts: what was said or heard in an utterance, by whom, and when."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gatedrnn.data.hypotheses import Word


@dataclass(frozen=True)
class Transcript:
    """What was said, or heard, in an utterance.

    Arguments
    ---------
    id : str
        Unique within its file.
    words : tuple of str
        The words.
    speaker : str
        Who speaks; empty if unknown.
    recording : str
        In what recording; empty if unknown.
    channel : str
        Of the recording.
    start, end : float or None
        Seconds from the recording's beginning; None if unknown.
    times : tuple of Word
        The words with their times, in seconds from the beginning of the UTTERANCE; empty if
        unknown.
    ignored : bool
        Not to be scored, though its time was transcribed.

    Example
    -------
    >>> Transcript("u1", ("YES",), speaker="ann").text
    'YES'
    """

    id: str
    words: tuple[str, ...]
    speaker: str = ""
    recording: str = ""
    channel: str = "1"
    start: float | None = None
    end: float | None = None
    times: tuple[Word, ...] = ()
    ignored: bool = False

    @property
    def text(self) -> str:
        """The words in one string."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Transcripts:
    """What a file holds.

    Arguments
    ---------
    path : str
        The file.
    format : str
        Its format, a key of ``gatedrnn.scoring.formats.FORMATS``.
    items : tuple of Transcript
        In the order of the file; of a ctm file one per recording and channel.

    Raises
    ------
    ValueError
        If it holds nothing, or an utterance twice.

    Example
    -------
    >>> Transcripts("a.trn", "trn", (Transcript("u1", ("YES",)),)).by_id()["u1"].text
    'YES'
    """

    path: str
    format: str
    items: tuple[Transcript, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"{self.path}: no utterance in it (read as {self.format})")
        if len(self.by_id()) < len(self.items):
            seen: set[str] = set()
            twice = next(t.id for t in self.items if t.id in seen or seen.add(t.id))
            raise ValueError(f"{self.path}: utterance {twice} appears twice")

    def by_id(self) -> dict[str, Transcript]:
        """Name of the utterance -> transcript."""
        return {item.id: item for item in self.items}


def words_of(text: str) -> tuple[str, ...]:
    """Splits a text at white space; letters with accents become one character each.

    Arguments
    ---------
    text : str
        The text.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> words_of("  UN  CAFE\\u0301 ") == ("UN", "CAF\\u00c9")
    True
    """
    return tuple(unicodedata.normalize("NFC", text).split())


def speaker_prefix(name: str) -> str:
    """The speaker that an utterance's name begins with, as sclite takes it.

    Arguments
    ---------
    name : str
        Name of the utterance.

    Returns
    -------
    str
        What stands before the first hyphen or, if there is none, the first underscore; empty if
        there is none either.

    Example
    -------
    >>> speaker_prefix("ann_1-utt2"), speaker_prefix("ann_utt2"), speaker_prefix("utt2")
    ('ann_1', 'ann', '')
    """
    for separator in "-_":
        if separator in name:
            return name.split(separator)[0]
    return ""


def read_map(path: str | Path) -> dict[str, str]:
    """Reads a Kaldi file of two columns or more, such as ``utt2spk`` or ``segments``.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    dict
        First column -> second one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line has one column only.

    Example
    -------
    >>> path = getfixture("tmp_path") / "utt2spk"
    >>> _ = path.write_text("u1 ann\\nu2 bob\\n")
    >>> read_map(path)
    {'u1': 'ann', 'u2': 'bob'}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.split()
        if len(fields) == 1:
            raise ValueError(f"{path}, line {number}: one column; an utterance and its speaker "
                             "(or recording) are needed")  # fmt: skip
        if fields:
            found[fields[0]] = fields[1]
    return found


def described(
    transcripts: Transcripts,
    speakers: Mapping[str, str] | None = None,
    recordings: Mapping[str, str] | None = None,
) -> Transcripts:
    """The same transcripts with other speakers or recordings.

    Arguments
    ---------
    transcripts : Transcripts
        As read.
    speakers : Mapping or None
        Utterance -> speaker; None to leave them.
    recordings : Mapping or None
        Utterance -> recording; None to leave them.

    Returns
    -------
    Transcripts

    Raises
    ------
    ValueError
        If an utterance is not in a mapping.

    Example
    -------
    >>> read = Transcripts("a.trn", "trn", (Transcript("u1", ("YES",)),))
    >>> described(read, {"u1": "ann"}).items[0].speaker
    'ann'
    """
    items: Iterable[Transcript] = transcripts.items
    for field, mapping in (("speaker", speakers), ("recording", recordings)):
        if mapping is None:
            continue
        lost = [item.id for item in items if item.id not in mapping]
        if lost:
            raise ValueError(
                f"no {field} is given for {len(lost)} of {len(transcripts.items)} utterances of "
                f"{transcripts.path}, such as {lost[0]}"
            )
        items = [replace(item, **{field: mapping[item.id]}) for item in items]
    return replace(transcripts, items=tuple(items))
