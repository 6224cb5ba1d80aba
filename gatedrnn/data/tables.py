"""Texts and tables (CSV, TSV, JSON lines; compressed or not), and the CSV files of utterances."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report

#: Characters of a line that the report calls long.
LONG = 100_000
#: Lines with an issue that the report names.
_NAMED = 8
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".json", ".ndjson")
_EXTRA = "\0extra"
#: Columns of every CSV file that preparation writes.
COLUMNS = ("ID", "duration", "wav", "start", "stop", "channel", "spk_id", "wrd")


@dataclass(frozen=True)
class Text:
    """A running text."""

    name: str
    lines: Sequence[str]
    ends: bool = True

    @cached_property
    def words(self) -> int:
        """Number of words; the end of a line counts as one, as is the custom."""
        return sum(len(line.split()) + self.ends for line in self.lines)

    @cached_property
    def characters(self) -> int:
        """Number of characters, with spaces; the end of a line counts as one."""
        return sum(len(line) + self.ends for line in self.lines)


def read_text(path: str | Path, name: str, report: Report, *, keep_empty: bool = False) -> Text:
    """Reads a file as running text; for the arguments see :func:`read_lines`."""
    return Text(name, read_lines(path, report, keep_empty=keep_empty))


def read_lines(path: str | Path, report: Report, *, keep_empty: bool = False) -> list[str]:
    """Reads the lines of a text file, which may be compressed (``.gz``).

    Arguments
    ---------
    path : str or Path
        The file.
    report : Report
        Told about issues.
    keep_empty : bool
        Whether lines without a word stay: some corpora count their ends.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not text, or holds no word.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt"
    >>> _ = path.write_bytes(b"\\xef\\xbb\\xbfone  two\\r\\n\\r\\ncaf\\xe9\\n")
    >>> report = Report("mine")
    >>> read_lines(path, report)
    ['one two', 'caf\ufffd']
    >>> [report.count(kind) for kind in ("byte-order-mark", "line-empty", "bytes-not-utf8")]
    [1, 1, 1]
    """
    path = Path(path)
    return split_lines(read_bytes(path), path, report, keep_empty=keep_empty)


def split_lines(raw: bytes, path: Path, report: Report, *, keep_empty: bool = False) -> list[str]:
    """The lines of the bytes of a text; see :func:`read_lines`."""
    _single_bytes(raw, path)
    if raw.startswith(_BOM):
        report.add("byte-order-mark", path.name)
        raw = raw.removeprefix(_BOM)
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [" ".join(line.split()) for line in _decode(raw, path, report).split("\n")]
    if not lines[-1]:
        # What follows the last line's end is not a line.
        lines.pop()
    if not any(lines):
        raise ValueError(f"{path} holds no words")
    _add(report, "line-long", path, [n for n, line in enumerate(lines, 1) if len(line) > LONG])
    if not keep_empty:
        _add(report, "line-empty", path, [n for n, line in enumerate(lines, 1) if not line])
        lines = [line for line in lines if line]
    return lines


def read_bytes(path: Path) -> bytes:
    """Reads a text file, decompressed; an error if it is missing, damaged or UTF-16."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be decompressed: {error}") from error
    _single_bytes(raw, path)
    return raw


