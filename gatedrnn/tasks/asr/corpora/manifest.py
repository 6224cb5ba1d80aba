"""Manifests of users' own data: a row per utterance, in CSV, TSV or JSON lines.

Each row has ``audio`` (a path; relative to the manifest), ``text`` and ``speaker``; optionally
``id``, ``start`` and ``stop`` or ``duration`` in seconds, and ``channel`` from 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatedrnn.data.preparation import Entry
from gatedrnn.data.report import Report
from gatedrnn.data.tables import read_rows

#: Fields that a row must have.
REQUIRED = ("audio", "text")


def read(
    data_folder: None,
    report: Report,
    out: Path,
    *,
    train: str | Path,
    dev: str | Path | None = None,
    test: str | Path | None = None,
) -> dict[str, Iterator[Entry]]:
    """Reads the manifests of the splits; without ``dev``, training speakers are held out."""
    manifests = {"train": train, "dev": dev, "test": test}
    return {s: read_manifest(path, report) for s, path in manifests.items() if path is not None}


def read_manifest(
    path: str | Path, report: Report, required: Sequence[str] = REQUIRED
) -> Iterator[Entry]:
    """Reads a manifest."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such manifest")
    return _entries(path, read_rows(path, report, required), report, required)


def _entries(
    path: Path,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    report: Report,
    required: Sequence[str],
) -> Iterator[Entry]:
    for place, row in rows:
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
    seconds = {
        name: float(row[name])
        for name in ("start", "stop", "duration")
        if row.get(name) not in (None, "")
    }
    for name, value in seconds.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} {value} is no time")
    start, stop = seconds.get("start"), seconds.get("stop")
    if stop is None and "duration" in seconds:
        stop = (start or 0.0) + seconds["duration"]
    return start, stop


def _name(audio: Path, start: float | None) -> str:
    """A name for an utterance that has none: folder and file, and where it starts."""
    name = f"{audio.parent.name}-{audio.stem}" if audio.parent.name else audio.stem
    return name if start is None else f"{name}-{round(start * 1000):07d}"
