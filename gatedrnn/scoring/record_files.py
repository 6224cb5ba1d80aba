"""Our own files: JSON lines of decoding, and the CSV files that preparation writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from gatedrnn.data.hypotheses import Word
from gatedrnn.data.utterance import Utterance, read_csv
from gatedrnn.scoring.text_files import lines_of
from gatedrnn.scoring.transcript import Transcript, Transcripts, words_of

#: Sample rates, to which a rate that was reckoned from rounded durations is rounded.
_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000)


def read_json_lines(path: str | Path, said: bool) -> Transcripts:
    """Reads a file with a JSON object per line: ``nbest_SET.jsonl`` of a training, for example.

    Each has ``id``, and as text ``ref`` or ``reference`` (of a reference), the ``text`` of the
    first of ``hyps`` (of a hypothesis), or ``text``; if known ``speaker``, ``recording``,
    ``channel`` (from 0), ``start``, ``end``, and ``words`` of the hypothesis with times, which
    count from the beginning of the recording if that is named, else of the utterance.

    Arguments
    ---------
    path : str or Path
        The file.
    said : bool
        Whether the reference is wanted; the same file may hold both.

    Returns
    -------
    Transcripts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is no such object.

    Example
    -------
    >>> path = getfixture("tmp_path") / "nbest.jsonl"
    >>> _ = path.write_text('{"id": "u1", "ref": "GO ON", "hyps": [{"text": "GO"}]}\\n')
    >>> read_json_lines(path, said=True).items[0].text
    'GO ON'
    >>> read_json_lines(path, said=False).items[0].text
    'GO'
    """
    found = []
    for number, line in lines_of(path):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("is no JSON object")
            found.append(_transcript(record, said))
        except KeyError as error:
            raise ValueError(f"{path}, line {number}: there is no {error.args[0]!r}") from error
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: {error}; there must be an object on each line"
            ) from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return Transcripts(str(path), "jsonl", tuple(found))


def _transcript(record: Mapping[str, Any], said: bool) -> Transcript:
    """Makes the transcript of a record."""
    text = _text(record, said)
    if not isinstance(text, str):
        kind = "reference" if said else "hypothesis"
        raise ValueError(f"the text of the {kind} must be a string, not {text!r}")
    words = words_of(text)
    times = () if said else _times(record.get("words") or ())
    # The words may be of another text, such as one without punctuation: then they say nothing.
    if tuple(word.word for word in times) != words:
        times = ()
    recording = str(record.get("recording") or "")
    start, end = (
        None if record.get(key) is None else float(record[key]) for key in ("start", "end")
    )
    channel = record.get("channel")
    return Transcript(
        str(record["id"]),
        words,
        str(record.get("speaker") or ""),
        recording,
        "1" if channel is None else str(int(channel) + 1),
        0.0 if recording and times else start,
        end,
        times,
    )


def _text(record: Mapping[str, Any], said: bool) -> Any:
    if said:
        named = [key for key in ("ref", "reference") if key in record]
        return record[named[0] if named else "text"]
    if "hyps" in record:
        # A search may have found nothing at all.
        return record["hyps"][0]["text"] if record["hyps"] else ""
    return record["text"]


def _times(words: Sequence[Mapping[str, Any]]) -> tuple[Word, ...]:
    return tuple(
        Word(
            word["word"],
            float(word["start"]),
            float(word["end"]),
            float(word.get("confidence") or 0.0),
        )
        for word in words
    )


def read_prepared(path: str | Path) -> Transcripts:
    """Reads a CSV file that preparation wrote, with speakers, recordings and times.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    Transcripts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none.

    Example
    -------
    >>> from gatedrnn.data.utterance import write_csv
    >>> path = getfixture("tmp_path") / "dev.csv"
    >>> row = Utterance("u1", 0.5, "/data/m1.wav", 16000, 24000, 0, "ann", "GO ON")
    >>> write_csv(path, [row])
    >>> (read,) = read_prepared(path).items
    >>> read.speaker, read.recording, read.start, read.end
    ('ann', 'm1', 1.0, 1.5)
    """
    rows = read_csv(path)
    rates: dict[str, list[float]] = {}
    for row in rows:
        if row.duration > 0:
            rates.setdefault(row.wav, []).append((row.stop - row.start) / row.duration)
    known = {wav: _rate(found) for wav, found in rates.items()}
    return Transcripts(str(path), "csv", tuple(_from_row(row, known.get(row.wav)) for row in rows))


def _rate(found: Sequence[float]) -> float:
    """The sample rate of a recording: durations are rounded to milliseconds."""
    rough = median(found)
    nearest = min(_RATES, key=lambda rate: abs(rate - rough))
    return nearest if abs(nearest - rough) <= 0.02 * nearest else rough


def _from_row(row: Utterance, rate: float | None) -> Transcript:
    start, end = (row.start / rate, row.stop / rate) if rate else (None, None)
    return Transcript(
        row.id,
        words_of(row.words),
        row.speaker,
        Path(row.wav).stem,
        str(row.channel + 1),
        start,
        end,
    )
