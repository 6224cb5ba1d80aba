"""Utterances, and the CSV files of SpeechBrain that list them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from gatedrnn.data.files import write_atomically
from gatedrnn.data.tables import read_rows

#: Columns of every CSV file that preparation writes.
COLUMNS = ("ID", "duration", "wav", "start", "stop", "channel", "spk_id", "wrd")


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
    speaker : str
        Who speaks.
    words : str
        Transcript.

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
