"""Transcripts, and their output files: a small class per format, and the cutting into subtitles."""

from __future__ import annotations

import json
import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from gatedrnn.data.files import write_atomically
from gatedrnn.tokens.hypotheses import Word

#: A line with its sort key.
Row = tuple[tuple[Any, ...], str]


def check_name(name: str) -> str:
    """Returns the name of a transcript, or raises a ValueError if it is no file name in a folder.

    It is relative, without suffix, with ``/`` between folders.
    """
    if not name or any(ord(c) < 32 for c in name):
        raise ValueError(f"the name {name!r} is empty or has control characters")
    parts = name.replace("\\", "/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or parts[0].endswith(":"):
        raise ValueError(
            f"the name {name!r} must be relative, and without '.', '..' and empty parts"
        )
    return name


@dataclass(frozen=True)
class TranscriptSegment:
    """A span of a recording that was recognized at once.

    Arguments
    ---------
    start, end : float
        Seconds from the start of the recording.
    text : str
        The best hypothesis; may be empty.
    words : tuple of Word
        The words with their times; empty if those are not known.
    confidence : float or None
        Mean confidence of the words, from 0 to 1.
    speaker : str or None
        Speaker, if known.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    speaker: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise ValueError(
                f"a segment from {self.start} to {self.end} s: must be 0 <= start <= end"
            )

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start

    def shifted(self, seconds: float) -> TranscriptSegment:
        """The same segment, later by so many seconds."""
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=tuple(
                replace(word, start=word.start + seconds, end=word.end + seconds)
                for word in self.words
            ),
        )


@dataclass(frozen=True)
class Transcript:
    """Transcript of a recording, or of a part of one.

    Arguments
    ---------
    name : str
        Relative name without suffix, with ``/`` between folders; unique within a run.
    source : str
        The audio file.
    duration : float
        Seconds that were transcribed.
    segments : tuple of TranscriptSegment
        Sorted by time.
    reference : str or None
        Reference transcript, if known.
    recording : str or None
        Name of the recording from whose start times count; None if that is ``name``.
    channel : int or None
        Channel of the file, from 0; None for the mean of all.

    Raises
    ------
    ValueError
        If the name is not that of a file below a folder.

    Example
    -------
    >>> segments = [(0.0, 1.0, "GO"), (4.0, 5.0, ""), (8.0, 9.0, "ON")]
    >>> segments = tuple(TranscriptSegment(*segment) for segment in segments)
    >>> transcript = Transcript("talk", "talk.wav", 10.0, segments)
    >>> transcript.text
    'GO ON'
    >>> transcript.shifted(60.0).segments[0].start
    60.0
    """

    name: str
    source: str
    duration: float
    segments: tuple[TranscriptSegment, ...] = ()
    reference: str | None = None
    recording: str | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def text(self) -> str:
        """The text of all segments."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    def shifted(self, seconds: float) -> Transcript:
        """The same transcript, later by so many seconds."""
        return replace(self, segments=tuple(s.shifted(seconds) for s in self.segments))

    def as_dict(self) -> dict[str, Any]:
        """The content of a JSON file; times in seconds, rounded to milliseconds."""
        segments = [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "text": s.text,
                "confidence": None if s.confidence is None else round(s.confidence, 4),
                "speaker": s.speaker,
                "words": [_rounded(word) for word in s.words],
            }
            for s in self.segments
        ]
        return {
            "id": self.name,
            "text": self.text,
            "reference": self.reference,
            "source": self.source,
            "recording": self.recording or self.name,
            "channel": self.channel,
            "duration": round(self.duration, 3),
            "words": [word for segment in segments for word in segment["words"]],
            "segments": segments,
        }


def _rounded(word: Word) -> dict[str, Any]:
    """A word as in n-best files."""
    data = asdict(word)
    return data | {
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }


