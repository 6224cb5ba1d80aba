"""Transcripts, and readers of the formats of their files."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from gatedrnn.data.tables import COLUMNS, Utterance, read_csv
from gatedrnn.tokens.hypotheses import Word

#: Text of an stm segment that is not scored, and in which no words count.
IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
#: First cells of a table's row of column names.
_HEADINGS = {"id", "utt", "utt_id", "uttid", "utterance", "utterance_id", "key", "name"}
#: Sample rates to which a rate is rounded that was computed from rounded durations.
_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_TRN = re.compile(r"(?P<text>.*)\((?P<id>[^()]+)\)\s*$", re.DOTALL)


@dataclass(frozen=True)
class Transcript:
    """The reference or the hypothesis of an utterance.

    Arguments
    ---------
    id : str
        Unique within its file.
    words : tuple of str
        The words.
    speaker, recording : str
        Empty if unknown.
    channel : str
        Channel of the recording, as stm and ctm files name it; default "1".
    start, end : float or None
        Seconds from the start of the recording; None if unknown.
    times : tuple of Word
        The words with their times, in seconds from the start of the UTTERANCE; empty if unknown.
    ignored : bool
        True for a segment that is marked as not to be scored.

    Example
    -------
    >>> Transcript("u1", ("YES",), speaker="ann").text
    'YES'
    """

    id: str
    words: tuple[str, ...]
    speaker: str = ""
    recording: str = ""
    channel: str = "1"
    start: float | None = None
    end: float | None = None
    times: tuple[Word, ...] = ()
    ignored: bool = False

    @property
    def text(self) -> str:
        """The words in one string."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Transcripts:
    """The transcripts of a file.

    Arguments
    ---------
    path : str
        The file, for messages.
    format : str
        A key of ``gatedrnn.scoring.formats.FORMATS``.
    items : tuple of Transcript
        In the order of the file; of a ctm file one per recording and channel.

    Raises
    ------
    ValueError
        If there is no item, or two have the same id.

    Example
    -------
    >>> Transcripts("a.trn", "trn", (Transcript("u1", ("YES",)),)).by_id()["u1"].text
    'YES'
    """

    path: str
    format: str
    items: tuple[Transcript, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"{self.path}: no utterance in it (read as {self.format})")
        if len(self.by_id()) < len(self.items):
            seen: set[str] = set()
            twice = next(t.id for t in self.items if t.id in seen or seen.add(t.id))
            raise ValueError(f"{self.path}: utterance {twice} appears twice")

    def by_id(self) -> dict[str, Transcript]:
        """Utterance id -> transcript."""
        return {item.id: item for item in self.items}


def words_of(text: str) -> tuple[str, ...]:
    """Splits a text at white space, in Unicode normalization form C.

    Example
    -------
    >>> words_of("  UN  CAFE\\u0301 ") == ("UN", "CAF\\u00c9")
    True
    """
    return tuple(unicodedata.normalize("NFC", text).split())


def lower(words: Iterable[str]) -> tuple[str, ...]:
    """The words in lower case."""
    return tuple(word.lower() for word in words)


def speaker_prefix(name: str) -> str:
    """The speaker at the start of an utterance id, as sclite takes it; empty if there is none.

    It ends at the first hyphen or, if there is none, at the first underscore.

    Example
    -------
    >>> speaker_prefix("ann_1-utt2"), speaker_prefix("ann_utt2"), speaker_prefix("utt2")
    ('ann_1', 'ann', '')
    """
    for separator in "-_":
        if separator in name:
            return name.split(separator)[0]
    return ""


