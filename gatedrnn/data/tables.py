"""Rows of CSV, TSV and JSON-lines files, compressed or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".json", ".ndjson")


def read_text(path: str | Path) -> str:
    """Reads a text file, with or without a byte order mark, compressed or not.

    Arguments
    ---------
    path : str or Path
        The file; compressed if it ends in ``.gz``.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not UTF-8, or cut off.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.txt.gz"
    >>> _ = path.write_bytes(gzip.compress("Café".encode()))
    >>> read_text(path)
    'Café'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; it must be UTF-8") from error
    except (EOFError, OSError) as error:
        raise ValueError(f"{path}: cannot be decompressed ({error})") from error


def find_text(folder: Path, *names: str) -> Path | None:
    """Finds the first of some files in a folder, compressed or not.

    Arguments
    ---------
    folder : Path
        The folder.
    *names : str
        Names without ``.gz``.

    Returns
    -------
    Path or None

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "val.csv").write_text("")
    >>> find_text(folder, "dev.csv", "val.csv").name
    'val.csv'
    """
    both = (folder / f"{name}{end}" for name in names for end in ("", ".gz"))
    return next((path for path in both if path.is_file()), None)


def read_rows(
    path: str | Path, report: Report, required: Sequence[str] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Reads a table, whose first line names its columns, or JSON lines.

    Arguments
    ---------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file, perhaps with ``.gz`` after it.
    report : Report
        Told about lines that cannot be read.
    required : sequence of str
        Columns that a table cannot do without.

    Returns
    -------
    iterator of (str, Mapping)
        File and line, for messages, and the row.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its name has another ending, or a column is missing.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.tsv"
    >>> _ = path.write_text("id\\tcaption\\n1\\ta dog\\n")
    >>> [row for _, row in read_rows(path, Report("mine"))]
    [{'id': '1', 'caption': 'a dog'}]
    """
    path = Path(path)
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix in _JSON_LINES:
        return _json_rows(path, read_text(path), report)
    if suffix not in _DELIMITERS:
        raise ValueError(
            f"{path}: must be a .csv or .tsv with a first line of column names, or a .jsonl with "
            "an object per line"
        )
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=_DELIMITERS[suffix])
    have = rows.fieldnames or ()
    lost = [name for name in required if name not in have]
    if lost:
        raise ValueError(
            f"{path}: no column {', '.join(lost)}; the first line has {', '.join(have) or 'none'}"
        )
    return _table_rows(path, rows)


def _table_rows(path: Path, rows: csv.DictReader) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        for row in rows:
            yield f"{path}, line {rows.line_num}", row
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: {error}") from error


def _json_rows(path: Path, text: str, report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Not splitlines, which would also split at separators that may stand inside of JSON strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            report.add("value-unreadable", place, str(error))
            continue
        if isinstance(row, dict):
            yield place, row
        else:
            report.add("value-unreadable", place, "is no JSON object")