@dataclass(frozen=True)
class CueOptions:
    """Format of subtitles.

    Arguments
    ---------
    max_characters : int
        Maximum length of a line; a longer word has a line of its own.
    max_lines : int
        Maximum number of lines.
    max_seconds : float
        Maximum duration; a longer word is shown for its duration.
    min_seconds : float
        Minimum duration, if the next subtitle leaves time for it.

    Example
    -------
    >>> CueOptions(max_lines=1).max_characters
    42
    """

    max_characters: int = 42
    max_lines: int = 2
    max_seconds: float = 7.0
    min_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.max_characters < 1 or self.max_lines < 1:
            raise ValueError("subtitles need at least one line of at least one character")
        if not 0 <= self.min_seconds <= self.max_seconds or self.max_seconds == 0:
            raise ValueError(
                f"subtitles of {self.min_seconds} to {self.max_seconds} s: must be 0 <= min <= max"
            )


class Writer(ABC):
    """Base class of formats; ``options`` are for subtitles."""

    #: Name of the format, and suffix of its files.
    name: ClassVar[str]
    #: Whether one file holds the transcripts of all recordings.
    combined: ClassVar[bool] = False
    #: Whether it needs times of words.
    needs_times: ClassVar[bool] = False
    #: First lines of a file.
    head: ClassVar[str] = ""

    def __init__(self, options: CueOptions | None = None) -> None:
        self.options = options or CueOptions()

    @abstractmethod
    def rows(self, transcript: Transcript) -> list[Row]:
        """Lines of a transcript, each with its sort key."""

    def text(self, rows: Iterable[Row]) -> str:
        """Content of a file with the rows of one transcript, or of all if ``combined``."""
        return self.head + "".join(line for _, line in sorted(rows, key=lambda row: row[0]))

    def write(self, transcript: Transcript, folder: str | Path) -> Path:
        """Writes a file of one recording, in the subfolders that the transcript's name has."""
        path = Path(folder, f"{transcript.name}.{self.name}")
        write_atomically(path, self.text(self.rows(transcript)))
        return path


class PlainText(Writer):
    """A line per segment."""

    name = "txt"

    def rows(self, transcript: Transcript) -> list[Row]:
        return [((s.start,), f"{_on_one_line(s.text)}\n") for s in transcript.segments if s.text]


class Json(Writer):
    """All data of a transcript."""

    name = "json"
    indent: ClassVar[int | None] = 1

    def rows(self, transcript: Transcript) -> list[Row]:
        data = transcript.as_dict()
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=self.indent)
        return [((transcript.name,), f"{text}\n")]


class JsonLines(Json):
    """All data, a line per transcript: a format of ``gatedrnn score``."""

    name = "jsonl"
    combined = True
    indent = None


class Tsv(Writer):
    """A table of segments, with times in milliseconds."""

    name = "tsv"
    head = "start\tend\ttext\n"

    def rows(self, transcript: Transcript) -> list[Row]:
        return [
            (
                (s.start,),
                f"{round(1000 * s.start)}\t{round(1000 * s.end)}\t{_on_one_line(s.text)}\n",
            )
            for s in transcript.segments
            if s.text
        ]


