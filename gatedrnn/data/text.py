"""Lines of text files, and running texts.

What comes out is UTF-8 with single spaces between words. A byte order mark is removed; lines may
end as on any system; what is not UTF-8 becomes U+FFFD, and the report names the lines. UTF-16, a
damaged file and a file without a word are errors.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gatedrnn.data.report import Report

#: Characters of a line that the report calls long.
LONG = 100_000
#: Lines with an issue that the report names.
_NAMED = 8
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


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

    Returns
    -------
    list of str

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
