"""Formats of transcripts: which one a file has, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gatedrnn.data.utterance import COLUMNS
from gatedrnn.scoring.record_files import read_json_lines, read_prepared
from gatedrnn.scoring.text_files import is_trn, lines_of, read_kaldi, read_trn, read_tsv
from gatedrnn.scoring.timed_files import is_ctm, is_stm, read_ctm, read_stm
from gatedrnn.scoring.transcript import Transcripts

#: Format -> what it is.
FORMATS = {
    "trn": "sclite's transcripts: words (utterance)",
    "stm": "segments: recording channel speaker start end [<label>] words",
    "ctm": "words with times: recording channel start duration word [confidence]",
    "kaldi": "Kaldi's text: utterance words",
    "tsv": "utterance, tab, words",
    "jsonl": "JSON lines of gatedrnn: an object with id and text, or ref and hyps",
    "csv": "CSV of a prepared corpus: " + ",".join(COLUMNS),
}
_ENDINGS = {f".{name}": name for name in FORMATS} | {".json": "jsonl", ".ndjson": "jsonl"}
_READERS: dict[str, Callable[[str | Path], Transcripts]] = {
    "trn": read_trn,
    "stm": read_stm,
    "ctm": read_ctm,
    "kaldi": read_kaldi,
    "tsv": read_tsv,
    "csv": read_prepared,
}


def read(path: str | Path, format: str | None = None, said: bool = False) -> Transcripts:
    """Reads transcripts.

    Arguments
    ---------
    path : str or Path
        The file.
    format : str or None
        A key of :data:`FORMATS`; None to find out.
    said : bool
        Whether it is the reference: JSON lines may hold both.

    Returns
    -------
    Transcripts

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has not this format, or none that can be told.

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
    return read_json_lines(path, said) if name == "jsonl" else _READERS[name](path)


def detect(path: str | Path) -> str:
    """Finds out a file's format: by the ending of its name, or else by what is in it.

    Arguments
    ---------
    path : str or Path
        The file.

    Returns
    -------
    str
        A key of :data:`FORMATS`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, or could be of several formats.

    Example
    -------
    >>> path = getfixture("tmp_path") / "hypotheses.txt"
    >>> _ = path.write_text("GO ON (ann-1)\\n")
    >>> detect(path)
    'trn'
    """
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
    whole = [name for name, found in fits.items() if all(found)]
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise ValueError(
            f"{path}: it could be {' or '.join(whole)}; say which with --ref-format or --hyp-format"
        )
    # Any line can be Kaldi's, so that a file that is mostly of another format is not taken for it.
    for name, found in fits.items():
        if 2 * sum(found) > len(found):
            number, line = lines[found.index(False)]
            raise ValueError(
                f"{path}: most lines are {name}, but line {number} is not: {line[:60]!r}; mend it, "
                "or say what the file is with --ref-format or --hyp-format"
            )
    return "kaldi"


def _is_json(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _is_tsv(line: str) -> bool:
    return line.count("\t") == 1
