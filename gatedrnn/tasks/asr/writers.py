"""Files of transcripts, one small class per format."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from gatedrnn.data.files import write_atomically
from gatedrnn.tasks.asr.subtitles import CueOptions, cues
from gatedrnn.tasks.asr.transcript import Transcript

#: A line with what decides its place in the file.
Row = tuple[tuple[Any, ...], str]


class Writer(ABC):
    """A format.

    Arguments
    ---------
    options : CueOptions or None
        What subtitles may look like; of use to the formats of subtitles only.
    """

    #: What it is called, and how its files end.
    name: ClassVar[str]
    #: Whether one file holds the transcripts of all recordings.
    together: ClassVar[bool] = False
    #: Whether it cannot do without the times of words.
    needs_times: ClassVar[bool] = False
    #: What a file begins with.
    head: ClassVar[str] = ""

    def __init__(self, options: CueOptions | None = None) -> None:
        self.options = options or CueOptions()

    @abstractmethod
    def rows(self, transcript: Transcript) -> list[Row]:
        """Lines of a transcript, or several at once, each with what the file is sorted by.

        Arguments
        ---------
        transcript : Transcript
            The transcript.

        Returns
        -------
        list of (tuple, str)
        """

    def text(self, rows: Iterable[Row]) -> str:
        """What a file holds.

        Arguments
        ---------
        rows : iterable of (tuple, str)
            Of one transcript or, where the format allows it, of several.

        Returns
        -------
        str
        """
        return self.head + "".join(line for _, line in sorted(rows, key=lambda row: row[0]))

    def write(self, transcript: Transcript, folder: str | Path) -> Path:
        """Writes the transcript of a recording into a file of its own.

        Arguments
        ---------
        transcript : Transcript
            The transcript.
        folder : str or Path
            The file lies there, in the subfolders that the transcript's name has.

        Returns
        -------
        Path
            The file.
        """
        path = Path(folder, f"{transcript.name}.{self.name}")
        write_atomically(path, self.text(self.rows(transcript)))
        return path


class PlainText(Writer):
    """A line per segment."""

    name = "txt"

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        return [((s.start,), f"{_on_one_line(s.text)}\n") for s in transcript.segments if s.text]


class Json(Writer):
    """All that is known about a transcript."""

    name = "json"

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        text = json.dumps(transcript.as_dict(), ensure_ascii=False, allow_nan=False, indent=1)
        return [((transcript.name,), f"{text}\n")]


class JsonLines(Writer):
    """The same, a line per transcript: what ``gatedrnn score`` reads."""

    name = "jsonl"
    together = True

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        text = json.dumps(transcript.as_dict(), ensure_ascii=False, allow_nan=False)
        return [((transcript.name,), f"{text}\n")]


class Tsv(Writer):
    """A table of segments, with times in milliseconds."""

    name = "tsv"
    head = "start\tend\ttext\n"

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
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
    together = True
    needs_times = True

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`; a ValueError if there are words without times."""
        if any(s.text and not s.words for s in transcript.segments):
            raise ValueError(
                f"{transcript.name}: ctm needs the times of words, and there are none: the model "
                "was trained without connectionist temporal classification, which gives them"
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
    together = True

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        words = [*map(escape, transcript.text.split()), f"({escape(transcript.name)})"]
        return [((transcript.name,), " ".join(words) + "\n")]


class SubRip(Writer):
    """Subtitles as most players read them."""

    name = "srt"

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        found = []
        for number, cue in enumerate(cues(transcript, self.options), start=1):
            # An arrow within the text would be read as times.
            text = "\n".join(cue.lines).replace("-->", "->")
            times = f"{timestamp(cue.start, ',')} --> {timestamp(cue.end, ',')}"
            found.append(((number,), f"{number}\n{times}\n{text}\n\n"))
        return found


class WebVtt(Writer):
    """Subtitles as browsers read them."""

    name = "vtt"
    head = "WEBVTT\n\n"

    def rows(self, transcript: Transcript) -> list[Row]:
        """See :meth:`Writer.rows`."""
        found = []
        for number, cue in enumerate(cues(transcript, self.options)):
            text = _for_markup("\n".join(cue.lines))
            if cue.speaker:
                text = f"<v {_for_markup(_on_one_line(cue.speaker))}>{text}</v>"
            times = f"{timestamp(cue.start)} --> {timestamp(cue.end)}"
            found.append(((number,), f"{times}\n{text}\n\n"))
        return found


#: Name -> format.
WRITERS: dict[str, type[Writer]] = {
    writer.name: writer for writer in (PlainText, Json, JsonLines, Tsv, Ctm, Trn, SubRip, WebVtt)
}


class Output:
    """Writes transcripts into a folder, in any number of formats.

    Files of single recordings are written at once. Those of formats that hold all recordings are
    written by :meth:`close`, also after an error, with what there is by then.

    Arguments
    ---------
    folder : str or Path
        Where to.
    formats : sequence of str
        Keys of :data:`WRITERS`.
    options : CueOptions or None
        What subtitles may look like.
    stem : str
        Name, without ending, of the files that hold all recordings.
    apart : bool
        Whether each recording has files of its own also where one file could hold all.

    Raises
    ------
    ValueError
        If there is no such format.

    Example
    -------
    >>> from gatedrnn.tasks.asr.transcript import Segment
    >>> folder = getfixture("tmp_path")
    >>> with Output(folder, ["txt", "trn"]) as output:
    ...     for name in ("talk", "day1/talk"):
    ...         segments = (Segment(0.0, 1.0, f"THIS IS {name}"),)
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
        self._alone = [writer for writer in writers if apart or not writer.together]
        self._together: dict[Writer, list[Row]] = {
            writer: [] for writer in writers if not (apart or not writer.together)
        }
        self._sources: dict[str, str] = {}

    def add(self, transcript: Transcript) -> None:
        """Takes a transcript, and writes its own files.

        Arguments
        ---------
        transcript : Transcript
            The transcript.

        Raises
        ------
        ValueError
            If there was another one of that name.
        """
        # Names that differ as such may be the same in formats that have no blanks in names.
        name = escape(transcript.name)
        if name in self._sources:
            raise ValueError(
                f"{transcript.source}: its transcript would be called {transcript.name}, as is "
                f"that of {self._sources[name]}; neither may overwrite the other"
            )
        self._sources[name] = transcript.source
        for writer in self._alone:
            self.written.append(writer.write(transcript, self.folder))
        for writer, rows in self._together.items():
            rows += writer.rows(transcript)

    def close(self) -> None:
        """Writes the files that hold all recordings."""
        for writer, rows in self._together.items():
            path = self.folder / f"{self.stem}.{writer.name}"
            write_atomically(path, writer.text(rows))
            self.written.append(path)

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What was written by an earlier run is not replaced by nothing.
        if kind is None or self._sources:
            self.close()


def escape(text: str) -> str:
    """Writes a name or a word so that NIST's formats can hold it: in them blanks part fields, and
    brackets, slashes on their own and semicolons in front mean something.

    Arguments
    ---------
    text : str
        A name or a word.

    Returns
    -------
    str
        With what is not allowed as ``%`` and two hexadecimal digits.

    Example
    -------
    >>> escape("my talk (1)"), escape("and/or"), escape("/"), escape(";;")
    ('my%20talk%20%281%29', 'and/or', '%2F', '%3B;')
    """
    escaped = "".join(_percent(c) if c.isspace() or c in "(){}" else c for c in text)
    if escaped in ("/", "@") or escaped.startswith(";;"):
        return _percent(escaped[0]) + escaped[1:]
    return escaped


def timestamp(seconds: float, point: str = ".") -> str:
    """Writes a time as subtitles have it.

    Arguments
    ---------
    seconds : float
        The time.
    point : str
        Between seconds and milliseconds.

    Returns
    -------
    str

    Example
    -------
    >>> timestamp(3725.0678), timestamp(3599.9996, ",")
    ('01:02:05.068', '01:00:00,000')
    """
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _for_markup(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
