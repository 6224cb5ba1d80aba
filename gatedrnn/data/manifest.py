"""Manifests of users' own data: a row per utterance, in CSV, TSV or JSON lines.

Each row has ``audio`` (a path; relative to the manifest), ``text``, and ``speaker``; if it likes
``id``, ``start`` and ``stop`` or ``duration`` in seconds, and ``channel`` from 0.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.entries import Entry, Policy, prepare_entries
from gatedrnn.data.preparation import Prepared
from gatedrnn.data.report import Report

#: What a row cannot do without.
REQUIRED = ("audio", "text")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".json", ".ndjson")


def prepare_manifest(
    train: str | Path,
    out: str | Path,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    policy: Policy | None = None,
) -> Prepared:
    """Writes ``train.csv``, ``dev.csv``, if asked ``test.csv``, and ``report.json``.

    Arguments
    ---------
    train : str or Path
        Manifest of the training data.
    out : str or Path
        Folder for the results.
    dev : str or Path or None
        Manifest of the dev data; None to hold training speakers out for it.
    test : str or Path or None
        Manifest of the test data.
    policy : Policy or None
        What is done with odd rows.

    Returns
    -------
    Prepared

    Raises
    ------
    FileNotFoundError, ValueError
        If a manifest is not there or is none, or a split has no utterance left.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in "ab":
    ...     soundfile.write(folder / f"{name}.wav", [0.1] * 1600, 16000)
    >>> rows = "audio,text,speaker\\na.wav,YES,ann\\nb.wav,NO,bob\\n"
    >>> _ = (folder / "train.csv").write_text(rows)
    >>> prepared = prepare_manifest(folder / "train.csv", folder / "out")
    >>> [len(path.read_text().splitlines()) for path in prepared.csv.values()]
    [2, 2]
    """
    manifests = {"train": Path(train)}
    manifests |= {s: Path(path) for s, path in (("dev", dev), ("test", test)) if path is not None}
    # Read here, so that the audio files' changes are noticed too.
    first = Report("manifest")
    listed = {split: list(read_manifest(path, first)) for split, path in manifests.items()}
    audio = {entry.audio for entries in listed.values() for entry in entries}

    def reader(split: str) -> Any:
        # Again: the faults of reading belong to the report that is written.
        return lambda report: read_manifest(manifests[split], report)

    return prepare_entries(
        "manifest",
        out,
        {split: reader(split) for split in manifests},
        [*manifests.values(), *audio],
        policy or Policy(),
        {"manifests": {split: str(path.absolute()) for split, path in manifests.items()}},
    )


def read_manifest(
    path: str | Path, report: Report, required: Sequence[str] = REQUIRED
) -> Iterator[Entry]:
    """Reads a manifest.

    Arguments
    ---------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.jsonl`` file.
    report : Report
        Told about rows that are skipped or mended.
    required : sequence of str
        What a row cannot do without; ``("audio",)`` where nobody knows what is said, so that the
        text may be empty.

    Returns
    -------
    iterator of Entry

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its name has another ending.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.jsonl"
    >>> _ = path.write_text('{"audio": "a.wav", "text": "YES", "speaker": "ann"}\\n')
    >>> next(read_manifest(path, Report("mine"))).audio.name
    'a.wav'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such manifest")
    if path.suffix in _DELIMITERS:
        rows = _table_rows(path, report, required)
    elif path.suffix in _JSON_LINES:
        rows = _json_rows(path, report)
    else:
        raise ValueError(
            f"{path}: a manifest must be a .csv or .tsv with a first line of column names, or a "
            ".jsonl with an object per line"
        )
    return _entries(path, rows, report, required)


def _entries(
    path: Path,
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    report: Report,
    required: Sequence[str],
) -> Iterator[Entry]:
    """Makes entries of rows."""
    for number, row in rows:
        place = f"{path}, line {number}"
        text = row.get("text")
        if row.get("audio") in (None, "") or (text is None and "text" in required):
            lost = [name for name in required if row.get(name) in (None, "")]
            report.add("column-missing", place, f"no {' and no '.join(lost)}")
            continue
        try:
            start, stop = _times(row)
            channel = int(row.get("channel") or 0)
            if channel < 0:
                raise ValueError(f"channel {channel} is negative")
        except (TypeError, ValueError) as error:
            report.add("value-unreadable", place, str(error))
            continue
        speaker = str(row.get("speaker") or "")
        if not speaker:
            report.add("speaker-missing", place)
            speaker = "unknown"
        # Joining keeps a path that is absolute.
        audio = path.parent / str(row["audio"])
        name = str(row.get("id") or "") or _name(audio, start)
        yield Entry(name, audio, "" if text is None else str(text), speaker, start, stop, channel)


def _times(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Start and stop in seconds, from `start` and `stop` or `duration`."""
    given = {
        name: float(row[name])
        for name in ("start", "stop", "duration")
        if row.get(name) not in (None, "")
    }
    for name, value in given.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} {value} is no time")
    start, stop = given.get("start"), given.get("stop")
    if stop is None and "duration" in given:
        stop = (start or 0.0) + given["duration"]
    return start, stop


def _name(audio: Path, start: float | None) -> str:
    """A name for an utterance that has none: folder and file, and where it starts."""
    name = f"{audio.parent.name}-{audio.stem}" if audio.parent.name else audio.stem
    return name if start is None else f"{name}-{round(start * 1000):07d}"


def _table_rows(
    path: Path, report: Report, required: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of a table; a column that is missing is named once, and leaves no rows."""
    rows = csv.DictReader(io.StringIO(_text(path)), delimiter=_DELIMITERS[path.suffix])
    lost = [name for name in required if name not in (rows.fieldnames or ())]
    if lost:
        have = ", ".join(rows.fieldnames or ()) or "nothing"
        detail = f"no column {' and no column '.join(lost)}; the first line has {have}"
        report.add("column-missing", str(path), detail)
        return
    for row in rows:
        yield rows.line_num, row


def _json_rows(path: Path, report: Report) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of JSON lines."""
    # Not splitlines, which would also split at separators that may stand inside of JSON strings.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            report.add("value-unreadable", f"{path}, line {number}", str(error))
            continue
        if not isinstance(row, dict):
            report.add("value-unreadable", f"{path}, line {number}", "is no JSON object")
            continue
        yield number, row


def _text(path: Path) -> str:
    """Reads a text file, with or without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; a manifest must be UTF-8") from error