def read_map(path: str | Path) -> dict[str, str]:
    """First column -> second column of a Kaldi file such as ``utt2spk`` or ``segments``."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    mapping = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = line.split()
        if len(fields) == 1:
            raise ValueError(
                f"{path}, line {number}: one column; an utterance and its speaker (or recording) "
                "are needed"
            )
        if fields:
            mapping[fields[0]] = fields[1]
    return mapping


def described(
    transcripts: Transcripts,
    speakers: Mapping[str, str] | None = None,
    recordings: Mapping[str, str] | None = None,
) -> Transcripts:
    """The transcripts with speakers and recordings from mappings of utterance ids; None: as is."""
    items: Iterable[Transcript] = transcripts.items
    for field, mapping in (("speaker", speakers), ("recording", recordings)):
        if mapping is None:
            continue
        unknown = [item.id for item in items if item.id not in mapping]
        if unknown:
            raise ValueError(
                f"no {field} is given for {len(unknown)} of {len(transcripts.items)} utterances of "
                f"{transcripts.path}, such as {unknown[0]}"
            )
        items = [replace(item, **{field: mapping[item.id]}) for item in items]
    return replace(transcripts, items=tuple(items))


def read(path: str | Path, format: str | None = None, reference: bool = False) -> Transcripts:
    """Reads transcripts.

    Arguments
    ---------
    path : str or Path
        The file.
    format : str or None
        A key of :data:`FORMATS`; None to detect it.
    reference : bool
        Read the references: JSON lines may hold references and hypotheses.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is wrong, or the format cannot be detected.

    Example
    -------
    >>> path = getfixture("tmp_path") / "text"
    >>> _ = path.write_text("u1 GO ON\\n")
    >>> read(path).format
    'kaldi'
    """
    name = format or detect(path)
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; there are: {', '.join(FORMATS)}")
    return read_json_lines(path, reference) if name == "jsonl" else FORMATS[name](path)


def detect(path: str | Path) -> str:
    """The format of a file, a key of :data:`FORMATS`: by its name's ending, else its content."""
    path = Path(path)
    lines = lines_of(path)
    if path.name == "text":
        return "kaldi"
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    if not lines:
        raise ValueError(f"{path}: the file is empty")
    texts = [line for _, line in lines]
    if all(column in texts[0].split(",") for column in COLUMNS):
        return "csv"
    checks = {"jsonl": _is_json, "trn": is_trn, "stm": is_stm, "ctm": is_ctm, "tsv": _is_tsv}
    fits = {name: [check(text) for text in texts] for name, check in checks.items()}
    possible = [name for name, fitting in fits.items() if all(fitting)]
    if len(possible) == 1:
        return possible[0]
    if possible:
        raise ValueError(
            f"{path}: it could be {' or '.join(possible)}; say which with --ref-format or "
            "--hyp-format"
        )
    # Any line can be Kaldi's, so that a file that is mostly of another format is not taken for it.
    for name, fitting in fits.items():
        if 2 * sum(fitting) > len(fitting):
            number, line = lines[fitting.index(False)]
            raise ValueError(
                f"{path}: most lines are {name}, but line {number} is not: {line[:60]!r}; correct "
                "it, or say what the file is with --ref-format or --hyp-format"
            )
    return "kaldi"


def is_trn(line: str) -> bool:
    """Whether a line ends in an utterance id in parentheses."""
    return _TRN.match(line) is not None


def is_stm(line: str) -> bool:
    """Whether a line looks like a segment: recording, channel, speaker, start, end, text."""
    fields = line.split()
    return len(fields) >= 5 and all(_seconds(f) is not None for f in fields[3:5])


def is_ctm(line: str) -> bool:
    """Whether a line looks like a word: recording, channel, start, duration, word, confidence."""
    fields = line.split()
    return len(fields) in (5, 6) and all(_seconds(f) is not None for f in fields[2:4])