class Ctm(Writer):
    """NIST's time marked words: ``file channel start duration word confidence``."""

    name = "ctm"
    combined = True
    needs_times = True

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`; a ValueError if there are words without times."""
        if any(s.text and not s.words for s in transcript.segments):
            raise ValueError(
                f"{transcript.name}: ctm needs the times of words; there are none, as the model "
                "was trained without CTC, which aligns them"
            )
        recording = escape(transcript.recording or transcript.name)
        channel = "1" if transcript.channel is None else str(transcript.channel + 1)
        return [
            (
                (recording, channel, word.start),
                f"{recording} {channel} {word.start:.3f} {max(0.0, word.end - word.start):.3f} "
                f"{escape(word.word)} {word.confidence:.4f}\n",
            )
            for word in transcript.words
            if word.word
        ]


class Trn(Writer):
    """NIST's transcripts: ``words (name)``."""

    name = "trn"
    combined = True

    def rows(self, transcript: Transcript) -> list[Row]:
        words = [*map(escape, transcript.text.split()), f"({escape(transcript.name)})"]
        return [((transcript.name,), " ".join(words) + "\n")]


class SubRip(Writer):
    """Subtitles for most players."""

    name = "srt"

    def rows(self, transcript: Transcript) -> list[Row]:
        rows = []
        for number, cue in enumerate(cues(transcript, self.options), start=1):
            # An arrow within the text would be parsed as times.
            text = "\n".join(cue.lines).replace("-->", "->")
            times = f"{timestamp(cue.start, ',')} --> {timestamp(cue.end, ',')}"
            rows.append(((number,), f"{number}\n{times}\n{text}\n\n"))
        return rows


class WebVtt(Writer):
    """Subtitles for browsers."""

    name = "vtt"
    head = "WEBVTT\n\n"

    def rows(self, transcript: Transcript) -> list[Row]:
        rows = []
        for number, cue in enumerate(cues(transcript, self.options)):
            text = _for_markup("\n".join(cue.lines))
            if cue.speaker:
                text = f"<v {_for_markup(_on_one_line(cue.speaker))}>{text}</v>"
            times = f"{timestamp(cue.start)} --> {timestamp(cue.end)}"
            rows.append(((number,), f"{times}\n{text}\n\n"))
        return rows


#: Name -> format.
WRITERS: dict[str, type[Writer]] = {
    writer.name: writer for writer in (PlainText, Json, JsonLines, Tsv, Ctm, Trn, SubRip, WebVtt)
}


class TranscriptFiles:
    """Writes transcripts into a folder, in any number of formats.

    Files of single recordings are written at once. Those of ``combined`` formats are written by
    :meth:`close`, also after an error, with the transcripts so far.

    Arguments
    ---------
    folder : str or Path
        Folder of the files.
    formats : sequence of str
        Keys of :data:`WRITERS`.
    options : CueOptions or None
        Format of subtitles.
    stem : str
        Name, without suffix, of files of all recordings.
    apart : bool
        Whether each recording has its own file also in ``combined`` formats.

    Raises
    ------
    ValueError
        If a format is unknown.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with TranscriptFiles(folder, ["txt", "trn"]) as output:
    ...     for name in ("talk", "day1/talk"):
    ...         segments = (TranscriptSegment(0.0, 1.0, f"THIS IS {name}"),)
    ...         output.add(Transcript(name, f"{name}.wav", 1.0, segments))
    >>> sorted(str(path.relative_to(folder)) for path in output.written)
    ['day1/talk.txt', 'talk.txt', 'transcripts.trn']
    >>> print((folder / "transcripts.trn").read_text().strip())
    THIS IS day1/talk (day1/talk)
    THIS IS talk (talk)
    """

    def __init__(
        self,
        folder: str | Path,
        formats: Sequence[str],
        options: CueOptions | None = None,
        stem: str = "transcripts",
        apart: bool = False,
    ) -> None:
        unknown = [name for name in formats if name not in WRITERS]
        if unknown:
            raise ValueError(f"unknown format {unknown[0]!r}: must be one of {', '.join(WRITERS)}")
        self.folder = Path(folder)
        self.stem = stem
        #: The files that were written.
        self.written: list[Path] = []
        writers = [WRITERS[name](options) for name in dict.fromkeys(formats)]
        self._alone = [writer for writer in writers if apart or not writer.combined]
        self._combined: dict[Writer, list[Row]] = {
            writer: [] for writer in writers if not (apart or not writer.combined)
        }
        self._sources: dict[str, str] = {}

    def add(self, transcript: Transcript) -> None:
        """Takes a transcript, and writes its own files.

        Raises a ValueError if there is already one of that name.
        """
        # Different names may be the same in formats without blanks in names.
        name = escape(transcript.name)
        if name in self._sources:
            raise ValueError(
                f"{transcript.source}: its transcript would be called {transcript.name}, as is "
                f"that of {self._sources[name]}; neither may overwrite the other"
            )
        self._sources[name] = transcript.source
        for writer in self._alone:
            self.written.append(writer.write(transcript, self.folder))
        for writer, rows in self._combined.items():
            rows += writer.rows(transcript)

    def close(self) -> None:
        """Writes the files that hold all recordings."""
        for writer, rows in self._combined.items():
            path = self.folder / f"{self.stem}.{writer.name}"
            write_atomically(path, writer.text(rows))
            self.written.append(path)

    def __enter__(self) -> TranscriptFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The files of an earlier run are not replaced by empty ones.
        if kind is None or self._sources:
            self.close()


@dataclass(frozen=True)
class Cue:
    """A subtitle, shown from ``start`` to ``end`` in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(transcript: Transcript, options: CueOptions | None = None) -> list[Cue]:
    """Cuts a transcript into subtitles, sorted by time, preferably at pauses."""
    options = options or CueOptions()
    raw = []
    for segment in transcript.segments:
        for words in _pieces(_timed(segment), options):
            start, end = words[0].start, max(word.end for word in words)
            raw.append(Cue(start, end, _lines(words, options), segment.speaker))
    raw.sort(key=lambda cue: (cue.start, cue.end))
    # After a part of a recording there may be more.
    limits = [cue.start for cue in raw[1:]]
    limits.append(transcript.duration if transcript.recording is None else math.inf)
    return [
        _lengthened(cue, options.min_seconds, limit)
        for cue, limit in zip(raw, limits, strict=False)
    ]


def _timed(segment: TranscriptSegment) -> list[Word]:
    """Words with times; unknown times are interpolated by the number of letters."""
    if segment.words:
        return [word for word in segment.words if word.word]
    words = segment.text.split()
    letters = sum(map(len, words))
    timed, count = [], 0
    for word in words:
        start, end = (
            segment.start + segment.seconds * position / letters
            for position in (count, count + len(word))
        )
        timed.append(Word(word, start, end, 1.0))
        count += len(word)
    return timed


def _pieces(words: Sequence[Word], options: CueOptions) -> list[Sequence[Word]]:
    """Splits words in two until each piece fits."""
    if not words:
        return []
    if len(words) == 1 or _fits(words, options):
        return [words]
    letters = [0, *accumulate(len(word.word) for word in words)]

    def cost(place: int) -> float:
        # Uneven halves make subtitles of a single word; a second of silence outweighs that.
        uneven = abs(2 * letters[place] / letters[-1] - 1)
        return uneven - min(1.0, words[place].start - words[place - 1].end)

    best = min(range(1, len(words)), key=cost)
    return _pieces(words[:best], options) + _pieces(words[best:], options)


def _fits(words: Sequence[Word], options: CueOptions) -> bool:
    return (
        words[-1].end - words[0].start <= options.max_seconds
        and len(_wrapped(words, options.max_characters)) <= options.max_lines
    )


def _wrapped(words: Sequence[Word], width: int) -> list[str]:
    text = " ".join(word.word for word in words)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _lines(words: Sequence[Word], options: CueOptions) -> tuple[str, ...]:
    """Lines of about the same length: no more than needed, each no longer than needed."""
    lines = _wrapped(words, options.max_characters)
    for width in range(1, options.max_characters):
        narrower = _wrapped(words, width)
        if len(narrower) == len(lines):
            return tuple(narrower)
    return tuple(lines)


def _lengthened(cue: Cue, seconds: float, limit: float) -> Cue:
    """Shows a cue for some seconds, but not beyond a limit."""
    end = max(cue.end, min(cue.start + seconds, limit))
    return Cue(cue.start, end, cue.lines, cue.speaker)


def escape(text: str) -> str:
    """A name or a word in NIST's formats, with ``%`` and hexadecimal digits for what they reserve.

    They reserve blanks, brackets, slashes on their own and semicolons at the start.
    """
    escaped = "".join(_percent(c) if c.isspace() or c in "(){}" else c for c in text)
    if escaped in ("/", "@") or escaped.startswith(";;"):
        return _percent(escaped[0]) + escaped[1:]
    return escaped


def timestamp(seconds: float, point: str = ".") -> str:
    """A time in the format of subtitles; ``point`` separates the milliseconds."""
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _for_markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