def read_utf8(path: str | Path) -> str:
    """Reads a text file that must be UTF-8, with or without a byte order mark, or compressed.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt.gz"
    >>> _ = path.write_bytes(gzip.compress("Café".encode()))
    >>> read_utf8(path)
    'Café'
    """
    try:
        return read_bytes(Path(path)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; it must be UTF-8") from error


def find_text(folder: Path, *names: str) -> Path | None:
    """The first of some files that is in a folder, compressed (``.gz``) or not.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "val.csv").write_text("")
    >>> find_text(folder, "dev.csv", "val.csv").name
    'val.csv'
    """
    both = (folder / f"{name}{end}" for name in names for end in ("", ".gz"))
    return next((path for path in both if path.is_file()), None)


def _single_bytes(raw: bytes, path: Path) -> None:
    if raw.startswith(_UTF16) or b"\0" in raw:
        raise ValueError(
            f"{path} is UTF-16, or not text at all: convert it to UTF-8, for example with "
            "iconv -f UTF-16 -t UTF-8"
        )


def _decode(raw: bytes, path: Path, report: Report) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        broken = []
        for number, line in enumerate(raw.split(b"\n"), start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                broken.append(number)
        _add(report, "bytes-not-utf8", path, broken)
        return raw.decode("utf-8", errors="replace")


def _add(report: Report, kind: str, path: Path, numbers: list[int]) -> None:
    """Names a file once, with the lines in question: a text can have millions of them."""
    if numbers:
        more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
        named = ", ".join(map(str, numbers[:_NAMED]))
        report.add(kind, path.name, f"{len(numbers)} line(s): {named}{more}")


def read_rows(
    path: str | Path,
    report: Report | None = None,
    required: Sequence[str] = (),
    tsv_quotes: bool = False,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Reads a table whose first line names its columns, or JSON lines.

    In CSV files cells may be quoted; in TSV files quotes are text, unless ``tsv_quotes``.

    Arguments
    ---------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, perhaps with ``.gz`` after it, in UTF-8.
    report : Report or None
        Told about lines that are no JSON object, which are skipped; None to raise an error.
    required : sequence of str
        Columns that a table must have.
    tsv_quotes : bool
        Whether cells of TSV files may be quoted, too.

    Returns
    -------
    iterator of (str, Mapping)
        File and line, for messages, and the row; None stands for cells that a short line lacks.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its name has another ending, a column is missing, or a line has too many cells.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.tsv"
    >>> _ = path.write_text("id\\tcaption\\n1\\ta dog\\n")
    >>> [row for _, row in read_rows(path)]
    [{'id': '1', 'caption': 'a dog'}]
    """
    path = Path(path)
    suffix = table_suffix(path)
    if suffix in _JSON_LINES:
        return _json_rows(path, read_utf8(path), report)
    if suffix not in _DELIMITERS:
        raise ValueError(
            f"{path}: not a table; must be a .csv or .tsv with a first line of column names, or a "
            ".jsonl with an object per line"
        )
    rows = _table(path, tsv_quotes)
    columns = rows.fieldnames or ()
    lost = [name for name in required if name not in columns]
    if lost:
        raise ValueError(
            f"{path}: no column {' and no column '.join(lost)}; the first line has "
            f"{', '.join(columns) or 'nothing'}"
        )
    return _table_rows(path, rows)


def read_columns(path: Path) -> tuple[str, ...]:
    """The columns that the first line of a ``.csv`` or ``.tsv`` file names."""
    return tuple(_table(path).fieldnames or ())


def _table(path: Path, tsv_quotes: bool = False) -> csv.DictReader:
    suffix = table_suffix(path)
    return csv.DictReader(
        io.StringIO(read_utf8(path), newline=""),
        delimiter=_DELIMITERS[suffix],
        quoting=csv.QUOTE_NONE if suffix == ".tsv" and not tsv_quotes else csv.QUOTE_MINIMAL,
        restkey=_EXTRA,
    )


def table_suffix(path: Path) -> str:
    """The ending of a table in lower case, without ``.gz``: ``.csv``, ``.jsonl`` or another."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def _table_rows(path: Path, rows: csv.DictReader) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        for row in rows:
            place = f"{path}, line {rows.line_num}"
            if _EXTRA in row:
                count = len(rows.fieldnames) + len(row[_EXTRA])
                raise ValueError(
                    f"{place}: {count} cells; must be {len(rows.fieldnames)}, one for each column"
                )
            yield place, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error


def _json_rows(
    path: Path, text: str, report: Report | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Not splitlines, which would also split at separators that may stand inside of JSON strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("is no JSON object")
        except ValueError as error:
            if report is None:
                raise ValueError(f"{place}: {error}; must be a JSON object") from error
            report.add("value-unreadable", place, str(error))
            continue
        yield place, row


@dataclass(frozen=True, slots=True)
class Utterance:
    """A segment of a recording and its transcript: a row of a CSV file.

    Arguments
    ---------
    id : str
        Unique within the corpus.
    duration : float
        Seconds.
    wav : str
        Path of the recording; empty where only the text was prepared.
    start, stop : int
        First sample and the one past the last, counted at the RECORDING's sample rate, as
        ``speechbrain.dataio.dataio.read_audio`` takes them (at 16 kHz where ``wav`` is empty).
    channel : int
        Channel of the recording, from 0.

    Example
    -------
    >>> Utterance("u1", 0.5, "/data/a.wav", 0, 8000, 0, "ann", "YES").stop
    8000
    """

    id: str
    duration: float
    wav: str
    start: int
    stop: int
    channel: int
    speaker: str
    words: str


#: In the order of the columns.
_FIELDS = tuple(field.name for field in fields(Utterance))


def write_csv(path: str | Path, utterances: Iterable[Utterance]) -> None:
    """Writes utterances as SpeechBrain reads them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for utterance in utterances:
        row = [getattr(utterance, name) for name in _FIELDS]
        row[1] = f"{utterance.duration:.3f}"
        writer.writerow(row)
    write_atomically(path, text.getvalue())


def read_csv(path: str | Path) -> list[Utterance]:
    """Reads what :func:`write_csv` wrote."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; prepare the corpus first")
    utterances, seen = [], set()
    for place, row in read_rows(path, required=COLUMNS):
        if row["ID"] in seen:
            raise ValueError(f"{place}: ID {row['ID']} appears twice; must be there once")
        seen.add(row["ID"])
        try:
            utterances.append(_from_row(row))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{place}: {error}") from error
    return utterances


def _from_row(row: Mapping[str, str]) -> Utterance:
    """Makes the utterance of a row."""
    start, stop, channel = (int(row[name]) for name in ("start", "stop", "channel"))
    if not 0 <= start <= stop or channel < 0:
        raise ValueError(
            f"start {start}, stop {stop}, channel {channel}: must be 0 <= start <= stop "
            "and 0 <= channel"
        )
    if row["wrd"] is None:
        raise ValueError("the row has too few columns")
    duration = float(row["duration"])
    return Utterance(
        row["ID"], duration, row["wav"], start, stop, channel, row["spk_id"], row["wrd"]
    )