def _is_json(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _is_tsv(line: str) -> bool:
    return line.count("\t") == 1


def _seconds(text: str) -> float | None:
    """A number that is not negative, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def lines_of(path: str | Path) -> list[tuple[int, str]]:
    """Lines of a UTF-8 file with their numbers, without empty lines and NIST's comments (``;;``).

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.trn"
    >>> _ = path.write_text(";; by hand\\nYES (u1)\\n")
    >>> lines_of(path)
    [(2, 'YES (u1)')]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {error}; transcripts must be UTF-8") from error
    # Not splitlines, which would also split at separators that may stand inside of a text.
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [(number, line) for number, line in lines if line.strip() and line[:2] != ";;"]


def scored_words(path: str | Path, number: int, text: str) -> tuple[str, ...]:
    """Words of a line of NIST's formats, in which alternatives are refused."""
    words = words_of(text)
    for word in words:
        if "{" in word or "}" in word or word == "@":
            raise ValueError(
                f"{path}, line {number}: {word!r} marks alternatives, which are not supported; "
                "write the words that count, or score with sclite"
            )
    return words


def read_trn(path: str | Path) -> Transcripts:
    """Reads sclite's transcripts: a line is the words, then the utterance id in parentheses.

    Speakers are the prefixes of the ids, as in sclite, if all ids have one.
    """
    rows = []
    for number, line in lines_of(path):
        match = _TRN.match(line)
        if match is None:
            raise ValueError(
                f"{path}, line {number}: a trn line must end in the utterance's name in "
                f"parentheses, but is {line[:60]!r}"
            )
        rows.append((match["id"].strip(), scored_words(path, number, match["text"])))
    known = all(speaker_prefix(name) for name, _ in rows)
    return Transcripts(
        str(path),
        "trn",
        tuple(Transcript(n, words, speaker_prefix(n) if known else "") for n, words in rows),
    )


def read_kaldi(path: str | Path) -> Transcripts:
    """Reads Kaldi's ``text``: a line is the utterance id, then the words."""
    fields = [words_of(line) for _, line in lines_of(path)]
    return Transcripts(str(path), "kaldi", tuple(Transcript(f[0], f[1:]) for f in fields))


def read_tsv(path: str | Path) -> Transcripts:
    """Reads two columns, id and text, separated by a tab; a line of column names is skipped."""
    items = []
    for index, (number, line) in enumerate(lines_of(path)):
        cells = line.split("\t")
        if len(cells) != 2:
            raise ValueError(
                f"{path}, line {number}: {len(cells)} column(s); there must be two, the "
                "utterance's name and its text, with a tab between them"
            )
        if index or cells[0].strip().lower() not in _HEADINGS:
            items.append(Transcript(cells[0].strip(), words_of(cells[1])))
    return Transcripts(str(path), "tsv", tuple(items))


def read_stm(path: str | Path) -> Transcripts:
    """Reads segments, each an utterance with the id ``recording-channel-speaker-start-end``."""
    items = []
    for number, line in lines_of(path):
        if not is_stm(line):
            raise ValueError(
                f"{path}, line {number}: an stm line must be 'recording channel speaker start "
                f"end [<label>] text', but is {line[:60]!r}"
            )
        recording, channel, speaker, *times = line.split()[:5]
        rest = line.split(maxsplit=5)[5:]
        text = rest[0] if rest else ""
        if text.startswith("<"):
            text = "".join(text.split(maxsplit=1)[1:])
        start, end = map(float, times)
        if end < start:
            raise ValueError(f"{path}, line {number}: the segment ends before it starts")
        ignored = IGNORED in text.upper()
        words = () if ignored else scored_words(path, number, text)
        # Three decimals, so that a hypothesis in stm has the same id however it writes its times.
        name = f"{recording}-{channel}-{speaker}-{start:.3f}-{end:.3f}"
        items.append(
            Transcript(name, words, speaker, recording, channel, start, end, ignored=ignored)
        )
    return Transcripts(str(path), "stm", tuple(items))


def read_ctm(path: str | Path) -> Transcripts:
    """Reads words with times; all words of a recording's channel make one transcript."""
    channels: dict[tuple[str, str], list[Word]] = {}
    for number, line in lines_of(path):
        if not is_ctm(line):
            raise ValueError(
                f"{path}, line {number}: a ctm line must be 'recording channel start duration "
                f"word [confidence]', but is {line[:60]!r}"
            )
        recording, channel, start, duration, text, *rest = line.split()
        if text.upper().startswith("<ALT"):
            raise ValueError(
                f"{path}, line {number}: {text!r} marks alternatives, which are not supported; "
                "write the words that count, or score with sclite"
            )
        (word,) = scored_words(path, number, text)
        begin = float(start)
        confidence = (_seconds(rest[0]) if rest else None) or 0.0
        channels.setdefault((recording, channel), []).append(
            Word(word, begin, begin + float(duration), confidence)
        )
    items = (channel_transcript(*key, words) for key, words in channels.items())
    return Transcripts(str(path), "ctm", tuple(items))


def channel_transcript(recording: str, channel: str, words: Iterable[Word]) -> Transcript:
    """The transcript of a channel; words are sorted by their start from the recording's start.

    Example
    -------
    >>> words = [Word("ON", 0.5, 0.7, 1.0), Word("GO", 0.1, 0.3, 1.0)]
    >>> channel_transcript("m1", "1", words).text
    'GO ON'
    """
    times = tuple(sorted(words, key=lambda w: w.start))
    text = tuple(w.word for w in times)
    return Transcript(f"{recording}-{channel}", text, "", recording, channel, 0.0, None, times)


def read_json_lines(path: str | Path, reference: bool) -> Transcripts:
    """Reads a file with a JSON object per line: ``nbest_SET.jsonl`` of a training, for example.

    Each has ``id``, and as text ``ref`` or ``reference`` (of a reference), the ``text`` of the
    first of ``hyps`` (of a hypothesis), or ``text``; if known ``speaker``, ``recording``,
    ``channel`` (from 0), ``start``, ``end``, and ``words`` of the hypothesis with times, which
    count from the start of the recording if that is named, else of the utterance.

    Example
    -------
    >>> path = getfixture("tmp_path") / "nbest.jsonl"
    >>> _ = path.write_text('{"id": "u1", "ref": "GO ON", "hyps": [{"text": "GO"}]}\\n')
    >>> read_json_lines(path, reference=True).items[0].text
    'GO ON'
    >>> read_json_lines(path, reference=False).items[0].text
    'GO'
    """
    items = []
    for number, line in lines_of(path):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("is no JSON object")
            items.append(_from_record(record, reference))
        except KeyError as error:
            raise ValueError(f"{path}, line {number}: there is no {error.args[0]!r}") from error
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number}: {error}; there must be an object on each line"
            ) from error
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return Transcripts(str(path), "jsonl", tuple(items))


