"""Transcripts of utterances: words, speaker, recording and times."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gatedrnn.tokens.hypotheses import Word


@dataclass(frozen=True)
class Transcript:
    """The reference or the hypothesis of an utterance.

    Arguments
    ---------
    id : str
        Unique within its file.
    words : tuple of str
        The words.
    speaker, recording : str
        Empty if unknown.
    channel : str
        Channel of the recording, as stm and ctm files name it; default "1".
    start, end : float or None
        Seconds from the start of the recording; None if unknown.
    times : tuple of Word
        The words with their times, in seconds from the start of the UTTERANCE; empty if unknown.
    ignored : bool
        True for a segment that is marked as not to be scored.

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
    """The transcripts of a file.

    Arguments
    ---------
    path : str
        The file, for messages.
    format : str
        A key of ``gatedrnn.scoring.formats.FORMATS``.
    items : tuple of Transcript
        In the order of the file; of a ctm file one per recording and channel.

    Raises
    ------
    ValueError
        If there is no item, or two have the same id.

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
        """Utterance id -> transcript."""
        return {item.id: item for item in self.items}


def words_of(text: str) -> tuple[str, ...]:
    """Splits a text at white space, in Unicode normalization form C.

    Example
    -------
    >>> words_of("  UN  CAFE\\u0301 ") == ("UN", "CAF\\u00c9")
    True
    """
    return tuple(unicodedata.normalize("NFC", text).split())


def lower(words: Iterable[str]) -> tuple[str, ...]:
    """The words in lower case."""
    return tuple(word.lower() for word in words)


def speaker_prefix(name: str) -> str:
    """The speaker at the start of an utterance id, as sclite takes it; empty if there is none.

    It ends at the first hyphen or, if there is none, at the first underscore.

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
    """First column -> second column of a Kaldi file such as ``utt2spk`` or ``segments``."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    mapping = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.split()
        if len(fields) == 1:
            raise ValueError(
                f"{path}, line {number}: one column; an utterance and its speaker (or recording) "
                "are needed"
            )
        if fields:
            mapping[fields[0]] = fields[1]
    return mapping


def described(
    transcripts: Transcripts,
    speakers: Mapping[str, str] | None = None,
    recordings: Mapping[str, str] | None = None,
) -> Transcripts:
    """The transcripts with speakers and recordings from mappings of utterance ids; None: as is."""
    items: Iterable[Transcript] = transcripts.items
    for field, mapping in (("speaker", speakers), ("recording", recordings)):
        if mapping is None:
            continue
        unknown = [item.id for item in items if item.id not in mapping]
        if unknown:
            raise ValueError(
                f"no {field} is given for {len(unknown)} of {len(transcripts.items)} utterances of "
                f"{transcripts.path}, such as {unknown[0]}"
            )
        items = [replace(item, **{field: mapping[item.id]}) for item in items]
    return replace(transcripts, items=tuple(items))
