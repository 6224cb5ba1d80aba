"""Rows of CSV, TSV and JSON-lines files, compressed or not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.report import Report
from gatedrnn.data.text import read_utf8

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".json", ".ndjson")
_EXTRA = "\0extra"


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