def _from_record(record: Mapping[str, Any], reference: bool) -> Transcript:
    text = _text(record, reference)
    if not isinstance(text, str):
        kind = "reference" if reference else "hypothesis"
        raise ValueError(f"the text of the {kind} must be a string, not {text!r}")
    words = words_of(text)
    times = () if reference else _times(record.get("words") or ())
    # The words may be of another text, such as one without punctuation: then they are of no use.
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


def _text(record: Mapping[str, Any], reference: bool) -> Any:
    if reference:
        return record[next((key for key in ("ref", "reference") if key in record), "text")]
    if "hyps" in record:
        # The n-best list of a search may be empty.
        return record["hyps"][0]["text"] if record["hyps"] else ""
    return record["text"]


def _times(words: Sequence[Mapping[str, Any]]) -> tuple[Word, ...]:
    return tuple(
        Word(w["word"], float(w["start"]), float(w["end"]), float(w.get("confidence") or 0.0))
        for w in words
    )


def read_prepared(path: str | Path) -> Transcripts:
    """Reads a CSV file that preparation wrote, with speakers, recordings and times.

    Example
    -------
    >>> from gatedrnn.data.tables import write_csv
    >>> path = getfixture("tmp_path") / "dev.csv"
    >>> row = Utterance("u1", 0.5, "/data/m1.wav", 16000, 24000, 0, "ann", "GO ON")
    >>> write_csv(path, [row])
    >>> (item,) = read_prepared(path).items
    >>> item.speaker, item.recording, item.start, item.end
    ('ann', 'm1', 1.0, 1.5)
    """
    rows = read_csv(path)
    estimates: dict[str, list[float]] = {}
    for row in rows:
        if row.duration > 0:
            estimates.setdefault(row.wav, []).append((row.stop - row.start) / row.duration)
    rates = {wav: _sample_rate(values) for wav, values in estimates.items()}
    return Transcripts(str(path), "csv", tuple(_from_row(row, rates.get(row.wav)) for row in rows))


def _sample_rate(estimates: Sequence[float]) -> float:
    """The sample rate of a recording: durations are rounded to milliseconds."""
    rough = median(estimates)
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


def _read_hypotheses(path: str | Path) -> Transcripts:
    return read_json_lines(path, reference=False)


#: Format -> reader; ``gatedrnn score --help`` describes them.
FORMATS: dict[str, Callable[[str | Path], Transcripts]] = {
    "trn": read_trn,
    "stm": read_stm,
    "ctm": read_ctm,
    "kaldi": read_kaldi,
    "tsv": read_tsv,
    "jsonl": _read_hypotheses,
    "csv": read_prepared,
}
_ENDINGS = {f".{name}": name for name in FORMATS} | {".json": "jsonl", ".ndjson": "jsonl"}
