"""Utterances, and the CSV files of SpeechBrain that list them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from gatedrnn.data.files import write_atomically

#: Columns of every CSV file that preparation writes.
COLUMNS = ("ID", "duration", "wav", "start", "stop", "channel", "spk_id", "wrd")


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of a recording and what is said in it: a row of a CSV file.

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
        ``speechbrain.dataio.dataio.read_audio`` wants them (at 16 kHz where ``wav`` is empty).
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
    """Writes utterances as SpeechBrain reads them.

    Arguments
    ---------
    path : str or Path
        The CSV file.
    utterances : iterable of Utterance
        Its rows.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> write_csv(path, [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")])
    >>> print(path.read_text().strip())
    ID,duration,wav,start,stop,channel,spk_id,wrd
    u1,0.500,a.wav,0,8000,0,ann,YES
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for utterance in utterances:
        row = [getattr(utterance, name) for name in _FIELDS]
        row[1] = f"{utterance.duration:.3f}"
        writer.writerow(row)
    write_atomically(path, text.getvalue())


def read_csv(path: str | Path) -> list[Utterance]:
    """Reads what :func:`write_csv` wrote.

    Arguments
    ---------
    path : str or Path
        The CSV file.

    Returns
    -------
    list of Utterance

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a column is missing or a value is not what it should be; it names the row.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> write_csv(path, [Utterance("u1", 0.5, "a.wav", 0, 8000, 0, "ann", "YES")])
    >>> read_csv(path)[0].words
    'YES'
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; prepare the corpus first")
    utterances, seen = [], set()
    with open(path, newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{path}: no column {', '.join(missing)}; the columns must be {','.join(COLUMNS)}"
            )
        for number, row in enumerate(rows, start=2):
            if row["ID"] in seen:
                raise ValueError(f"{path}, line {number}: ID {row['ID']} appears twice")
            seen.add(row["ID"])
            try:
                utterances.append(_from_row(row))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    return utterances


def _from_row(row: dict[str, str]) -> Utterance:
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
